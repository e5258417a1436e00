"""Which metrics of an object are read from Prometheus, from a manifest in which any field may be missing: pure."""

from typing import NamedTuple

from hca_operator.api.metric_types import PROMETHEUS, MetricType
from hca_operator.core.names import Manifest
from hca_operator.metrics_server.inventory.object_metrics import metrics_of, source_of
from hca_operator.metrics_server.inventory.targets import ignored_paths_of


class OwnQuery(NamedTuple):
    """The query of a metric of type Prometheus, as it is in the object."""

    name: str
    """Of the metric in the object."""
    query: str


class Demand(NamedTuple):
    """The metrics that are read for an object."""

    metrics: frozenset[MetricType]
    """Types of metrics of its pods."""
    ignored_paths: frozenset[str]
    """Paths of probes and scrapes: requests for them are no load."""
    queries: frozenset[OwnQuery]


def demand_of(api: Manifest) -> Demand | None:
    """The metrics that are read for an object; None if there are none."""
    spec = api.get("spec") or {}
    metrics, at_ingress = metrics_of(spec), source_of(spec) == "Ingress"
    of_pods = frozenset(metric.type for metric in metrics if metric.type.from_pods and not at_ingress)
    queries = frozenset(
        OwnQuery(str(entry.get("name")), str((entry.get("prometheus") or {}).get("query") or ""))
        for type_, entry in metrics
        if type_ is PROMETHEUS
    )
    return Demand(of_pods, ignored_paths_of(spec), queries) if of_pods or queries else None
