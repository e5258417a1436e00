"""What is done around every request, in one place.

A middleware for each technique is a coroutine and a wrapper of `send` for each, which every message of
every answer passes through: the wrapping costs more than what is done in it. Here is one of each, and
the techniques are plain calls in the order in which they happen. Each is in a module of its own:
`request_id`, `shedding`, `draining`, `compression`, `observation`.

It is around Starlette and not among its middleware, so that Starlette's own answers to errors pass
here too.
"""

import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shop.edge import compression
from shop.http import request_id
from shop.observation.metrics import Metrics
from shop.observation.requests import Observation
from shop.overload.shedding import Shedding
from shop.workers.draining import Drain

# A pod that is unready because of load hands its load to the others; and nobody's demand is measured by looking at it.
_THE_PLATFORMS_OWN = frozenset({"/health", "/metrics"})


class Edge:
    """The app with all of it around."""

    def __init__(
        self, app: ASGIApp, *, metrics: Metrics, shedding: Shedding, drain: Drain, observation: Observation
    ) -> None:
        self._app = app
        self._requests = metrics.served
        self._shedding = shedding
        self._drain = drain
        self._observation = observation

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve or refuse, then record."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        chosen = request_id.begin(scope).encode()
        status = 500  # an app that ends without an answer has failed
        onward = send

        async def send_on(message: Message) -> None:
            nonlocal status, onward
            if message["type"] == "http.response.start":
                status = message["status"]
                # A new list: an answer that is kept and sent again must not gather the headers of all who had it.
                headers = [*message["headers"], (b"x-request-id", chosen)]
                if self._drain.closes(scope):
                    headers.append((b"connection", b"close"))
                message["headers"] = headers
                if compression.is_worthwhile(message):
                    onward = await compression.compressed(scope, receive, send)
            await onward(message)

        begin = time.perf_counter()
        demanded = scope["path"] not in _THE_PLATFORMS_OWN
        app = (self._shedding.refusal() if demanded else None) or self._app
        self._requests.in_flight += demanded
        try:
            await app(scope, receive, send_on)
        finally:
            self._requests.in_flight -= demanded
            self._observation.record(scope, status, time.perf_counter() - begin)
