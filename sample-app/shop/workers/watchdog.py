"""Ends a worker whose event loop is blocked, with the stack of every thread on stderr.

A call that never returns blocks the loop and every request of the worker. Its connections hang, and the server does not
replace it, since the process is alive. The fault handler of the interpreter has a timer that needs neither the loop nor
the GIL: unless it is reset in time, it writes the stacks to stderr and ends the process. The server then starts another
worker.

The default of thirty seconds is that of gunicorn: far longer than load alone delays a loop.
"""

import faulthandler
from collections.abc import Iterator
from contextlib import contextmanager


class Watchdog:
    """Ends the process if it is not reset for `seconds`."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._armed = False

    @contextmanager
    def armed(self) -> Iterator[None]:
        """Arm the timer for the duration of the block."""
        self._armed = True
        self.reset()
        try:
            yield
        finally:
            self._armed = False
            faulthandler.cancel_dump_traceback_later()

    def reset(self) -> None:
        """Start the timer again, if it is armed."""
        if self._armed:
            faulthandler.dump_traceback_later(self._seconds, exit=True)
