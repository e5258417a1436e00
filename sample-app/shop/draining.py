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

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send


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


class Draining:
    """Middleware that tells clients of a draining worker to connect anew."""

    def __init__(self, app: ASGIApp, drain: Drain) -> None:
        self._app = app
        self._drain = drain

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve; whether the worker drains is looked at when the answer begins, which may be much later."""

        async def send_with_close(message: Message) -> None:
            # HTTP/2 has no such header, and a message of its own for this.
            if message["type"] == "http.response.start" and self._drain.begun and scope["http_version"] < "2":
                MutableHeaders(scope=message)["Connection"] = "close"
            await send(message)

        await self._app(scope, receive, send_with_close)
