"""Uvicorn's server, going politely.

Told to stop, Uvicorn closes every connection on which no request is under way at that moment, also
one whose request is on its way to us: a balancer that keeps its connections then sees a reset. This
server first stops to accept and goes on serving for a moment, with `Connection: close` on every answer.
"""

import asyncio
import os
import socket

import uvicorn

from hca_workers.settings import settings_from

LINGER = 3.0
"""Seconds; longer than a request is on its way, also from a client that gets its turn late. Of a worker that is killed
soon, half of the time until then: the rest is for requests that are under way."""


class PoliteServer(uvicorn.Server):
    """Goes on serving the connections that it has, for a moment, before it closes them."""

    def __init__(self, config: uvicorn.Config) -> None:
        """SettingsError where a variable must be changed."""
        super().__init__(config)
        self._linger = min(LINGER, settings_from(os.environ).policy.kill_timeout / 2)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting, answer what comes on open connections, then stop as Uvicorn does."""
        for server in self.servers:
            server.close()
        # In place: requests under way hold this very list.
        self.server_state.default_headers.append((b"connection", b"close"))
        if self.server_state.connections:
            await asyncio.sleep(self._linger)
        await super().shutdown(sockets)
