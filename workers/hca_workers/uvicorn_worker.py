"""One worker of `hca-uvicorn`: Uvicorn's server, which beats, and goes politely.

Told to stop, Uvicorn closes every connection on which no request is under way at that moment, also
one whose request is on its way to us: a balancer that keeps its connections then sees a reset. This
worker first stops to accept and goes on serving for a moment, with `Connection: close` on every answer.
"""

import asyncio
import os
import signal
import socket
import sys
from types import FrameType

import uvicorn

from hca_workers.board import BOARD_VARIABLE, Board
from hca_workers.settings import settings_from
from hca_workers.snapshots import offer_snapshots
from hca_workers.uvicorn_options import config_from

SOCKET_VARIABLE = "HCA_WORKERS_SOCKET"
LINGER = 1.0
"""Seconds; longer than a request is on its way."""


class PoliteServer(uvicorn.Server):
    """Goes on serving the connections that it has, for a moment, before it closes them."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting, answer what comes on open connections, then stop as Uvicorn does."""
        for server in self.servers:
            server.close()
        # In place: requests under way hold this very list.
        self.server_state.default_headers.append((b"connection", b"close"))
        if self.server_state.connections:
            await asyncio.sleep(LINGER)
        await super().shutdown(sockets)


def main() -> None:
    """Serve on the inherited socket until SIGTERM, or until the supervisor is gone."""
    supervisor = os.getppid()
    board = Board(int(os.environ[BOARD_VARIABLE]))
    offer_snapshots(settings_from(os.environ).snapshot_directory)

    async def beat() -> None:
        board.beat()
        if os.getppid() != supervisor:
            server.should_exit = True

    # Called from the loop about once a second, for the first time when the server has begun to accept.
    config = config_from(sys.argv[1:], workers=1, callback_notify=beat, timeout_notify=0.5)
    server = PoliteServer(config)

    def stop(_signal: int, _frame: FrameType | None) -> None:
        server.should_exit = True

    # Before Uvicorn listens to these, and once more after it has stopped, when it sends itself what it heard.
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    server.run([socket.socket(fileno=int(os.environ[SOCKET_VARIABLE]))])


if __name__ == "__main__":
    main()
