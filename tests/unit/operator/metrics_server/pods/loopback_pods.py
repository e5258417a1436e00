"""Pods that are nothing but their metrics, on addresses of the loopback interface."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web


@asynccontextmanager
async def pod_metrics(text: str, address: str, port: int = 0) -> AsyncIterator[int]:
    """A pod that shows this text at /metrics; its port."""

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(text=text)

    app = web.Application()
    app.router.add_get("/metrics", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, address, port).start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


MOST_SENT_BYTES = 8 * 2**20
"""By a pod of which little is received; the buffers of both sides are in it."""


class Endless:
    """Sends the same again and again."""

    def __init__(self, head: bytes, piece: bytes) -> None:
        self.sent = 0
        self._head, self._piece = head, piece

    async def __call__(self, writer: asyncio.StreamWriter) -> None:
        writer.write(self._head)
        while True:
            writer.write(self._piece)
            await writer.drain()
            self.sent += len(self._piece)
