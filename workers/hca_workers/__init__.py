"""Worker processes that are replaced before they cost a request: too big, blocked, or dead.

An application calls `health`, and under another server `offer_snapshots`. Everything else is reached by the commands
`hca-uvicorn` and `gunicorn -c python:hca_workers.gunicorn`.
"""

from hca_workers.processes.heartbeats import WorkerHealth, health
from hca_workers.snapshots.writer import offer_snapshots

__all__ = ["WorkerHealth", "health", "offer_snapshots"]
