"""What objects want to know of Prometheus, read off their manifests, tolerantly: pure."""

from typing import Any, NamedTuple

from hca_operator.api.metrics import FROM_PODS
from hca_operator.api.promql import RefusedQuery, bounded
from hca_operator.core.names import CONCURRENCY_METRIC, LAG_METRIC, REQUESTS_METRIC, Manifest
from hca_operator.metrics_server.prometheus.question import KINDS, LATENCY, Kind

_KIND_OF = {
    "RequestsPerSecond": REQUESTS_METRIC,
    "Latency": LATENCY,
    "Concurrency": CONCURRENCY_METRIC,
    "EventLoopLag": LAG_METRIC,
}


class OwnQuery(NamedTuple):
    """A query that an object brings along."""

    name: str
    query: str
    """Bound to the object's namespace; empty where it may not be asked."""
    refusal: str


class Demand(NamedTuple):
    """What is to be known of an object."""

    kinds: frozenset[Kind]
    aside: frozenset[str]
    """Paths that are asked for by probes and scrapes, which is no load."""
    queries: frozenset[OwnQuery]


def demand_of(api: Manifest) -> Demand | None:
    """What an object wants to know, None where it is nothing."""
    spec = api.get("spec") or {}
    scaling = spec.get("autoscaling") or {}
    metrics = scaling.get("metrics") or []
    if scaling.get("mode") == "Disabled":
        return None
    monitoring = spec.get("monitoring") or {}
    of_pods = monitoring.get("source") != "Ingress"
    wanted = {_KIND_OF[metric["type"]] for metric in metrics if of_pods and metric.get("type") in FROM_PODS}
    queries = frozenset(
        _own_query(metric, api["metadata"]["namespace"]) for metric in metrics if metric.get("type") == "Prometheus"
    )
    if not wanted and not queries:
        return None
    path = monitoring.get("path") or "/metrics"
    readiness = (spec.get("health") or {}).get("readinessPath") or "/health"
    return Demand(frozenset(kind for kind in KINDS if kind.name in wanted), frozenset({path, readiness}), queries)


def _own_query(metric: dict[str, Any], namespace: str) -> OwnQuery:
    query = (metric.get("prometheus") or {}).get("query") or ""
    try:
        return OwnQuery(metric["name"], bounded(query, namespace), "")
    except RefusedQuery as refused:
        return OwnQuery(metric["name"], "", f"its query {refused}")
