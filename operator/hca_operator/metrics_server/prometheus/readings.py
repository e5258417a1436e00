"""What Prometheus tells of the pods of all objects, by one query for each kind of metric that some object asks for.

The queries are asked again and again, and answers come from memory. What is not known is an error that says why, as
where the pods are read directly: the same sums of those pods that serve, scaled up for the few that are missing.
"""

import asyncio
import logging
import math
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

from hca_operator.core.names import (
    API_LABEL,
    CONCURRENCY_METRIC,
    KIND,
    LAG_METRIC,
    LATENCY_METRIC,
    QUERY_METRIC,
    REQUESTS_METRIC,
)
from hca_operator.core.ports import Key
from hca_operator.kube.watch import Source
from hca_operator.metrics_server.inventory.table_watch import TableWatch
from hca_operator.metrics_server.inventory.targets import Pod, Table, api_of, own_key, serving_pod
from hca_operator.metrics_server.prometheus.client import Failure, Prometheus
from hca_operator.metrics_server.prometheus.demand import Demand, demand_of
from hca_operator.metrics_server.prometheus.own_queries import OwnQueries
from hca_operator.metrics_server.prometheus.question import KINDS, LATENCY, Counts, Group, Kind, Place, question, told
from hca_operator.metrics_server.samples.signals import Reading, Unknown, percentile_of
from hca_operator.scaling.capabilities import NO_QUERIES

logger = logging.getLogger(__name__)

INTERVAL = 2.0
"""Seconds from one query of a kind to the next, while Prometheus answers fast: as often as pods are asked."""
LONGEST_INTERVAL = 10.0
"""Seconds to the next one while it answers slowly: still sooner than an autoscaler looks again."""
SHARE = 0.1
"""Of the time, at most, for which each replica keeps Prometheus at work, as far as the longest interval allows."""
KEPT = 30.0
"""Seconds for which an answer holds while Prometheus gives no other."""
JOINING = 150.0
"""Seconds that Prometheus may take to find a new pod and scrape it twice. Its load is with the others until then."""


class _Answer(NamedTuple):
    at: float
    pods: Mapping[Place, Counts]


class PrometheusReadings:
    """Knows what to ask for in one namespace, or ("") in all, asks, and answers from what was told."""

    def __init__(  # noqa: PLR0913 - what a test puts others in for
        self,
        source: Source,
        namespace: str,
        prometheus: Prometheus,
        queries: OwnQueries | None,
        *,
        clock: Callable[[], float],
        chance: Callable[[], float],
    ) -> None:
        """`queries`: those of objects, None where none are asked.

        `clock` is monotonic; `chance` is from 0 to 1, so that replicas do not ask all at the same time.
        """
        self._prometheus = prometheus
        self._queries = queries
        self._clock = clock
        self._chance = chance
        self._demands = Table(demand_of, own_key)
        self._pods = Table(serving_pod, api_of)
        self._watches = (
            TableWatch(source, KIND, namespace, self._demands, self._changed),
            TableWatch(source, "Pod", namespace, self._pods, self._changed, labelSelector=API_LABEL),
        )
        self._listed = asyncio.Event()
        self._joined: dict[Key, dict[str, float]] = {}
        self._answers: dict[Kind, _Answer] = {}
        self._failures: dict[Kind, str] = {}
        self._asked_once = False

    def lacks(self) -> str | None:
        """What is missing until answers are complete, None when nothing is."""
        if not self._listed.is_set():
            return f"the objects of kind {KIND} and their pods are not listed yet"
        return None if self._asked_once else "Prometheus is being asked for the first time"

    async def run(self, waits: Iterable[float]) -> None:
        """Ask for ever; `waits` are the seconds between tries of a watch while they fail."""
        async with asyncio.TaskGroup() as tasks:
            if self._queries is not None:
                self._queries.run_in(tasks)
            for watch in self._watches:
                tasks.create_task(watch.run(waits))
            tasks.create_task(self._ask_again_and_again())

    def read(self, namespace: str, api: str, metric: str, now: datetime, *, window: float = math.inf) -> Reading:  # noqa: ARG002 - the queries say over which time
        """The value of a metric of an object. Raises Unknown where there is none."""
        key = Key(namespace, api)
        name, _, own = metric.partition("/")
        if name == QUERY_METRIC:
            if self._queries is None:
                raise Unknown(f"{name} {own} of {key} is unknown: {NO_QUERIES}")
            return self._queries.read(key, own, now)
        kind, what = _kind(metric), f"{metric} of {key}"
        demand = self._demand(key)
        if demand is None or kind not in demand.kinds:
            raise Unknown(
                f"{what} is unknown: no {KIND} of that name has such a metric in autoscaling.metrics, or it was not "
                "seen yet: add one, or wait a few seconds"
            )
        answer = self._answers.get(kind)
        if answer is None or self._clock() - answer.at > KEPT:
            why = self._failures.get(kind, "Prometheus has not been asked yet: wait a few seconds")
            raise Unknown(f"{what} is unknown: {why}")
        known, scale = self._known(what, kind, key, answer)
        value = _combined(metric, known, scale)
        if value is None:
            raise Unknown(f"{what} is unknown: {kind.families[0]} has no buckets: give it bounds around the target")
        age = self._clock() - answer.at
        return Reading(value, at=now - timedelta(seconds=age), window=age)

    def _known(self, what: str, kind: Kind, api: Key, answer: _Answer) -> tuple[Collection[Counts], float]:
        """What the serving pods have told, and of how many times as many pods that is to stand for."""
        joined = self._joined.get(api, {})
        if not joined:
            raise Unknown(f"{what} is unknown: none of its pods is ready: see its condition Ready")
        since = self._clock() - JOINING
        known = [answer.pods[place] for pod in joined if (place := (api.namespace, pod)) in answer.pods]
        late = sum((api.namespace, pod) not in answer.pods and at <= since for pod, at in joined.items())
        if not known or late > len(known):
            raise Unknown(
                f"{what} is unknown: Prometheus has no {' or '.join(kind.families)} of the last two minutes, with "
                f"the labels namespace and pod, for {len(joined) - len(known)} of its {len(joined)} serving pods: see "
                "whether its targets are up and their clocks right"
            )
        return known, (len(known) + late) / len(known)

    def _demand(self, api: Key) -> Demand | None:
        return next(iter(self._demands.of(api)), None)

    def _changed(self, apis: set[Key]) -> None:
        if not all(watch.listed for watch in self._watches):
            return  # pods that are found one list later would look like new ones
        first = not self._listed.is_set()
        # Those that are there at the start have been for long enough, as far as anybody can tell.
        now = -math.inf if first else self._clock()
        for api in set(self._demands) | apis if first else apis:
            self._settle(api, now)
        self._listed.set()

    def _settle(self, api: Key, now: float) -> None:
        demand, joined = self._demand(api), self._joined.pop(api, {})
        if self._queries is not None:
            self._queries.follow(api, demand.queries if demand else frozenset())
        if demand is not None:
            pods: Collection[Pod] = self._pods.of(api)
            self._joined[api] = {pod.name: joined.get(pod.name, now) for pod in pods}

    async def _ask_again_and_again(self) -> None:
        await self._listed.wait()
        while True:
            demands = {api: demand for api in self._demands for demand in self._demands.of(api)}
            asked = {kind: {api: demand for api, demand in demands.items() if kind in demand.kinds} for kind in KINDS}
            for unasked in self._answers.keys() - {kind for kind, by in asked.items() if by}:
                del self._answers[unasked]
            begun = self._clock()
            await asyncio.gather(*(self._ask(kind, by) for kind, by in asked.items() if by))
            self._asked_once = True
            pause = min(max(INTERVAL, (self._clock() - begun) / SHARE), LONGEST_INTERVAL)
            await asyncio.sleep(pause * (0.9 + self._chance() / 5))

    async def _ask(self, kind: Kind, demands: Mapping[Key, Demand]) -> None:
        asides = sorted({demand.aside for demand in demands.values()}, key=sorted)
        groups = [
            Group(aside, frozenset(api.namespace for api, demand in demands.items() if demand.aside == aside))
            for aside in asides
        ]
        wanted = {
            (api.namespace, pod.name): asides.index(demand.aside)
            for api, demand in demands.items()
            for pod in self._pods.of(api)
        }
        at = self._clock()
        try:
            pods = await self._prometheus.ask(
                kind.name, question(kind, groups), lambda result: told(kind, result, wanted)
            )
        except Failure as failure:
            if kind not in self._failures:
                logger.warning("%s is not known: %s", kind.name, failure)
            self._failures[kind] = str(failure)
            return
        if self._failures.pop(kind, None):
            logger.info("%s is known again", kind.name)
        self._answers[kind] = _Answer(at, pods)


def _kind(metric: str) -> Kind:
    latency = re.fullmatch(f"{LATENCY_METRIC}[1-9][0-9]?", metric)
    name = LATENCY if latency else metric
    for kind in KINDS:
        if kind.name == name and not (kind.buckets and not latency):
            return kind
    raise Unknown(f"{metric} is no metric of a {KIND}: ask for {REQUESTS_METRIC}, {CONCURRENCY_METRIC}, {LAG_METRIC}, "
                  f"{LATENCY_METRIC}1 to -p99 or {QUERY_METRIC}")  # fmt: skip


def _combined(metric: str, pods: Collection[Counts], scale: float) -> float | None:
    if metric.startswith(LATENCY_METRIC):
        return percentile_of(int(metric.removeprefix(LATENCY_METRIC)), pods, scale)
    total = math.fsum(counts[math.inf] for counts in pods)
    return total / len(pods) if metric == LAG_METRIC else total * scale
