"""Heartbeats of the event loops of all workers of a pod, in files that they share.

A probe reaches one worker of several, whichever the kernel picks. A worker whose loop is blocked takes its share of the
connections and answers none, and most probes never reach it. So each loop writes the time into a few bytes of shared
memory, and /health of any worker reports the age of each heartbeat.

The shared memory is a mapped file beside the slot of the worker: a write costs no system call. The file of a dead
worker is ignored, since its slot is free.
"""

import mmap
import os
import struct
import time

from shop.workers.slots import WorkerSlot

# Process id and CLOCK_MONOTONIC, which is the same clock in all processes of a machine.
_LAYOUT = struct.Struct("<Qd")


class Heartbeats:
    """The heartbeat of this worker, and those of the workers that share its directory."""

    def __init__(self, slot: WorkerSlot | None) -> None:
        self._slot = slot
        self._own = mmap.mmap(-1, _LAYOUT.size) if slot is None else _mapped(slot)
        self.beat()

    def beat(self) -> None:
        """Write the current time."""
        # Not pack_into, which clears the bytes first: a reader at that moment would find a worker without a heartbeat.
        self._own[:] = _LAYOUT.pack(os.getpid(), time.monotonic())

    def ages(self) -> dict[int, float]:
        """Return the seconds since the last heartbeat of each live worker, by process id."""
        beats = [self._own[:]] if self._slot is None else _beats(self._slot)
        now = time.monotonic()
        found = (_LAYOUT.unpack(beat) for beat in beats)
        return {worker: max(0.0, now - beaten) for worker, beaten in found}


def _mapped(slot: WorkerSlot) -> mmap.mmap:
    with (slot.directory / f"{slot.number}.beat").open("a+b") as file:
        file.truncate(_LAYOUT.size)
        return mmap.mmap(file.fileno(), _LAYOUT.size)


def _beats(slot: WorkerSlot) -> list[bytes]:
    dead = set(slot.free_numbers())
    found = [path.read_bytes() for path in slot.directory.glob("*.beat") if int(path.stem) not in dead]
    # A starting worker may have created its file and not written to it yet.
    return [beat for beat in found if len(beat) == _LAYOUT.size and any(beat)]
