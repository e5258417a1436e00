"""Worker processes that are replaced before they cost a request: too big, silent, or dead.

`health` is what an application asks, `offer_snapshots` what it calls under another server; the rest is reached through
`hca-uvicorn` and `gunicorn -c python:hca_workers.gunicorn`.
"""

from hca_workers.processes.board import WorkerHealth, health
from hca_workers.snapshots.writer import offer_snapshots

__all__ = ["WorkerHealth", "health", "offer_snapshots"]
