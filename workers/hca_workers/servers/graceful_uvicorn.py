"""Uvicorn's server with a graceful shutdown.

On SIGTERM, Uvicorn closes every connection that has no request in progress at that moment. A request that is on its
way then fails, and a balancer that keeps its connections sees a reset. This server first stops accepting connections.
For a few seconds it goes on serving those that it has, with `Connection: close` on every answer.
"""

import asyncio
import os
import socket

import uvicorn

from hca_workers.settings import settings_from

LINGER_SECONDS = 3.0
"""Longer than a request takes to arrive, even from a slow client. At most half of the kill timeout: the other half is
for requests in progress."""


class GracefulServer(uvicorn.Server):
    """Serves its open connections for a few seconds before it closes them; raises `SettingsError`."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._linger_seconds = min(LINGER_SECONDS, settings_from(os.environ).policy.kill_timeout_seconds / 2)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting, answer on open connections for a while, then shut down as Uvicorn does."""
        for server in self.servers:
            server.close()
        # In place: requests in progress hold this very list.
        self.server_state.default_headers.append((b"connection", b"close"))
        if self.server_state.connections:
            await asyncio.sleep(self._linger_seconds)
        await super().shutdown(sockets)
