"""`gunicorn -c python:hca_workers.gunicorn`: the configuration module of Gunicorn, with server hooks alone.

The hooks call `servers.gunicorn_master`, which replaces workers.
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

# Names of this module that are settings of Gunicorn; its command line overrides them.
timeout = int(_settings.policy.max_silence_seconds)
graceful_timeout = int(_settings.policy.kill_timeout_seconds)


def when_ready(server: Any) -> None:  # noqa: ANN401
    """Raise the limit of open files and begin to observe, before the first worker is started."""
    global _master  # noqa: PLW0603 - Gunicorn's hooks are functions of a module
    open_files.raise_limit()
    _master = Master(server, _settings)
    threading.Thread(target=_master.watch, name="hca-workers", daemon=True).start()


def post_fork(_server: Any, worker: Any) -> None:  # noqa: ANN401
    """Add a heartbeat to the worker's own `notify`, which every kind of worker calls from its loop."""
    assert _master is not None  # noqa: S101 - Gunicorn starts no worker before it is ready
    beat, notify = _master.heartbeats.beat, worker.notify

    def notified() -> None:
        notify()
        beat()

    worker.notify = notified


def post_worker_init(_worker: Any) -> None:  # noqa: ANN401
    """Offer snapshots of this worker's heap."""
    offer_snapshots()


def worker_exit(_server: Any, _worker: Any) -> None:  # noqa: ANN401
    """Exit with code 1 if this worker was to replace another one and could not start.

    Gunicorn takes some exit codes for a broken app and ends the whole server. That is right when the server starts,
    and wrong while the old workers serve.
    """
    if _master is not None and _master.is_replacing and os.getpid() not in _master.heartbeats.times():
        os._exit(1)


def child_exit(_server: Any, worker: Any) -> None:  # noqa: ANN401
    """Pass the end of a worker on to `Master`."""
    if _master is not None:
        _master.exited(worker.pid)


def on_reload(_server: Any) -> None:  # noqa: ANN401
    """Pass Gunicorn's SIGHUP on to `Master`."""
    if _master is not None:
        _master.reloaded()
