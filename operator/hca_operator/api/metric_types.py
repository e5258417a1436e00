"""The one table of the metrics that an object may scale on: pure data, from which every other module derives.

The model of `spec.autoscaling.metrics`, the HorizontalPodAutoscaler, the parser of the pods' metrics, the queries to
Prometheus and the external metrics API all read it. A new type of metric begins with a line here.
"""

import re
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, NamedTuple

from hca_operator.core.names import API_LABEL, METRIC_LABEL


class Aggregation(Enum):
    """How the values of the pods become the one value of the object."""

    SUM = auto()
    """The total of all pods. The HorizontalPodAutoscaler divides it by the number of pods (`AverageValue`)."""
    MEAN = auto()
    """The mean over the pods, which the HorizontalPodAutoscaler compares directly (`Value`)."""
    PERCENTILE = auto()
    """A percentile over the requests of all pods, which the HorizontalPodAutoscaler compares directly (`Value`)."""


@dataclass(frozen=True, eq=False)
class MetricType:
    """One value of `spec.autoscaling.metrics[].type`. Each exists once, in `METRIC_TYPES`."""

    name: str
    """The value of `type`."""
    member: str
    """The field of the model that has its settings."""
    external: str = ""
    """Its name in external.metrics.k8s.io, with `-pNN` added for a percentile. Empty: metrics.k8s.io serves it."""
    unit: str = ""
    """Of the external metric. Empty: the query of the object says."""
    labels: tuple[str, ...] = (API_LABEL,)
    """Labels in the selector of the external metric in the HorizontalPodAutoscaler."""
    aggregation: Aggregation = Aggregation.SUM
    """Of the values of all pods."""
    histograms: tuple[str, ...] = ()
    """Histograms that pods may expose for it, in order of preference."""
    series: tuple[str, ...] = ()
    """Series that pods may expose for it, in order of preference, after the histograms."""
    cumulative: bool = False
    """Whether the series count requests since the pod started, so that their increase is the value. Requests of probes
    and scrapes are left out of these alone."""
    worst_worker: bool = False
    """Whether the value of a pod is that of its worst worker and not the sum of all workers."""

    @property
    def from_pods(self) -> bool:
        """Whether it is measured where `spec.monitoring.source` says: at the pods or at the ingress."""
        return bool(self.histograms or self.series)

    @property
    def is_total(self) -> bool:
        """Whether it says how many pods the load needs, however many pods there are."""
        return self.from_pods and self.aggregation is Aggregation.SUM

    def external_name(self, percentile: int | None = None) -> str:
        """Its name in external.metrics.k8s.io."""
        return f"{self.external}-p{percentile}" if self.aggregation is Aggregation.PERCENTILE else self.external


DURATION_HISTOGRAMS: Final = ("http_request_duration_seconds", "http_server_request_duration_seconds")
"""One by the conventions of Prometheus, one by those of OpenTelemetry."""

CPU: Final = MetricType("CPU", "cpu")
MEMORY: Final = MetricType("Memory", "memory")
REQUESTS_PER_SECOND: Final = MetricType(
    "RequestsPerSecond", "requests_per_second", "hca-requests-per-second",
    unit="requests/s", histograms=DURATION_HISTOGRAMS, series=("http_requests_total",), cumulative=True,
)  # fmt: skip
LATENCY: Final = MetricType(
    "Latency", "latency", "hca-latency",
    unit="s", aggregation=Aggregation.PERCENTILE, histograms=DURATION_HISTOGRAMS, cumulative=True,
)  # fmt: skip
CONCURRENCY: Final = MetricType(
    "Concurrency", "concurrency", "hca-concurrency",
    unit="requests",
    series=(
        "http_requests_in_flight",
        "http_requests_in_progress",
        "http_requests_inprogress",
        "http_server_active_requests",
    ),
)  # fmt: skip
EVENT_LOOP_LAG: Final = MetricType(
    "EventLoopLag", "event_loop_lag", "hca-event-loop-lag",
    unit="s", aggregation=Aggregation.MEAN, series=("event_loop_lag_seconds",), worst_worker=True,
)  # fmt: skip
PROMETHEUS: Final = MetricType("Prometheus", "prometheus", "hca-prometheus", labels=(API_LABEL, METRIC_LABEL))
"""A query of the object's own. An object may have several, so the second label has the name of the metric."""

METRIC_TYPES: Final = (CPU, MEMORY, REQUESTS_PER_SECOND, LATENCY, CONCURRENCY, EVENT_LOOP_LAG, PROMETHEUS)
METRIC_TYPE_BY_NAME: Final = {metric.name: metric for metric in METRIC_TYPES}
POD_METRICS: Final = tuple(metric for metric in METRIC_TYPES if metric.from_pods)


class ExternalMetric(NamedTuple):
    """A metric that a HorizontalPodAutoscaler requests from external.metrics.k8s.io."""

    type: MetricType
    percentile: int | None = None


_BY_EXTERNAL = {metric.external: metric for metric in METRIC_TYPES if metric.external}
_PERCENTILE = re.compile("(.+)-p([1-9][0-9]?)")


def external_metric(name: str) -> ExternalMetric | None:
    """The metric with a name in external.metrics.k8s.io, None for a name that no metric has."""
    if match := _PERCENTILE.fullmatch(name):
        metric = _BY_EXTERNAL.get(match[1])
        percentile = metric is not None and metric.aggregation is Aggregation.PERCENTILE
        return ExternalMetric(metric, int(match[2])) if metric is not None and percentile else None
    metric = _BY_EXTERNAL.get(name)
    if metric is None or metric.aggregation is Aggregation.PERCENTILE:
        return None
    return ExternalMetric(metric)
