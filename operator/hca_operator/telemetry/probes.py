"""The HTTP server of a process for its kubelet and for Prometheus: /healthz, /readyz and /metrics."""

import asyncio
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from hca_operator.telemetry.listener import IDLE_CONNECTION_SECONDS, Listener

Check = Callable[[], str | None]
"""Returns what is wrong; None if nothing is wrong."""
Handler = Callable[[web.Request], Awaitable[web.Response]]


def probe(check: Check) -> Handler:
    """A handler that answers 200, or 503 with the result of the check."""

    async def answer(_request: web.Request) -> web.Response:
        trouble = check()
        status = HTTPStatus.OK if trouble is None else HTTPStatus.SERVICE_UNAVAILABLE
        return web.Response(text=trouble or "ok", status=status)

    return answer


async def serve(registry: CollectorRegistry, *, port: int, alive: Check, ready: Check) -> Listener:
    """Serve /metrics, /healthz and /readyz on every address; `cleanup()` of the result ends it."""

    async def metrics(_request: web.Request) -> web.Response:
        # In a thread: the metrics of 1,000 objects take 0.1 s, which would block the event loop.
        body = await asyncio.to_thread(generate_latest, registry)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.router.add_get("/metrics", metrics)
    app.router.add_get("/healthz", probe(alive))
    app.router.add_get("/readyz", probe(ready))
    runner = web.AppRunner(app, access_log=None, keepalive_timeout=IDLE_CONNECTION_SECONDS)
    await runner.setup()
    listener = Listener(runner)
    await listener.start(port)
    return listener
