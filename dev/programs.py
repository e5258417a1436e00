"""Programs of Debian's packages that the integration tests and the benchmarks run."""

from pathlib import Path

from dev import cache, debian, host
from dev.steps import Step

PACKAGES = {
    "initdb": "postgresql",
    "postgres": "postgresql",
    "redis-server": "redis-server",
    "promtool": "prometheus",
    "node": "nodejs",
}
"""What the integration tests run, and the package that brings it."""
BENCHMARKS = {"npm": "npm", "wrk": "wrk"}


def ensure(step: Step) -> None:
    """Install what the integration tests run and is missing. ClusterError says what this user cannot install."""
    debian.ensure(step, {name: package for name, package in PACKAGES.items() if _find(name) is None})


def program(name: str) -> str:
    """Return the path of a program, which is installed if it is missing."""
    if _find(name) is None:
        debian.ensure(Step("programs", cache.LOGS / "programs.log"), {name: (PACKAGES | BENCHMARKS)[name]})
    return _find(name) or name


def _find(name: str) -> str | None:
    # Debian keeps the programs of each version of PostgreSQL off the path.
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next(map(str, host.on_path(name, *folders)), None)
