"""Where slowly made things are kept: outside the repository, under names that say what they are made of."""

import fcntl
import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]


def _folder_of_user() -> Path:
    # A relative one is to be ignored, says the XDG base directory specification: it would move with the working
    # directory.
    named = Path(os.environ.get("XDG_CACHE_HOME") or ".")
    if named.is_absolute():
        return named
    with suppress(RuntimeError):  # neither HOME nor an entry for this user
        if (home := Path.home()).is_absolute():
            return home / ".cache"
    sys.exit("this user has no home folder to keep a cache in: set HOME or XDG_CACHE_HOME to an absolute path")


HOME = _folder_of_user() / "hca-operator"
LOGS = HOME / "logs"
KUBECONFIG = HOME / "kubeconfig"


def key(*parts: object) -> str:
    """Return a short name for what something is made of: equal parts, equal name."""
    return hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()[:12]


def tree_key(root: Path) -> str:
    """Return a short name for a folder's content, its executable bits included."""
    files = sorted(path for path in root.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return key(*(f"{p.relative_to(root)} {os.access(p, os.X_OK)} {key(p.read_bytes())}" for p in files))


def publish(target: Path, make: Callable[[Path], None]) -> Path:
    """Make a folder that is either complete or absent, however often and wherever a run is interrupted."""
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".making-", dir=target.parent) as work:
        made = Path(work) / "made"
        made.mkdir()
        make(made)
        try:
            made.rename(target)
        except OSError:
            if not target.exists():  # else another run was first, and its folder is as good
                raise
    return target


def remove(path: Path) -> None:
    """Remove what is at a path, whatever it is."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def exclusive(waiting: Callable[[str], None]) -> Iterator[None]:
    """Let one run at a time change the cluster or the Python environment; a second one waits for the first."""
    HOME.mkdir(parents=True, exist_ok=True)
    with (HOME / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting("another run is changing the cluster or the Python environment: waiting for it to end")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
