"""One ASGI middleware around every request.

A middleware for each technique costs a coroutine and a wrapper of `send` for each, which every message of every answer
passes through: the wrappers cost more than the techniques. This is a single one, which calls the techniques in the
order in which they apply: request id, shedding, draining, compression, metrics and log.

It wraps Starlette instead of being one of its middlewares, so that it also sees Starlette's own answers to errors.
"""

import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shop.edge import compression
from shop.http import request_id
from shop.observation.metrics import Metrics
from shop.observation.requests import RequestRecorder
from shop.overload.shedding import Shedding
from shop.workers.draining import Drain

# Never refused: a pod that is unready because of load passes its load on to the others. Never counted as load.
_PROBES_AND_SCRAPES = frozenset({"/health", "/metrics"})


class EdgeMiddleware:
    """An ASGI app that wraps another one."""

    def __init__(
        self, app: ASGIApp, *, metrics: Metrics, shedding: Shedding, drain: Drain, recorder: RequestRecorder
    ) -> None:
        self._app = app
        self._requests = metrics.served
        self._shedding = shedding
        self._drain = drain
        self._recorder = recorder

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve or refuse the request, then record it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        current_id = request_id.begin(scope).encode()
        status = 500  # stays if the app ends without an answer
        forward = send

        async def send_on(message: Message) -> None:
            nonlocal status, forward
            if message["type"] == "http.response.start":
                status = message["status"]
                # A new list: an answer object that is sent several times must not collect the headers of every request.
                headers = [*message["headers"], (b"x-request-id", current_id)]
                if self._drain.closes(scope):
                    headers.append((b"connection", b"close"))
                message["headers"] = headers
                if compression.is_worthwhile(message):
                    forward = await compression.compressed(scope, receive, send)
            await forward(message)

        begin = time.perf_counter()
        is_load = scope["path"] not in _PROBES_AND_SCRAPES
        app = (self._shedding.refusal() if is_load else None) or self._app
        self._requests.in_flight += is_load
        try:
            await app(scope, receive, send_on)
        finally:
            self._requests.in_flight -= is_load
            self._recorder.record(scope, status, time.perf_counter() - begin)
