"""One worker of `hca-uvicorn`: Uvicorn's server with a heartbeat and a graceful shutdown."""

import os
import signal
import socket
import sys
from types import FrameType

from hca_workers.processes.heartbeats import DESCRIPTOR_VARIABLE, Heartbeats
from hca_workers.servers.graceful_uvicorn import GracefulServer
from hca_workers.servers.uvicorn_options import config_from
from hca_workers.snapshots.writer import offer_snapshots

SOCKET_VARIABLE = "HCA_WORKERS_SOCKET"


def main() -> None:
    """Serve on the inherited socket until SIGTERM, or until the supervisor has ended."""
    supervisor = os.getppid()
    heartbeats = Heartbeats(int(os.environ[DESCRIPTOR_VARIABLE]))
    offer_snapshots()

    async def beat() -> None:
        heartbeats.beat()
        if os.getppid() != supervisor:
            server.should_exit = True

    # The event loop calls it about once a second, for the first time when the server has begun to accept.
    config = config_from(sys.argv[1:], workers=1, callback_notify=beat, timeout_notify=0.5)
    server = GracefulServer(config)

    def stop(_signal: int, _frame: FrameType | None) -> None:
        server.should_exit = True

    # In force before Uvicorn sets its own handlers, and after it has stopped, when it sends itself the signal again.
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    server.run([socket.socket(fileno=int(os.environ[SOCKET_VARIABLE]))])


if __name__ == "__main__":
    main()
