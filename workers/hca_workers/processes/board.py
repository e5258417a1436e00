"""Where each worker leaves its beat, and everyone sees those of all.

A probe reaches one worker of several, whichever the kernel picks: one that hangs takes its share of
the connections and most probes never meet it. So each loop notes the time in memory that all of a
server's processes share, as long as it turns. A worker that has a row is one that has begun to
serve: this is how the supervisor learns that it is ready.

The memory has no name and needs no folder: nothing is left behind, a read-only container will do.
"""

import fcntl
import mmap
import os
import struct
import time
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass

BOARD_VARIABLE = "HCA_WORKERS_BOARD"
"""Tells the workers the number of the inherited file descriptor."""

# Process id and CLOCK_MONOTONIC, which is the same clock in all processes of a machine.
_ROW = struct.Struct("<Qd")
_ROWS = 1024
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Board:
    """One row for each worker that serves."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._memory = mmap.mmap(descriptor, _ROWS * _ROW.size)
        self._row: int | None = None

    @classmethod
    def new(cls) -> "Board":
        """Return one with no rows."""
        descriptor = os.memfd_create("hca-workers")
        os.ftruncate(descriptor, _ROWS * _ROW.size)
        return cls(descriptor)

    def beat(self) -> None:
        """Say that this process serves, and that its loop turns."""
        if self._row is None:
            # Workers that start together look for a free row together.
            fcntl.lockf(self.descriptor, fcntl.LOCK_EX)
            try:
                self._row = [pid for pid, _ in _ROW.iter_unpack(self._memory[:])].index(0)
                self._write(self._row, os.getpid(), time.monotonic())
            finally:
                fcntl.lockf(self.descriptor, fcntl.LOCK_UN)
        else:
            self._write(self._row, os.getpid(), time.monotonic())

    def beats(self) -> dict[int, float]:
        """Return when each worker last beat, by process id."""
        return {pid: beaten for pid, beaten in _ROW.iter_unpack(self._memory[:]) if pid != 0}

    def keep(self, alive: Collection[int]) -> None:
        """Free the rows of all others; for the supervisor alone."""
        for row, (pid, _) in enumerate(_ROW.iter_unpack(self._memory[:])):
            if pid != 0 and pid not in alive:
                self._write(row, 0, 0.0)

    def _write(self, row: int, pid: int, beaten: float) -> None:
        # Not pack_into, which clears the row first: whoever looks just then would miss a worker, or take it for silent.
        self._memory[row * _ROW.size : (row + 1) * _ROW.size] = _ROW.pack(pid, beaten)


@dataclass(frozen=True)
class WorkerHealth:
    """How one of the workers is."""

    worker: int
    seconds_since_beat: float
    rss_bytes: int


def health() -> list[WorkerHealth]:
    """Return how all workers of this server are, whichever of them asks; none where no supervisor of ours runs."""
    descriptor = os.environ.get(BOARD_VARIABLE)
    if descriptor is None:
        return []
    now = time.monotonic()
    found = []
    for pid, beaten in sorted(Board(int(descriptor)).beats().items()):
        rss = resident_bytes(pid)
        if rss is not None:
            found.append(WorkerHealth(pid, round(max(0.0, now - beaten), 3), rss))
    return found


def resident_bytes(pid: int) -> int | None:
    """Return the memory that a process holds; None where it has ended."""
    with suppress(FileNotFoundError, ProcessLookupError), open(f"/proc/{pid}/statm", "rb") as file:  # noqa: PTH123 - each second
        return int(file.read().split()[1]) * _PAGE or None
    return None
