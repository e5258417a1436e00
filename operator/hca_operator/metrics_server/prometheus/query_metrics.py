"""Metrics of the queries to Prometheus."""

from prometheus_client import CollectorRegistry, Counter, Histogram


class QueryMetrics:
    """Number, results and durations of the queries."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._queries = Counter(
            "hca_prometheus_queries_total",
            "Queries to Prometheus by kind (hca-prometheus: those of objects) and result: answered, timeout, "
            "unreachable, redirected, refused, too_large, partial, unreadable.",
            ["kind", "result"], registry=registry,
        )  # fmt: skip
        self._seconds = Histogram(
            "hca_prometheus_query_seconds", "Duration of a query to Prometheus by kind.", ["kind"], registry=registry,
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 3),
        )  # fmt: skip

    def observe(self, kind: str, result: str, seconds: float) -> None:
        """Count a query."""
        self._queries.labels(kind, result).inc()
        self._seconds.labels(kind).observe(seconds)
