"""Draining: what the app does between SIGTERM and the end of the worker.

Granian does most of it. On SIGTERM a worker stops listening, closes idle connections at once, and ends after its last
answer. A load balancer must have removed the pod before, which is the purpose of a preStop sleep. The app adds two
things: /health answers 503, and answers carry `Connection: close`, so that no client sends its next request on a
connection of a worker that is about to end.

Pools are closed after the last answer, by the lifespan in `app`.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from starlette.types import Scope


class Drain:
    """Whether this worker has received SIGTERM."""

    def __init__(self) -> None:
        self.begun = False

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Handle SIGTERM in the block, in addition to the handler of the event loop.

        Event loops receive signals through a wake-up descriptor, so the handler of Python is not used by them.
        """
        before = signal.signal(signal.SIGTERM, self._begin)
        signal.siginterrupt(signal.SIGTERM, False)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, before)

    def closes(self, scope: Scope) -> bool:
        """Return whether the answer to this request must be the last one on its connection."""
        # HTTP/2 forbids the header, and has a frame for this.
        return self.begun and bool(scope["http_version"] < "2")

    def _begin(self, _signal: int, _frame: FrameType | None) -> None:
        self.begun = True
