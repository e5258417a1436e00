"""Between SIGTERM and the end: finish what has begun, take nothing new.

Granian does the most of it. On SIGTERM a worker stops listening, closes idle connections, marks
the answers in flight with `Connection: close`, and ends with the last of them. Idle connections
close at once: the balancer has to have stopped choosing the pod before, which is what a preStop
sleep is for. Here the app only learns of it, so that /health says so to whoever is still connected.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Drain:
    """Whether this worker is on its way out."""

    def __init__(self) -> None:
        self.begun = False

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Notice SIGTERM; the event loop's own handling of it goes on beside this.

        Loops learn of signals through a wake-up descriptor, so the handler proper is free to take.
        """
        before = signal.signal(signal.SIGTERM, self._begin)
        signal.siginterrupt(signal.SIGTERM, False)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, before)

    def _begin(self, _signal: int, _frame: FrameType | None) -> None:
        self.begun = True
