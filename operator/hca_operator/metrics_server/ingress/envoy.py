"""What an Envoy tells of the Services that it leads to, read from its Prometheus text: pure.

Envoy counts by clusters, of which Contour makes one for each port of a Service, with a name of its own in the
statistics. Times are in milliseconds.
"""

import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import quote

from hca_operator.metrics_server.samples.exposition import PodSample

_COUNTS = "rq_total", "rq_active", "rq_pending_active", "rq_pending_overflow", "cx_none_healthy"
_TIMES = "rq_time"
_LINES = re.compile(
    rf"^envoy_cluster_upstream_({'|'.join(_COUNTS)}|{_TIMES}_bucket)\{{([^}}\n]*)\}} (\d+(?:\.\d+)?(?:e\+?\d+)?)$",
    re.MULTILINE,
)
_LABELS = re.compile(r'(envoy_cluster_name|le)="([^"]*)"')
_NO_TIMES: Mapping[float, float] = {math.inf: 0.0}


@dataclass(frozen=True)
class ClusterCounts:
    """What an Envoy has counted for one cluster since it knows of it."""

    begun: float
    """Requests that were sent to a pod."""
    without_room: float
    """Requests that Envoy has answered itself, for too many were waiting for a connection."""
    without_pod: float
    """Requests that Envoy has answered itself, for no pod was ready."""
    under_way: float
    times: Mapping[float, float]
    """How many requests took at most so many seconds; at infinity all that have ended."""

    @property
    def requests(self) -> float:
        """All that came."""
        return self.begun + self.without_room + self.without_pod


def question(clusters: Collection[str]) -> str:
    """The query that asks for what matters of these clusters and for nothing else; an Envoy has hundreds of counts."""
    names = "|".join(sorted(clusters))
    return "filter=" + quote(rf"^cluster\.({names})\.upstream_({'|'.join((*_COUNTS, _TIMES))})$", safe="")


def counts_of_clusters(text: str) -> dict[str, ClusterCounts]:
    """What was counted, by cluster; one that is not there is not known to this Envoy.

    A cluster is shown with its counts from the moment on at which it is made, its times from the first request on.
    """
    values: dict[str, dict[tuple[str, float], float]] = {}
    for what, labels, number in _LINES.findall(text):
        cluster, bound = _series(labels)
        values.setdefault(cluster, {})[what, bound] = float(number)
    return {cluster: _counts(told) for cluster, told in values.items() if ("rq_total", math.inf) in told}


def sample(now: ClusterCounts, before: ClusterCounts | None) -> PodSample:
    """What is told of a cluster, given what was counted at the last time.

    Envoy adds its times up each 5 seconds. In between they stand still while requests come, as if none came: then
    nothing is told of them.

    Where no pod is ready, no request is under way and none takes long. Told so, an autoscaler would take the pods away
    that are about to be ready: nothing is told then but the requests that come.
    """
    still = before is not None and now.times == before.times and now.requests != before.requests
    nobody_serves = before is not None and now.without_pod > before.without_pod
    return PodSample(
        requests=now.requests,
        buckets=None if still or nobody_serves else now.times,
        in_flight=None if nobody_serves else now.under_way,
    )


@lru_cache(maxsize=2**15)
def _series(labels: str) -> tuple[str, float]:
    """Cluster and bound of a series, infinity for what is no bucket; remembered, for they come again and again."""
    found = dict(_LABELS.findall(labels))
    return found.get("envoy_cluster_name", ""), float(found.get("le", "inf"))


def _counts(told: Mapping[tuple[str, float], float]) -> ClusterCounts:
    def total(*names: str) -> float:
        return math.fsum(told.get((name, math.inf), 0.0) for name in names)

    times = {bound / 1000: count for (what, bound), count in told.items() if what.startswith(_TIMES)}
    return ClusterCounts(
        begun=total("rq_total"),
        without_room=total("rq_pending_overflow"),
        without_pod=total("cx_none_healthy"),
        # What waits for a connection is under way for whoever asked.
        under_way=total("rq_active", "rq_pending_active"),
        times=times or _NO_TIMES,
    )
