"""Slots: a small number for each live worker process, which is free again as soon as the worker is dead.

Worker processes share their metrics in files. These are usually named after process ids: then the files of every worker
that was ever replaced remain, scrapes get slower, and a restarted container finds files of a dead worker with its own
process id. Named after slots, there are as many files as workers, and counters continue where the predecessor stopped.

A slot is a file lock: the kernel releases it however the worker dies.
"""

import fcntl
import itertools
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO


class WorkerSlot:
    """The lowest number that no live worker of this directory has; locked until the process ends."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self._checking = threading.Lock()
        for number in itertools.count():
            lock = try_lock(self._lock_path(number))
            if lock is not None:
                self.number = number
                self._lock = lock
                return

    def free_numbers(self) -> Iterator[int]:
        """Yield each number whose worker is dead, and hold its lock until the next one."""
        # File locks belong to the process: they do not exclude two of its threads from each other.
        with self._checking:
            for path in self.directory.glob("*.lock"):
                number = int(path.stem)
                # Never its own number: closing any descriptor of a file releases this process's lock on it.
                if number != self.number and (lock := try_lock(path)) is not None:
                    with lock:
                        yield number

    def _lock_path(self, number: int) -> Path:
        return self.directory / f"{number}.lock"


def try_lock(path: Path) -> BinaryIO | None:
    """Return the file, locked until it is closed or the process ends; None if another process holds the lock."""
    # lockf instead of flock: a process that the worker forks must not inherit the lock.
    file = path.open("ab")
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file
