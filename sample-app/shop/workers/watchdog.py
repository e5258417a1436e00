"""Ends a worker whose event loop is blocked for good, and says where it was blocked.

A call that never returns, on the loop, stops every request of the worker: its connections hang, and
no supervisor sees a reason to act, for the process is there. The interpreter's own fault handler
has a timer that needs neither the loop nor the GIL: unless it is set anew in time, it writes the
stack of every thread to stderr and ends the process. The server then starts another worker.

Thirty seconds is what gunicorn gives its workers: far longer than any load makes a loop late.
"""

import faulthandler
from collections.abc import Iterator
from contextlib import contextmanager


class Watchdog:
    """Bites when it is not patted for `seconds`."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._awake = False

    @contextmanager
    def awake(self) -> Iterator[None]:
        """Watch while the worker serves."""
        self._awake = True
        self.pat()
        try:
            yield
        finally:
            self._awake = False
            faulthandler.cancel_dump_traceback_later()

    def pat(self) -> None:
        """Say that the loop turns."""
        if self._awake:
            faulthandler.dump_traceback_later(self._seconds, exit=True)
