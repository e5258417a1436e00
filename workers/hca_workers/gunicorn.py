"""`gunicorn -c python:hca_workers.gunicorn`: what this package adds to Gunicorn, by its server hooks alone.

`servers.gunicorn_master` does what the hooks begin.
"""

import os
import threading
from typing import Any

from hca_workers.processes import open_files
from hca_workers.servers.gunicorn_master import Master
from hca_workers.settings import settings_from
from hca_workers.snapshots.writer import offer_snapshots

_settings = settings_from(os.environ)
_master: "Master | None" = None

# Gunicorn's own settings, taken from this module's names; its command line goes before them.
timeout = int(_settings.policy.max_silence)
graceful_timeout = int(_settings.policy.kill_timeout)


def when_ready(server: Any) -> None:  # noqa: ANN401
    """Have room for connections, and begin to look, before the first worker is started."""
    global _master  # noqa: PLW0603 - Gunicorn's hooks are functions of a module
    open_files.raise_limit()
    _master = Master(server, _settings)
    threading.Thread(target=_master.watch, name="hca-workers", daemon=True).start()


def post_fork(_server: Any, worker: Any) -> None:  # noqa: ANN401
    """Have the worker's own `notify`, which every kind of worker calls from its loop, leave a beat as well."""
    assert _master is not None  # noqa: S101 - Gunicorn starts no worker before it is ready
    beat, notify = _master.board.beat, worker.notify

    def notified() -> None:
        notify()
        beat()

    worker.notify = notified


def post_worker_init(_worker: Any) -> None:  # noqa: ANN401
    """Offer snapshots of this worker's heap."""
    offer_snapshots()


def worker_exit(_server: Any, _worker: Any) -> None:  # noqa: ANN401
    """Have a new worker that cannot start end like any that dies, where it was to replace one that serves.

    Gunicorn takes some exit codes for a broken app and ends the whole server: right when it starts,
    wrong while the old workers serve.
    """
    if _master is not None and _master.replaces and os.getpid() not in _master.board.beats():
        os._exit(1)


def child_exit(_server: Any, worker: Any) -> None:  # noqa: ANN401
    """Tell the master's part of this package."""
    if _master is not None:
        _master.exited(worker.pid)


def on_reload(_server: Any) -> None:  # noqa: ANN401
    """Tell the master's part of this package."""
    if _master is not None:
        _master.reloaded()
