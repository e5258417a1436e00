"""Between SIGTERM and the end: finish what has begun, take nothing new.

Granian does the most of it. On SIGTERM a worker stops listening, closes idle connections and ends
with the last answer. Idle connections close at once: the balancer has to have stopped choosing the
pod before, which is what a preStop sleep is for. Here the app learns of it, so that /health says so
to whoever is still connected, and so that answers carry `Connection: close`: a client that keeps
its connection would send the next request to a worker that is about to go.

Pools are closed after the last answer, by the lifespan in `app`.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from starlette.types import Scope


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

    def closes(self, scope: Scope) -> bool:
        """Return whether the answer that begins now is to be the last one on its connection."""
        # HTTP/2 has no header for it, and a message of its own.
        return self.begun and bool(scope["http_version"] < "2")

    def _begin(self, _signal: int, _frame: FrameType | None) -> None:
        self.begun = True
