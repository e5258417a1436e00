"""A heartbeat of each worker's event loop, which the other workers can see.

A probe reaches one worker of several, whichever the kernel picks: a worker whose loop is blocked
takes its share of the connections, answers none of them, and most probes never meet it. So each
loop writes the time into a few bytes of shared memory as long as it turns, and any worker that is
asked for /health tells how long ago each of them did.

Shared memory is a mapped file beside the worker's slot: writing it costs no system call, and what a
dead worker leaves behind is known by its slot, which is free.
"""

import mmap
import os
import struct
import time

from shop.workers.slots import WorkerSlot

# Process id and CLOCK_MONOTONIC, which is the same clock in all processes of a machine.
_LAYOUT = struct.Struct("<Qd")


class Heartbeats:
    """The own one, and those of the workers that share the directory."""

    def __init__(self, slot: WorkerSlot | None) -> None:
        self._slot = slot
        self._own = mmap.mmap(-1, _LAYOUT.size) if slot is None else _mapped(slot)
        self.beat()

    def beat(self) -> None:
        """Say that the loop turns."""
        # Not pack_into, which clears the bytes first: a sibling that looks just then would see a worker without a beat.
        self._own[:] = _LAYOUT.pack(os.getpid(), time.monotonic())

    def ages(self) -> dict[int, float]:
        """Return the seconds since each live worker's last beat, by process id."""
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
    # A worker that is just starting has made its file and not yet written to it.
    return [beat for beat in found if len(beat) == _LAYOUT.size and any(beat)]
