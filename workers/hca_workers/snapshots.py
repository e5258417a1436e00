"""What the heap of a worker consists of, written down when somebody asks with SIGUSR2.

The supervisor asks by itself just before a worker that grew too big is told to go. While it writes,
the worker does nothing else, so it is asked only once another one serves in its place.

Tracing costs memory and time at every allocation: it is on only where a directory is named.
"""

import os
import signal
import time
import tracemalloc
from pathlib import Path
from types import FrameType

KEPT = 5
_SUFFIX = ".tracemalloc"


def offer_snapshots(directory: Path | None) -> None:
    """Take SIGUSR2 as the request for a snapshot; without a directory it is ignored."""
    if directory is None:
        signal.signal(signal.SIGUSR2, signal.SIG_IGN)
        return
    if not tracemalloc.is_tracing():
        tracemalloc.start()

    def take(_signal: int, _frame: FrameType | None) -> None:
        write_snapshot(directory)

    signal.signal(signal.SIGUSR2, take)
    signal.siginterrupt(signal.SIGUSR2, False)


def write_snapshot(directory: Path) -> Path:
    """Write one, and remove all but the last few of this directory."""
    path = directory / f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{os.getpid()}{_SUFFIX}"
    part = path.with_suffix(".part")
    tracemalloc.take_snapshot().dump(str(part))
    part.rename(path)
    for old in sorted(directory.glob(f"*{_SUFFIX}"))[:-KEPT]:
        old.unlink(missing_ok=True)
    return path
