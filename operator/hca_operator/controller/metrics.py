"""The operator's own metrics."""

import sys
from collections.abc import Callable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from hca_operator.core.names import KIND, Manifest
from hca_operator.core.timestamps import time_of
from hca_operator.kube.faults import INTERNAL_ERRORS
from hca_operator.restarts.memory_trend import Trend
from hca_operator.telemetry.process import observe_process
from hca_operator.telemetry.requests import RequestMetrics


class CountedElsewhere(Collector):
    """A counter whose value is kept elsewhere: a Gauge would have another name and type."""

    def __init__(self, name: str, help_text: str, read: Callable[[], float]) -> None:
        self._name = name
        self._help = help_text
        self._read = read

    def collect(self) -> Iterator[Metric]:
        """The counter as it is now."""
        yield CounterMetricFamily(self._name, self._help, value=self._read())


class ConditionCollector(Collector):
    """The conditions of each object, as kube-state-metrics has them of other kinds, but without those that are 0.

    Its series are made at each scrape: a thousand objects have eight thousand of them, for which labelled gauges would
    take ten times the memory.
    """

    def __init__(self) -> None:
        self.up_to_date: Callable[[], bool] = lambda: True
        """Whether the metrics of the objects are exported: only once they are known."""
        self._known: dict[tuple[str, str], tuple[tuple[str, str], ...]] = {}

    def observe(self, name: tuple[str, str], status: Manifest | None) -> None:
        """Take in the conditions of an object. `status`: None if the object is gone."""
        if status is None:
            self._known.pop(name, None)
        else:
            conditions = ((entry["type"], entry["status"]) for entry in status.get("conditions", []))
            self._known[name] = tuple((sys.intern(kind), sys.intern(state)) for kind, state in conditions)

    def collect(self) -> Iterator[Metric]:
        """A series of value 1 for each condition, with its status."""
        family = GaugeMetricFamily(
            "hca_conditions",
            f"1 for each condition of each {KIND}, with the status that it has.",
            labels=["namespace", "name", "type", "status"],
        )
        # Copied in one step: a scrape runs in a thread of its own.
        for name, conditions in list(self._known.items()) if self.up_to_date() else ():
            for condition in conditions:
                family.add_metric((*name, *condition), 1)
        yield family


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
        self._conditions = ConditionCollector()
        self.registry.register(self._conditions)
        observe_process(self.registry)

    def watch_leader(self, leads: Callable[[], bool]) -> None:
        """Export whether this replica is the leader. What a former leader knows of the objects is not exported."""
        self._conditions.up_to_date = leads
        Gauge(
            "hca_leader", "1 while this replica is the leader, which writes, else 0.", registry=self.registry
        ).set_function(leads)

    def watch_queue(self, depth: Callable[[], float], adds: Callable[[], float], retries: Callable[[], float]) -> None:
        """Export the numbers of the work queue, which are read at each scrape."""
        Gauge("hca_queue_depth", "Objects that wait to be reconciled.", registry=self.registry).set_function(depth)
        for name, help_text, read in (
            ("hca_queue_adds", "Times that an object was put into the queue.", adds),
            ("hca_queue_retries", "Times that an object was put back after a failure.", retries),
        ):
            self.registry.register(CountedElsewhere(name, help_text, read))

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

    def observe_conditions(self, name: tuple[str, str], status: Manifest | None) -> None:
        """Export the conditions of an object instead of its earlier ones. `status`: None if the object is gone."""
        self._conditions.observe(name, status)
