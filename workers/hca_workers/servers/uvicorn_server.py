"""`hca-uvicorn APP [OPTIONS]`: Uvicorn with its own options, and its workers under our supervisor.

Uvicorn's supervisor is not used. On SIGHUP it replaces all workers instead of the one that leaks, on SIGTTOU it ends
the newest. It checks a worker by a thread of that worker, which says nothing about the event loop. Here each worker is
an ordinary Uvicorn server on a socket that all of them inherit.
"""

import logging
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import click
from uvicorn.config import STARTUP_FAILURE

from hca_workers.processes import open_files
from hca_workers.servers.uvicorn_options import config_from
from hca_workers.servers.uvicorn_worker import SOCKET_VARIABLE
from hca_workers.settings import SettingsError, settings_from
from hca_workers.supervision.supervisor import BrokenAppError, Supervisor


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM; return the exit code: 2 for a wrong setting, 3 for an app that cannot be loaded."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    try:
        settings = settings_from(os.environ)
    except SettingsError as error:
        sys.stderr.write(f"hca-uvicorn: {error}\n")
        return 2
    try:
        config = config_from(given)
    except click.exceptions.Exit as done:  # --help or --version
        return done.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    open_files.raise_limit()
    socket = config.bind_socket()
    # The workers are separate programs, and read the number of the descriptor from here.
    os.environ[SOCKET_VARIABLE] = str(socket.fileno())
    supervisor = Supervisor(
        [sys.executable, "-m", "hca_workers.servers.uvicorn_worker", *given],
        settings,
        desired=config.workers,
        descriptors=[socket.fileno()],
        log=logging.getLogger("uvicorn.error"),
    )
    try:
        supervisor.run()
    except BrokenAppError as error:
        sys.stderr.write(f"hca-uvicorn: {error}\n")
        return STARTUP_FAILURE
    finally:
        if config.uds is not None:
            with suppress(FileNotFoundError):
                Path(config.uds).unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main())
