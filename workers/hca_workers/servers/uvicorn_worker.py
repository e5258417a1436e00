"""One worker of `hca-uvicorn`: Uvicorn's server, which beats, and goes politely."""

import os
import signal
import socket
import sys
from types import FrameType

from hca_workers.processes.board import BOARD_VARIABLE, Board
from hca_workers.servers.polite_uvicorn import PoliteServer
from hca_workers.servers.uvicorn_options import config_from
from hca_workers.snapshots.writer import offer_snapshots

SOCKET_VARIABLE = "HCA_WORKERS_SOCKET"


def main() -> None:
    """Serve on the inherited socket until SIGTERM, or until the supervisor is gone."""
    supervisor = os.getppid()
    board = Board(int(os.environ[BOARD_VARIABLE]))
    offer_snapshots()

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
