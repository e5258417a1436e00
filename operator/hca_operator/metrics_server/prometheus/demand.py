"""Which metrics of an object are read from Prometheus, from a manifest in which any field may be missing: pure."""

from typing import NamedTuple

from hca_operator.api.metric_types import METRIC_TYPE_BY_NAME, PROMETHEUS, MetricType
from hca_operator.core.names import Manifest
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
    scaling = spec.get("autoscaling") or {}
    if scaling.get("mode") == "Disabled":
        return None
    metrics = scaling.get("metrics") or []
    if (spec.get("monitoring") or {}).get("source") == "Ingress":
        of_pods = frozenset[MetricType]()
    else:
        types = (METRIC_TYPE_BY_NAME.get(metric.get("type")) for metric in metrics)
        of_pods = frozenset(type_ for type_ in types if type_ is not None and type_.from_pods)
    queries = frozenset(
        OwnQuery(str(metric.get("name")), str((metric.get("prometheus") or {}).get("query") or ""))
        for metric in metrics
        if metric.get("type") == PROMETHEUS.name
    )
    return Demand(of_pods, ignored_paths_of(spec), queries) if of_pods or queries else None
