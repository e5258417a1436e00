"""Gunicorn's worker for ASGI apps, going politely: `-k hca_workers.gunicorn_worker.UvicornWorker`."""

import sys

import uvicorn_worker  # type: ignore[import-untyped]
from gunicorn.arbiter import Arbiter  # type: ignore[import-untyped]

from hca_workers.servers.polite_uvicorn import PoliteServer


class UvicornWorker(uvicorn_worker.UvicornWorker):  # type: ignore[misc] # it has no types
    """As the original, with another server in it."""

    async def _serve(self) -> None:
        self.config.app = self.wsgi
        server = PoliteServer(config=self.config)
        self._install_sigquit_handler()
        await server.serve(sockets=self.sockets)
        if not server.started:
            sys.exit(Arbiter.WORKER_BOOT_ERROR)
