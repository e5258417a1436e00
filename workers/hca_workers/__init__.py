"""Worker processes that are replaced before they cost a request: too big, silent, or dead.

`health` is what an application asks; the rest is reached through `hca-uvicorn` and
`gunicorn -c python:hca_workers.gunicorn`.
"""

from hca_workers.board import WorkerHealth, health

__all__ = ["WorkerHealth", "health"]
