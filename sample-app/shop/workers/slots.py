"""A number for each live worker process, free again as soon as the worker is dead.

Worker processes share their metrics as files. Named after process ids, as is usual, the files of
every worker ever recycled stay behind, scrapes grow slower, and a container that restarts in its
pod meets files of a dead worker under its own process id. Named after slots there are as many as
there are workers, and counters go on where the predecessor stopped.

A slot is a file lock: the kernel drops it however the worker dies, so no one has to notice.
"""

import fcntl
import itertools
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO


class WorkerSlot:
    """The lowest number that no live worker of this directory holds; held until the process ends."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self._looking = threading.Lock()
        for number in itertools.count():
            lock = try_lock(self._lock_path(number))
            if lock is not None:
                self.number = number
                self._lock = lock
                return

    def free_numbers(self) -> Iterator[int]:
        """Yield each number whose worker is dead; none is taken anew while it is being looked at."""
        # Locks belong to the process: two threads of it would not keep each other out.
        with self._looking:
            for path in self.directory.glob("*.lock"):
                number = int(path.stem)
                # Never the own one: closing any descriptor of a file drops this process's lock on it.
                if number != self.number and (lock := try_lock(path)) is not None:
                    with lock:
                        yield number

    def _lock_path(self, number: int) -> Path:
        return self.directory / f"{number}.lock"


def try_lock(path: Path) -> BinaryIO | None:
    """Return the file, locked until it is closed or the process ends; None where another process has it."""
    # lockf and not flock: a helper process forked by a worker must not inherit its lock.
    file = path.open("ab")
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file
