"""Reads from the pods of the ingress how many requests they send to each object, and their durations."""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from hca_operator.core.ports import Key, ListerWatcher
from hca_operator.metrics_server.ingress.envoy import ClusterCounts, Statistics, sample, statistics_filter
from hca_operator.metrics_server.inventory.inventory import Inventory
from hca_operator.metrics_server.inventory.shared_informer import SharedInformer
from hca_operator.metrics_server.inventory.targets import Endpoint, Pod, cluster_of, stripped_pod
from hca_operator.metrics_server.pods.pod_polling import PodReader
from hca_operator.metrics_server.pods.scrape import ScrapeFailure, Target
from hca_operator.metrics_server.pods.scrape_metrics import ScrapeMetrics
from hca_operator.metrics_server.samples.reading import Reading
from hca_operator.metrics_server.samples.sample_store import SampleSource, SampleStore

CLUSTERS_PER_REQUEST = 100
"""12 KiB of request at most, and a quarter of a mebibyte of answer."""
ENVOYS = SampleSource(
    # Three of the intervals at which Envoy updates its histogram, so that two updates are always within.
    window_seconds=15.0,
    # All of them: a load balancer may send all requests to the one pod that could not be read.
    quorum=1.0,
    pods="the {} pods of the ingress",
    none_ready="no pod of the ingress is ready: ask the platform team to check the pods that the operator's chart "
    "value externalMetrics.ingress selects",
    not_exposed="requests arrive there but none ends, or no pod of the API is ready: see its condition Ready",
)

_ENVOYS = Key("", "")
"""The key of the pods of the ingress in the inventory: they belong to no object."""


@dataclass(frozen=True)
class IngressPods:
    """Which pods are the ingress, and where each of them exposes its statistics."""

    namespace: str
    selector: str
    port: int
    path: str


class IngressReader(PodReader[str, Pod]):
    """Reads the pods of the ingress, and answers for the objects with `monitoring.source: Ingress`."""

    def __init__(  # noqa: PLR0913 - what a test replaces
        self,
        apis: SharedInformer,
        envoys: SharedInformer,
        ingress: IngressPods,
        metrics: ScrapeMetrics,
        *,
        clock: Callable[[], float],
        phase: Callable[[], float],
    ) -> None:
        """`clock` is monotonic; `phase` returns a number from 0 to 1, and spreads the requests over the interval."""
        inventory = Inventory(apis, cluster_of, envoys, api_of=lambda _pod: _ENVOYS)
        super().__init__(inventory, "the pods of the ingress", clock=clock, phase=phase)
        self._ingress = ingress
        self._metrics = metrics
        self._samples = SampleStore(clock, ENVOYS)
        self._clusters: dict[Key, str] = {}
        """The Envoy cluster from which the samples of each object are."""

    def counts_for(self, api: Key) -> bool:
        """Whether the metrics of an object are read from the ingress."""
        return api in self._clusters

    def read(
        self, namespace: str, api: str, metric: str, now: datetime, *, window_seconds: float = math.inf
    ) -> Reading:
        """The value of a metric of an object, over at most `window_seconds`. Raises Unknown if there is none."""
        return self._samples.read(namespace, api, metric, now, window_seconds=window_seconds)

    def _update(self, keys: set[Key]) -> None:
        if _ENVOYS in keys:
            self._pollers.keep(_ENVOYS, set(self._inventory.pods_of(_ENVOYS)))
            keys = keys | self._clusters.keys()
        for api in keys - {_ENVOYS}:
            cluster = self._inventory.api(api)
            if self._clusters.pop(api, None) != cluster:
                self._samples.forget(api)  # counts of another Service cannot be compared
            if cluster is not None:
                self._clusters[api] = cluster
                self._samples.follow(api, [envoy.uid for envoy in self._pollers.of(_ENVOYS)])

    async def _poll(self, _key: Key, envoy: Pod, /) -> None:
        before: dict[str, ClusterCounts] = {}

        async def read(_: ScrapeFailure | None) -> ScrapeFailure | None:
            nonlocal before
            started, clusters = self._clock(), dict(self._clusters)
            try:
                now = await self._counts(envoy, clusters.values())
            except ScrapeFailure as failure:
                for api in clusters:
                    self._samples.fail(api, envoy.uid, str(failure))
                self._metrics.observe(failure.result, self._clock() - started)
                return failure
            for api, cluster in clusters.items():
                if cluster in now:
                    self._samples.add(api, envoy.uid, sample(now[cluster], before.get(cluster)))
                else:
                    self._samples.fail(api, envoy.uid, _unrouted(api, cluster))
            before = now
            self._metrics.observe("read", self._clock() - started)
            return None

        await self._poll_pod(f"{self._ingress.namespace}/{envoy.name}", read)

    async def _counts(self, envoy: Pod, clusters: Iterable[str]) -> dict[str, ClusterCounts]:
        found: dict[str, ClusterCounts] = {}
        for some in _portions(sorted(clusters)):
            path = f"{self._ingress.path}?{statistics_filter(some)}"
            target = Target(envoy, Endpoint(self._ingress.port, path, frozenset()), "externalMetrics.ingress")
            found |= await self._client.fetch(_ENVOYS, target, Statistics())
        return found


def envoy_informer(source: ListerWatcher, ingress: IngressPods) -> SharedInformer:
    """The informer of the pods of the ingress."""
    return SharedInformer(source, "Pod", ingress.namespace, strip=stripped_pod, labelSelector=ingress.selector)


def _portions(clusters: list[str]) -> Iterator[list[str]]:
    for first in range(0, len(clusters), CLUSTERS_PER_REQUEST):
        yield clusters[first : first + CLUSTERS_PER_REQUEST]


def _unrouted(api: Key, cluster: str) -> str:
    return (
        f"it leads to no Service {api} at port {cluster.rpartition('_')[2]}: have traffic.routes served by the ingress "
        "that the operator's chart value externalMetrics.ingress selects"
    )
