"""Who has the machine, and the local cluster: what runs beside a test can make it slow, or take away what it needs."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest


@contextmanager
def machine(tmp_path_factory: pytest.TempPathFactory, share: int) -> Iterator[None]:
    """Have it with others (fcntl.LOCK_SH), or alone (fcntl.LOCK_EX), among the processes of one run of the tests."""
    with (folder_of_the_run(tmp_path_factory) / "machine").open("w") as lock:
        fcntl.flock(lock, share)
        yield


def folder_of_the_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all processes of one run of the tests have in common."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if own.name.startswith("popen-") else own  # pytest-xdist gives each process one within it


class Turn:
    """The turn of one process to use the local cluster, beside others or alone."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock: IO[str] | None = None

    def take(self, *, alone: bool) -> None:
        """Wait for it; whatever the process had before is given up meanwhile."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._lock = self._lock or self._file.open("w")
        fcntl.flock(self._lock, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)

    def give_up(self) -> None:
        """Let others have it."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None
