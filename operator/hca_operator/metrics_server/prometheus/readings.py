"""Reads the metrics of the pods of all objects from Prometheus, by one query for each type of metric that is needed.

The queries are sent at an interval, and answers come from memory. What is not known is an error that says why. As where
the pods are scraped, a value is aggregated over the pods that are ready, and scaled up for the few that are missing.
"""

import asyncio
import logging
import math
from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

from hca_operator.api.metric_types import POD_METRICS, PROMETHEUS, MetricType
from hca_operator.core.names import KIND
from hca_operator.core.ports import Key
from hca_operator.metrics_server.inventory.inventory import Inventory
from hca_operator.metrics_server.inventory.shared_informer import SharedInformer
from hca_operator.metrics_server.prometheus.client import Prometheus, QueryFailure
from hca_operator.metrics_server.prometheus.demand import Demand, demand_of
from hca_operator.metrics_server.prometheus.own_queries import OwnQueries
from hca_operator.metrics_server.prometheus.pod_query import (
    Group,
    MetricsEndpoint,
    families_of,
    pod_query,
    values_by_pod,
)
from hca_operator.metrics_server.samples.aggregation import aggregate, pod_metric
from hca_operator.metrics_server.samples.growth import Counts
from hca_operator.metrics_server.samples.reading import Reading, Unknown
from hca_operator.scaling.capabilities import NO_QUERIES

logger = logging.getLogger(__name__)

INTERVAL_SECONDS = 2.0
"""From one query of a metric to the next, while Prometheus answers fast: as often as pods are scraped."""
LONGEST_INTERVAL_SECONDS = 10.0
"""To the next one while it answers slowly: still sooner than an autoscaler reads again."""
SHARE = 0.1
"""Of the time, at most, for which each replica keeps Prometheus at work, as far as the longest interval allows."""
KEPT_SECONDS = 30.0
"""For which an answer holds while Prometheus gives no other."""
JOINING_SECONDS = 150.0
"""That Prometheus may take to discover a new pod and scrape it twice. Its load is with the others until then."""


class _Answer(NamedTuple):
    at: float
    pods: Mapping[MetricsEndpoint, Counts]


class PrometheusReadings:
    """Sends the queries that the objects need, and answers from their results."""

    def __init__(  # noqa: PLR0913 - what a test replaces
        self,
        apis: SharedInformer,
        pods: SharedInformer,
        prometheus: Prometheus,
        queries: OwnQueries | None,
        *,
        clock: Callable[[], float],
        phase: Callable[[], float],
    ) -> None:
        """`queries`: those of the objects' own, None if none are sent.

        `clock` is monotonic; `phase` returns a number from 0 to 1, so that replicas do not query all at the same time.
        """
        self._prometheus = prometheus
        self._queries = queries
        self._clock = clock
        self._phase = phase
        self._inventory = Inventory(apis, demand_of, pods)
        self._synced = asyncio.Event()
        self._joined_at: dict[Key, dict[str, float]] = {}
        """Since when each pod of an object is ready, by name."""
        self._answers: dict[MetricType, _Answer] = {}
        self._failures: dict[MetricType, str] = {}
        self._polled = False

    def not_ready(self) -> str | None:
        """What is missing until the values are complete, None if nothing is."""
        if not self._synced.is_set():
            return f"the objects of kind {KIND} and their pods are not listed yet"
        return None if self._polled else "Prometheus is being asked for the first time"

    async def run(self) -> None:
        """Send queries until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            if self._queries is not None:
                self._queries.start(tasks)
            self._inventory.follow(self._changed)
            await self._poll_repeatedly()

    def read(
        self,
        namespace: str,
        api: str,
        metric: str,
        now: datetime,
        *,
        window_seconds: float = math.inf,  # noqa: ARG002 - the queries say over which time
    ) -> Reading:
        """The value of a metric of an object. Raises Unknown if there is none."""
        key = Key(namespace, api)
        name, _, own = metric.partition("/")
        if name == PROMETHEUS.external:
            if self._queries is None:
                raise Unknown(f"{name} {own} of {key} is unknown: {NO_QUERIES}")
            return self._queries.read(key, own, now)
        asked, what = pod_metric(metric), f"{metric} of {key}"
        demand = self._inventory.api(key)
        if demand is None or asked.type not in demand.metrics:
            raise Unknown(
                f"{what} is unknown: no {KIND} of that name has such a metric in autoscaling.metrics, or it was not "
                "seen yet: add one, or wait a few seconds"
            )
        answer = self._answers.get(asked.type)
        if answer is None or self._clock() - answer.at > KEPT_SECONDS:
            why = self._failures.get(asked.type, "Prometheus has not been asked yet: wait a few seconds")
            raise Unknown(f"{what} is unknown: {why}")
        known, scale = self._known(what, asked.type, key, answer)
        values = known if asked.percentile is not None else [counts[math.inf] for counts in known]
        value = aggregate(asked, values, scale)
        if value is None:
            raise Unknown(
                f"{what} is unknown: {families_of(asked.type)[0]} has no buckets: give it bounds around the target"
            )
        age = self._clock() - answer.at
        return Reading(value, at=now - timedelta(seconds=age), window=age)

    def _known(self, what: str, metric: MetricType, api: Key, answer: _Answer) -> tuple[Collection[Counts], float]:
        """The values of the pods that are known, and by how many times all pods are more than these."""
        joined_at = self._joined_at.get(api, {})
        if not joined_at:
            raise Unknown(f"{what} is unknown: none of its pods is ready: see its condition Ready")
        since = self._clock() - JOINING_SECONDS
        known = [answer.pods[place] for pod in joined_at if (place := (api.namespace, pod)) in answer.pods]
        late = sum((api.namespace, pod) not in answer.pods and at <= since for pod, at in joined_at.items())
        if not known or late > len(known):
            raise Unknown(
                f"{what} is unknown: Prometheus has no {' or '.join(families_of(metric))} of the last two minutes, "
                f"with the labels namespace and pod, for {len(joined_at) - len(known)} of its {len(joined_at)} serving "
                "pods: see whether its targets are up and their clocks right"
            )
        return known, (len(known) + late) / len(known)

    def _changed(self, apis: set[Key]) -> None:
        # How long the pods that are there at the start have been ready is not known: long enough.
        now = self._clock() if self._synced.is_set() else -math.inf
        for api in apis:
            self._update(api, now)
        self._synced.set()

    def _update(self, api: Key, now: float) -> None:
        demand, joined_at = self._inventory.api(api), self._joined_at.pop(api, {})
        if self._queries is not None:
            self._queries.follow(api, demand.queries if demand else frozenset())
        if demand is not None:
            self._joined_at[api] = {pod.name: joined_at.get(pod.name, now) for pod in self._inventory.pods_of(api)}

    async def _poll_repeatedly(self) -> None:
        await self._synced.wait()
        while True:
            demands = {api: demand for api in self._inventory.apis if (demand := self._inventory.api(api))}
            wanted = {
                metric: needing
                for metric in POD_METRICS
                if (needing := {api: demand for api, demand in demands.items() if metric in demand.metrics})
            }
            for unwanted in self._answers.keys() - wanted.keys():
                del self._answers[unwanted]
            started = self._clock()
            await asyncio.gather(*(self._poll(metric, needing) for metric, needing in wanted.items()))
            self._polled = True
            pause = min(max(INTERVAL_SECONDS, (self._clock() - started) / SHARE), LONGEST_INTERVAL_SECONDS)
            await asyncio.sleep(pause * (0.9 + self._phase() / 5))

    async def _poll(self, metric: MetricType, demands: Mapping[Key, Demand]) -> None:
        paths = sorted({demand.ignored_paths for demand in demands.values()}, key=sorted)
        groups = [
            Group(
                ignored, frozenset(api.namespace for api, demand in demands.items() if demand.ignored_paths == ignored)
            )
            for ignored in paths
        ]
        group_of = {
            (api.namespace, pod.name): paths.index(demand.ignored_paths)
            for api, demand in demands.items()
            for pod in self._inventory.pods_of(api)
        }
        at = self._clock()
        try:
            pods = await self._prometheus.query(
                metric.external, pod_query(metric, groups), lambda result: values_by_pod(metric, result, group_of)
            )
        except QueryFailure as failure:
            if metric not in self._failures:
                logger.warning("%s is not known: %s", metric.external, failure)
            self._failures[metric] = str(failure)
            return
        if self._failures.pop(metric, None):
            logger.info("%s is known again", metric.external)
        self._answers[metric] = _Answer(at, pods)
