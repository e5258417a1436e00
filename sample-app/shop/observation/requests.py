"""The metrics and the log line of every request.

Labels of metrics are the pattern of the route, never the path, and a known method or "other": a label that clients can
invent is a memory leak in the app and in Prometheus. The path is in the log.
"""

from starlette.types import Scope

from shop.observation.access_log import AccessLog
from shop.observation.metrics import Metrics

_METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})


class RequestRecorder:
    """Counts and logs answered requests."""

    def __init__(self, metrics: Metrics, log: AccessLog) -> None:
        self._requests = metrics.served
        self._log = log

    def record(self, scope: Scope, status: int, seconds: float) -> None:
        """Record a finished request."""
        method = scope["method"]
        route = scope["route"].path if "route" in scope else "unmatched"
        self._requests.note(method if method in _METHODS else "other", route, status, seconds)
        self._log.note(scope, route, status, seconds)
