"""Gunicorn's worker for ASGI apps with a graceful shutdown: `-k hca_workers.gunicorn_worker.UvicornWorker`."""

import sys

import uvicorn_worker  # type: ignore[import-untyped]
from gunicorn.arbiter import Arbiter  # type: ignore[import-untyped]

from hca_workers.servers.graceful_uvicorn import GracefulServer


class UvicornWorker(uvicorn_worker.UvicornWorker):  # type: ignore[misc] # it has no types
    """The worker of `uvicorn-worker`, with `GracefulServer` as its server."""

    async def _serve(self) -> None:
        self.config.app = self.wsgi
        server = GracefulServer(config=self.config)
        self._install_sigquit_handler()
        await server.serve(sockets=self.sockets)
        if not server.started:
            sys.exit(Arbiter.WORKER_BOOT_ERROR)
