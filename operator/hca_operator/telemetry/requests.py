"""Metrics of the requests to the API server."""

from prometheus_client import CollectorRegistry, Counter, Histogram


class RequestMetrics:
    """Requests to the API server, by verb, kind and HTTP status."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = Counter(
            "hca_api_requests_total", "Requests to the API server by verb, kind and HTTP status (0: no answer).",
            ["verb", "kind", "code"], registry=registry,
        )  # fmt: skip
        self._seconds = Histogram(
            "hca_api_request_seconds", "Duration of a request to the API server.", ["verb"], registry=registry,
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
        )  # fmt: skip

    def observe(self, verb: str, kind: str, status: int, seconds: float) -> None:
        """Count a request."""
        self._requests.labels(verb, kind, status).inc()
        self._seconds.labels(verb).observe(seconds)
