"""The heartbeats of all workers of a server, in memory that its processes share.

A probe reaches one worker of several, whichever the kernel picks. A worker whose event loop is blocked takes its share
of the connections, and most probes never reach it. So each event loop writes the time into its row of a table about
once a second. A worker gets its row when it begins to serve, which is how the supervisor learns that it is ready.

The memory has no name and no file: nothing is left behind, and a read-only container is enough.
"""

import fcntl
import mmap
import os
import struct
import time
from collections.abc import Collection
from dataclasses import dataclass

from hca_workers.processes.memory import resident_bytes

DESCRIPTOR_VARIABLE = "HCA_WORKERS_BOARD"
"""Environment variable of the workers: the number of the inherited file descriptor."""

# Process id and CLOCK_MONOTONIC, which is the same clock in all processes of a machine.
_ROW = struct.Struct("<Qd")
_ROWS = 1024


class Heartbeats:
    """A table with one row for each worker that serves."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._memory = mmap.mmap(descriptor, _ROWS * _ROW.size)
        self._row: int | None = None

    @classmethod
    def new(cls) -> "Heartbeats":
        """Return an empty table."""
        descriptor = os.memfd_create("hca-workers")
        os.ftruncate(descriptor, _ROWS * _ROW.size)
        return cls(descriptor)

    def beat(self) -> None:
        """Write the current time into the row of this process, which the first call takes."""
        if self._row is None:
            # Workers that start together search for a free row at the same time.
            fcntl.lockf(self.descriptor, fcntl.LOCK_EX)
            try:
                self._row = [pid for pid, _ in _ROW.iter_unpack(self._memory[:])].index(0)
                self._write(self._row, os.getpid(), time.monotonic())
            finally:
                fcntl.lockf(self.descriptor, fcntl.LOCK_UN)
        else:
            self._write(self._row, os.getpid(), time.monotonic())

    def times(self) -> dict[int, float]:
        """Return the monotonic time of the last heartbeat of each worker, by process id."""
        return {pid: beaten for pid, beaten in _ROW.iter_unpack(self._memory[:]) if pid != 0}

    def free_all_but(self, alive: Collection[int]) -> None:
        """Free the rows of all other processes; only the supervisor calls this."""
        for row, (pid, _) in enumerate(_ROW.iter_unpack(self._memory[:])):
            if pid != 0 and pid not in alive:
                self._write(row, 0, 0.0)

    def _write(self, row: int, pid: int, beaten: float) -> None:
        # Not pack_into, which clears the row first: a reader at that moment would find no worker, or a silent one.
        self._memory[row * _ROW.size : (row + 1) * _ROW.size] = _ROW.pack(pid, beaten)


@dataclass(frozen=True)
class WorkerHealth:
    """The state of one worker; `worker` is its process id."""

    worker: int
    seconds_since_beat: float
    rss_bytes: int


def health() -> list[WorkerHealth]:
    """Return the state of all ready workers of this server, from any of them; empty without a supervisor of ours."""
    descriptor = os.environ.get(DESCRIPTOR_VARIABLE)
    if descriptor is None:
        return []
    now = time.monotonic()
    found = []
    for pid, beaten in sorted(Heartbeats(int(descriptor)).times().items()):
        rss = resident_bytes(pid)
        if rss is not None:
            found.append(WorkerHealth(pid, round(max(0.0, now - beaten), 3), rss))
    return found
