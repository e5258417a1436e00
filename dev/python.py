"""The Python environment of the tests, and programs that come as Python wheels."""

import sys
from contextlib import suppress
from pathlib import Path

from dev import cache, versions
from dev.steps import ClusterError, Step

ENVIRONMENT = cache.REPOSITORY / ".venv"
LOCK = cache.REPOSITORY / "tests" / "requirements.txt"
PYTHON = ENVIRONMENT / "bin" / "python"

# What each lock pins: the operator's image, the sample app's image, everything that the tests import, and the images of
# the tests of other application servers.
LOCKS = {
    "operator/requirements.txt": ["pyproject.toml"],
    "sample-app/requirements.txt": ["sample-app/pyproject.toml"],
    "tests/requirements.txt": ["pyproject.toml", "sample-app/pyproject.toml", "--group", "pyproject.toml:test"],
    "tests/e2e/servers/gunicorn/requirements.txt": ["tests/e2e/servers/gunicorn/requirements.in"],
    "tests/e2e/servers/uvicorn/requirements.txt": ["tests/e2e/servers/uvicorn/requirements.in"],
}


def create_environment(step: Step) -> None:
    """Have .venv with everything that the lock says; nothing to do while the lock stays as it is."""
    if is_current(step):
        step.note = "unchanged"
        return
    if not _runs(step, sys.version):
        cache.remove(ENVIRONMENT)
        step.run(sys.executable, "-m", "venv", ENVIRONMENT)
    stamp = ENVIRONMENT / "made-from"
    cache.remove(stamp)
    step.run(PYTHON, "-m", "pip", "install", "--disable-pip-version-check", "--require-hashes", "-r", LOCK)
    stamp.write_text(_made_from())


def is_current(step: Step) -> bool:
    """Tell whether .venv runs and has what the lock says."""
    with suppress(OSError):
        return (ENVIRONMENT / "made-from").read_bytes() == _made_from().encode() and _runs(step, sys.version)
    return False


def _made_from() -> str:
    return cache.key(LOCK.read_text(), sys.version)


def _runs(step: Step, version: str) -> bool:
    """Tell whether the environment has pip and is of this Python."""
    check = f"import pip, sys; sys.exit(sys.version != {version!r})"
    return step.succeeds(PYTHON, "-c", check, timeout=30)


def install_wheel(step: Step, requirement: str, target: Path) -> None:
    """Unpack one wheel with its dependencies into a folder of its own."""
    if not PYTHON.exists():
        raise ClusterError("the Python environment is missing: run `make up` first")
    step.run(PYTHON, "-m", "pip", "install", "--disable-pip-version-check", "--target", target, requirement)


def lock(step: Step) -> None:
    """Write the lock files anew from what the pyproject files ask for."""
    folder = cache.HOME / f"uv-{versions.UV}"
    cache.publish(folder, lambda made: install_wheel(step, f"uv=={versions.UV}", made))
    flags = ["--universal", "--generate-hashes", "--no-emit-index-url", "--no-header", "--python-version", "3.11"]
    for target, sources in LOCKS.items():
        step.run(folder / "bin" / "uv", "pip", "compile", *flags, *sources, "-o", target, cwd=cache.REPOSITORY)
