"""Asks the pods of the ingress how many requests they bring to each object, and how long these take."""

import asyncio
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

import aiohttp

from hca_operator.core.names import KIND
from hca_operator.core.ports import Key
from hca_operator.kube.watch import Source
from hca_operator.metrics_server.ingress.envoy import ClusterCounts, counts_of_clusters, question, sample
from hca_operator.metrics_server.inventory.table_watch import TableWatch
from hca_operator.metrics_server.inventory.targets import Endpoint, Pod, Table, cluster_of, own_key, serving_pod
from hca_operator.metrics_server.pods.rounds import FIRST_READINGS, ask_for_ever
from hca_operator.metrics_server.pods.scrape import Failure, Target, ask, scrape_session
from hca_operator.metrics_server.pods.scrape_metrics import ScrapeMetrics
from hca_operator.metrics_server.samples.signals import Reading, Signals, Tellers

AT_A_TIME = 100
"""Services that are asked for in one request: 12 KiB of it at most, and a quarter of a mebibyte of answer."""
ENVOYS = Tellers(
    # Three times in which Envoy adds the times of requests up, so that two of them are always within.
    window=15.0,
    # All of them: a balancer before them may send everything to the one that is not known.
    quorum=1.0,
    count="the {} pods of the ingress",
    none="no pod of the ingress is ready: ask the platform team to look at the pods that the operator's chart value "
    "externalMetrics.ingress selects",
    silent="requests come there but none ends, or no pod of the API is ready: see its condition Ready",
)

_FLEET = Key("", "")
"""Stands for whatever the Envoys are asked for: all of it."""


@dataclass(frozen=True)
class IngressPods:
    """Which pods are the ingress, and where each of them shows its statistics."""

    namespace: str
    selector: str
    port: int
    path: str


class IngressReader:
    """Knows which objects the ingress counts for, asks its pods, and answers."""

    def __init__(
        self,
        source: Source,
        ingress: IngressPods,
        metrics: ScrapeMetrics,
        *,
        clock: Callable[[], float],
        chance: Callable[[], float],
    ) -> None:
        """`clock` is monotonic; `chance` is from 0 to 1, and spreads the requests over the time between two."""
        self._ingress = ingress
        self._metrics = metrics
        self._clock = clock
        self._chance = chance
        self._signals = Signals(clock, ENVOYS)
        self._clusters = Table(cluster_of, own_key)
        self._envoys = Table(serving_pod, lambda _pod: _FLEET)
        self._watches = (
            TableWatch(source, KIND, "", self._clusters, self._changed),
            TableWatch(source, "Pod", ingress.namespace, self._envoys, self._changed, labelSelector=ingress.selector),
        )
        self._session: aiohttp.ClientSession
        self._tasks: asyncio.TaskGroup
        self._began: float | None = None
        self._asked: dict[Key, str] = {}
        self._rounds: dict[Pod, asyncio.Task[None]] = {}

    def counts_for(self, api: Key) -> bool:
        """Whether an object is one whose requests the ingress counts."""
        return api in self._asked

    def read(self, namespace: str, api: str, metric: str, now: datetime, *, window: float = math.inf) -> Reading:
        """The value of a metric of an object, over so many seconds at most. Raises Unknown where there is none."""
        return self._signals.read(namespace, api, metric, now, window=window)

    def lacks(self) -> str | None:
        """What is missing until answers are complete, None when nothing is."""
        if self._began is None:
            return f"the objects of kind {KIND} and the pods of the ingress are not listed yet"
        if self._clock() < self._began + FIRST_READINGS:
            return "the pods of the ingress are being read for the first time"
        return None

    async def run(self, waits: Iterable[float]) -> None:
        """Ask for ever; `waits` are the seconds between tries of a watch while they fail."""
        async with scrape_session() as self._session, asyncio.TaskGroup() as self._tasks:
            for watch in self._watches:
                self._tasks.create_task(watch.run(waits))

    def _changed(self, concerned: set[Key]) -> None:
        if not all(watch.listed for watch in self._watches):
            return
        if self._began is None:
            self._began = self._clock()
            concerned = {_FLEET, *self._clusters}
        if _FLEET in concerned:
            self._settle_envoys()
            concerned |= self._asked.keys()
        for api in concerned - {_FLEET}:
            self._settle(api)

    def _settle_envoys(self) -> None:
        """Ask the Envoys that serve now, and no others."""
        serving = set(self._envoys.of(_FLEET))
        for gone in self._rounds.keys() - serving:
            self._rounds.pop(gone).cancel()
        for envoy in serving - self._rounds.keys():
            self._rounds[envoy] = self._tasks.create_task(self._ask_for_ever(envoy))

    def _settle(self, api: Key) -> None:
        """Have what is told of an object taken in, if the ingress counts for it."""
        cluster = next(iter(self._clusters.of(api)), None)
        if self._asked.pop(api, None) != cluster:
            self._signals.forget(api)  # counts of another Service cannot be compared
        if cluster is not None:
            self._asked[api] = cluster
            self._signals.follow(api, [envoy.uid for envoy in self._rounds])

    async def _ask_for_ever(self, envoy: Pod) -> None:
        before: dict[str, ClusterCounts] = {}

        async def look(_: Failure | None) -> Failure | None:
            nonlocal before
            begun, asked = self._clock(), dict(self._asked)
            try:
                now = await self._counts(envoy, asked.values())
            except Failure as failure:
                for api in asked:
                    self._signals.fail(api, envoy.uid, str(failure))
                self._metrics.observe(failure.result, self._clock() - begun)
                return failure
            for api, cluster in asked.items():
                if cluster in now:
                    self._signals.add(api, envoy.uid, sample(now[cluster], before.get(cluster)))
                else:
                    self._signals.fail(api, envoy.uid, _unrouted(api, cluster))
            before = now
            self._metrics.observe("read", self._clock() - begun)
            return None

        await ask_for_ever(f"{self._ingress.namespace}/{envoy.name}", look, self._clock, self._chance())

    async def _counts(self, envoy: Pod, clusters: Iterable[str]) -> dict[str, ClusterCounts]:
        found: dict[str, ClusterCounts] = {}
        for some in _portions(sorted(clusters)):
            path = f"{self._ingress.path}?{question(some)}"
            target = Target(envoy, Endpoint(self._ingress.port, path, frozenset()), "externalMetrics.ingress")
            found |= await ask(self._session, target, counts_of_clusters)
        return found


def _portions(clusters: list[str]) -> Iterator[list[str]]:
    for first in range(0, len(clusters), AT_A_TIME):
        yield clusters[first : first + AT_A_TIME]


def _unrouted(api: Key, cluster: str) -> str:
    return (
        f"it leads to no Service {api} at port {cluster.rpartition('_')[2]}: have traffic.routes served by the ingress "
        "that the operator's chart value externalMetrics.ingress selects"
    )
