"""Parses the statistics of Envoy about the Services behind it, in Prometheus' text format: pure.

Envoy counts by cluster, and Contour makes one cluster for each port of a Service. Envoy's times are in milliseconds.
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
_CLUSTER_LINES = re.compile(
    rf"^envoy_cluster_upstream_({'|'.join(_COUNTS)}|{_TIMES}_bucket)\{{([^}}\n]*)\}} (\d+(?:\.\d+)?(?:e\+?\d+)?)$",
    re.MULTILINE,
)
_CLUSTER_LABELS = re.compile(r'(envoy_cluster_name|le)="([^"]*)"')
LONGEST_CACHED_LABELS = 512
"""Characters of labels that are cached: twice a namespace's name, an object's, and a bound."""
_NO_TIMES: Mapping[float, float] = {math.inf: 0.0}


@dataclass(frozen=True)
class ClusterCounts:
    """The counts of one Envoy cluster since the cluster was created."""

    sent: float
    """Requests that were sent to a pod."""
    without_room: float
    """Requests that Envoy has rejected because too many were waiting for a connection."""
    without_pod: float
    """Requests that Envoy has rejected because no pod was ready."""
    in_flight: float
    times: Mapping[float, float]
    """Cumulative histogram of durations: requests by upper bound of the bucket in seconds; all at infinity."""

    @property
    def requests(self) -> float:
        """All requests that arrived."""
        return self.sent + self.without_room + self.without_pod


def statistics_filter(clusters: Collection[str]) -> str:
    """The query string that selects the counts above of these clusters; Envoy has hundreds of other statistics."""
    names = "|".join(sorted(clusters))
    return "filter=" + quote(rf"^cluster\.({names})\.upstream_({'|'.join((*_COUNTS, _TIMES))})$", safe="")


class Statistics:
    """Parses an Envoy's answer, which is fed in blocks of whole lines, into counts by cluster."""

    def __init__(self) -> None:
        self._values: dict[str, dict[tuple[str, float], float]] = {}

    def feed(self, lines: bytes) -> None:
        """Take in whole lines."""
        for what, labels, number in _CLUSTER_LINES.findall(lines.decode(errors="replace")):
            cluster, bound = (
                _cached_cluster(labels) if len(labels) <= LONGEST_CACHED_LABELS else _cluster_and_bound(labels)
            )
            self._values.setdefault(cluster, {})[what, bound] = float(number)

    def result(self) -> dict[str, ClusterCounts]:
        """The counts by cluster. A cluster that this Envoy does not have is absent.

        Envoy exposes the counts of a cluster as soon as it is made, and the times from its first request on.
        """
        return {
            cluster: _counts(series) for cluster, series in self._values.items() if ("rq_total", math.inf) in series
        }


def sample(now: ClusterCounts, before: ClusterCounts | None) -> PodSample:
    """The sample of a cluster, from its counts now and at the previous read.

    Envoy updates its histogram every 5 seconds. In between it does not change although requests arrive; then the sample
    has no durations.

    While no pod is ready, no request is in flight and none takes long. A HorizontalPodAutoscaler that read these values
    would remove the pods that are about to become ready; so the sample then has only the requests that arrive.
    """
    still = before is not None and now.times == before.times and now.requests != before.requests
    no_pod_ready = before is not None and now.without_pod > before.without_pod
    return PodSample(
        requests=now.requests,
        buckets=None if still or no_pod_ready else now.times,
        in_flight=None if no_pod_ready else now.in_flight,
    )


def _cluster_and_bound(labels: str) -> tuple[str, float]:
    """Cluster and upper bound of a series, infinity for one that is no bucket."""
    found = dict(_CLUSTER_LABELS.findall(labels))
    return found.get("envoy_cluster_name", ""), float(found.get("le", "inf"))


_cached_cluster = lru_cache(maxsize=2**15)(_cluster_and_bound)
"""Cached, because each answer has the same series."""


def _counts(series: Mapping[tuple[str, float], float]) -> ClusterCounts:
    def total(*names: str) -> float:
        return math.fsum(series.get((name, math.inf), 0.0) for name in names)

    times = {bound / 1000: count for (what, bound), count in series.items() if what.startswith(_TIMES)}
    return ClusterCounts(
        sent=total("rq_total"),
        without_room=total("rq_pending_overflow"),
        without_pod=total("cx_none_healthy"),
        # For the client, a request that waits for a connection is in flight.
        in_flight=total("rq_active", "rq_pending_active"),
        times=times or _NO_TIMES,
    )
