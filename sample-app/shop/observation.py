"""What every request leaves behind: its metrics and one JSON line on stdout.

Metrics carry the route's pattern, never the path, and a known method or "other": a label that
clients can invent is a memory leak in the app and in Prometheus. The path is in the log.
"""

import logging
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shop import request_id
from shop.metrics import Metrics

_log = logging.getLogger("shop.access")
_METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})


class Observation:
    """Middleware that counts, times and logs what the app inside it answers."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve, then record."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 500  # an app that ends without an answer has failed

        async def send_and_note_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        begin = time.perf_counter()
        try:
            with self._metrics.in_flight.track_inprogress():
                await self._app(scope, receive, send_and_note_status)
        finally:
            self._record(scope, status, time.perf_counter() - begin)

    def _record(self, scope: Scope, status: int, seconds: float) -> None:
        method = scope["method"] if scope["method"] in _METHODS else "other"
        route = scope["route"].path if "route" in scope else "unmatched"
        self._metrics.requests.labels(method, route, str(status)).inc()
        self._metrics.duration.labels(method, route).observe(seconds)
        client = scope["client"]
        _log.info(
            "request",
            extra={
                "request_id": request_id.current(),
                "client": client[0] if client else None,
                "method": scope["method"],
                "path": scope["path"],
                "route": route,
                "status": status,
                "duration_seconds": round(seconds, 6),
            },
        )
