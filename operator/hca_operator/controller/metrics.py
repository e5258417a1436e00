"""The operator's own metrics."""

from collections.abc import Callable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from hca_operator.core.names import KIND, Manifest
from hca_operator.core.timestamps import time_of
from hca_operator.kube.faults import INTERNAL_ERRORS
from hca_operator.restarts.memory_trend import Trend
from hca_operator.telemetry.requests import RequestMetrics


class OperatorMetrics:
    """Everything that /metrics of the operator shows."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(INTERNAL_ERRORS)
        self.reconciles = Counter(
            "hca_reconciles_total", "Reconciles by result: unchanged, written, retried, failed.", ["result"],
            registry=self.registry,
        )  # fmt: skip
        self.reconcile_seconds = Histogram(
            "hca_reconcile_seconds", "Duration of a reconcile.", registry=self.registry,
            buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
        )  # fmt: skip
        self.requests = RequestMetrics(self.registry)
        self.memory_restarts = Counter(
            "hca_memory_restarts_total", "Restarts on memory by reason: PodReplaced, OOMKilled.", ["reason"],
            registry=self.registry,
        )  # fmt: skip
        self._last_memory_restart = Gauge(
            "hca_memory_last_restart_timestamp_seconds", "When memory last ended a pod or a container of an API.",
            ["namespace", "name"], registry=self.registry,
        )  # fmt: skip
        self._memory_growth = Gauge(
            "hca_memory_growth_bytes_per_second", "How fast the fastest pod of an API has grown for five minutes.",
            ["namespace", "name"], registry=self.registry,
        )  # fmt: skip
        self._memory_limit_ahead = Gauge(
            "hca_memory_seconds_to_limit", "When the first pod of an API is at its memory limit, as it grows now.",
            ["namespace", "name"], registry=self.registry,
        )  # fmt: skip
        self._objects = Gauge(
            "hca_conditions", f"Number of {KIND} objects by condition and its status.", ["type", "status"],
            registry=self.registry,
        )  # fmt: skip
        self._conditions: dict[object, frozenset[tuple[str, str]]] = {}

    def watch_queue(self, depth: Callable[[], float], adds: Callable[[], float], retries: Callable[[], float]) -> None:
        """Export the numbers of the work queue, which are read at each scrape."""
        for name, help_text, read in (
            ("hca_queue_depth", "Objects that wait to be reconciled.", depth),
            ("hca_queue_adds", "Times that an object was put into the queue.", adds),
            ("hca_queue_retries", "Times that an object was put back after a failure.", retries),
        ):
            Gauge(name, help_text, registry=self.registry).set_function(read)

    def watch_children(self, count: Callable[[], float]) -> None:
        """Export how many children the cache has, which is read at each scrape."""
        Gauge("hca_children", "Children in the cache.", registry=self.registry).set_function(count)

    def observe_trends(self, trends: Mapping[tuple[str, str], Trend]) -> None:
        """Export how the memory of each API grows. APIs without a trend are no longer exported."""
        self._memory_growth.clear()
        self._memory_limit_ahead.clear()
        for name, (growth, seconds_to_limit) in trends.items():
            self._memory_growth.labels(*name).set(growth)
            if seconds_to_limit is not None:
                self._memory_limit_ahead.labels(*name).set(seconds_to_limit)

    def observe_memory_restarts(
        self, name: tuple[str, str], status: Manifest | None, restarts: Mapping[str, int]
    ) -> None:
        """Count new restarts of an API by reason, and export the time of the last one. `status`: None if it is gone."""
        for reason, number in restarts.items():
            self.memory_restarts.labels(reason).inc(number)
        last = time_of((status or {}).get("memoryRestarts"), "lastTime")
        if last is not None:
            self._last_memory_restart.labels(*name).set(last.timestamp())
        elif status is None:
            self._last_memory_restart.remove(*name)

    def observe_conditions(self, key: object, status: Manifest | None) -> None:
        """Count the conditions of an object instead of its earlier ones. `status`: None if the object is gone."""
        for pair in self._conditions.pop(key, frozenset()):
            self._objects.labels(*pair).dec()
        if status is not None:
            self._conditions[key] = frozenset((c["type"], c["status"]) for c in status.get("conditions", []))
            for pair in self._conditions[key]:
                self._objects.labels(*pair).inc()
