"""Reads the metrics of the pods of all objects from Prometheus, by one query for each type of metric that is needed.

The queries are sent at an interval, and `read` answers from memory. An unknown value is an error that says why. As with
scraping, a value is aggregated over the ready pods, and scaled up for the few whose values are missing.
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
from hca_operator.metrics_server.inventory.targets import Pod
from hca_operator.metrics_server.prometheus.client import Prometheus, QueryFailure
from hca_operator.metrics_server.prometheus.demand import Demand, demand_of
from hca_operator.metrics_server.prometheus.own_queries import OwnQueries
from hca_operator.metrics_server.prometheus.pod_query import (
    RANGE_SECONDS,
    Group,
    families_of,
    paths_length,
    pod_query,
    values_by_pod,
)
from hca_operator.metrics_server.prometheus.portions import Part, Portions
from hca_operator.metrics_server.samples.aggregation import aggregate, pod_metric
from hca_operator.metrics_server.samples.growth import Counts
from hca_operator.metrics_server.samples.reading import Reading, Unknown
from hca_operator.scaling.capabilities import NO_QUERIES

logger = logging.getLogger(__name__)

POD_QUERY_SECONDS = 2.0
"""From one query of a metric to the next, while Prometheus answers fast: as often as pods are scraped."""
LONGEST_POD_QUERY_SECONDS = 10.0
"""The same while it answers slowly: still less than the 15 s between two reads of a HorizontalPodAutoscaler."""
SHARE = 0.1
"""Greatest share of the time for which each replica keeps Prometheus busy, as far as the longest interval allows."""
POD_QUERIES_AT_A_TIME = 4
"""Queries at a time: their answers may be megabytes."""
POD_QUERY_KEPT_SECONDS = 30.0
"""For which an answer is used while Prometheus gives no new one."""
JOINING_SECONDS = 150.0
"""For which a new pod may have no values: Prometheus has to discover it and scrape it twice. Until then the value of
the object is that of the other pods."""


class _PodsAnswer(NamedTuple):
    """The values of the pods of one object."""

    at: float
    pods: Mapping[str, Counts]
    since: Mapping[str, float]
    """Since when the values of each pod have not changed."""

    def next(self, at: float, pods: Mapping[str, Counts]) -> "_PodsAnswer":
        """The answer with the values of a newer query result."""
        since = {pod: self.since[pod] if counts == self.pods.get(pod) else at for pod, counts in pods.items()}
        return _PodsAnswer(at, pods, since)

    def scraped_at(self, now: float) -> float:
        """When the oldest value of a pod with load appeared, RANGE_SECONDS ago at the most."""
        known = (self.since[pod] for pod, counts in self.pods.items() if counts[math.inf])
        return max(min(known, default=self.at), now - RANGE_SECONDS)


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
        now: Callable[[], datetime],
        phase: Callable[[], float],
    ) -> None:
        """`queries`: those of metrics of type Prometheus; None if the install sends none.

        `now` is compared with the times at which pods became ready; `clock` is monotonic; `phase` returns a number from
        0 to 1, so that replicas do not all query at the same time.
        """
        self._prometheus = prometheus
        self._queries = queries
        self._clock = clock
        self._now = now
        self._phase = phase
        self._inventory = Inventory(apis, demand_of, pods)
        self._synced = asyncio.Event()
        self._joined_at: dict[Key, dict[str, float]] = {}
        """Since when each pod of an object is ready, by name."""
        self._answers: dict[tuple[MetricType, Key], _PodsAnswer] = {}
        self._failures: dict[tuple[MetricType, Key], str] = {}
        self._failing: set[MetricType] = set()
        self._portions = {metric: Portions() for metric in POD_METRICS}
        self._turns = asyncio.Semaphore(POD_QUERIES_AT_A_TIME)
        self._polled = False

    def not_ready(self) -> str | None:
        """Why the values are not complete yet; None once they are."""
        if not self._synced.is_set():
            return f"the objects of kind {KIND} and their pods are not listed yet"
        return None if self._polled else "Prometheus is being queried for the first time"

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
        window_seconds: float = math.inf,
    ) -> Reading:
        """The value of a metric of an object. Raises Unknown if there is none.

        The queries set the time range. With a finite `window_seconds`, the window of the reading begins when the oldest
        of its values appeared, because all readings since then share that value.
        """
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
        answer = self._answers.get((asked.type, key))
        if answer is None or self._clock() - answer.at > POD_QUERY_KEPT_SECONDS:
            why = self._failures.get((asked.type, key), "Prometheus has not been queried yet: wait a few seconds")
            raise Unknown(f"{what} is unknown: {why}")
        known, scale = self._known(what, asked.type, key, answer)
        values = known if asked.percentile is not None else [counts[math.inf] for counts in known]
        value = aggregate(asked, values, scale)
        if value is None:
            raise Unknown(
                f"{what} is unknown: {families_of(asked.type)[0]} has no buckets that all pods have: give it bounds "
                "around the target, the same in all pods"
            )
        clock = self._clock()
        age = clock - (answer.at if math.isinf(window_seconds) else answer.scraped_at(clock))
        return Reading(value, at=now - timedelta(seconds=age), window=age)

    def _known(self, what: str, metric: MetricType, api: Key, answer: _PodsAnswer) -> tuple[Collection[Counts], float]:
        """The known values of the pods, and the factor that scales them up to all pods. Raises Unknown."""
        joined_at = self._joined_at.get(api, {})
        if not joined_at:
            raise Unknown(f"{what} is unknown: none of its pods is ready: see its condition Ready")
        since = self._clock() - JOINING_SECONDS
        known = [answer.pods[pod] for pod in joined_at if pod in answer.pods]
        late = sum(pod not in answer.pods and at <= since for pod, at in joined_at.items())
        if not known or late > len(known):
            raise Unknown(
                f"{what} is unknown: Prometheus has no {' or '.join(families_of(metric))} of the last two minutes, "
                f"with the labels namespace and pod, for {len(joined_at) - len(known)} of its {len(joined_at)} serving "
                "pods: check that its targets are up and their clocks correct"
            )
        return known, (len(known) + late) / len(known)

    def _changed(self, apis: set[Key]) -> None:
        for api in apis:
            self._update(api)
        self._synced.set()

    def _update(self, api: Key) -> None:
        demand, joined_at = self._inventory.api(api), self._joined_at.pop(api, {})
        if self._queries is not None:
            self._queries.follow(api, demand.queries if demand else frozenset())
        if demand is not None:
            self._joined_at[api] = {
                pod.name: joined_at[pod.name] if pod.name in joined_at else self._clock() - self._ready_seconds(pod)
                for pod in self._inventory.pods_of(api)
            }

    def _ready_seconds(self, pod: Pod) -> float:
        """For how long a newly listed pod has been ready: after a start of this process it may be long."""
        if self._synced.is_set():
            return 0.0
        return math.inf if pod.ready_since is None else (self._now() - pod.ready_since).total_seconds()

    async def _poll_repeatedly(self) -> None:
        await self._synced.wait()
        while True:
            demands = {api: demand for api in self._inventory.apis if (demand := self._inventory.api(api))}
            wanted = {
                metric: needing
                for metric in POD_METRICS
                if (needing := {api: demand for api, demand in demands.items() if metric in demand.metrics})
            }
            for kept in (self._answers, self._failures):
                for place in [*kept]:
                    if place[1] not in wanted.get(place[0], ()):
                        del kept[place]
            started = self._clock()
            await asyncio.gather(*(self._poll(metric, needing) for metric, needing in wanted.items()))
            self._polled = True
            pause = min(max(POD_QUERY_SECONDS, (self._clock() - started) / SHARE), LONGEST_POD_QUERY_SECONDS)
            await asyncio.sleep(pause * (0.9 + self._phase() / 5))

    async def _poll(self, metric: MetricType, demands: Mapping[Key, Demand]) -> None:
        lengths = {
            paths: paths_length(metric, paths) for paths in {demand.ignored_paths for demand in demands.values()}
        }
        parts = {
            api: Part(len(self._inventory.pods_of(api)), demand.ignored_paths, *lengths[demand.ignored_paths])
            for api, demand in demands.items()
        }
        failures = await asyncio.gather(
            *(
                self._poll_portion(metric, {api: demands[api] for api in portion})
                for portion in [*self._portions[metric].of(parts)]
            )
        )
        failure = next(filter(None, failures), None)
        if failure is not None and metric not in self._failing:
            logger.warning("%s cannot be read: %s", metric.external, failure)
            self._failing.add(metric)
        elif failure is None and metric in self._failing:
            logger.info("%s can be read again", metric.external)
            self._failing.remove(metric)

    async def _poll_portion(self, metric: MetricType, demands: Mapping[Key, Demand]) -> QueryFailure | None:
        pods_of = {api: [pod.name for pod in self._inventory.pods_of(api)] for api in demands}
        groups = _groups(demands)
        index_of = {group.ignored_paths: index for index, group in enumerate(groups)}
        group_of = {
            (api.namespace, pod): index_of[demand.ignored_paths]
            for api, demand in demands.items()
            for pod in pods_of[api]
        }
        # For one object only its own pods: those of others in the namespace may have more series than fit.
        chosen = next(iter(pods_of.values())) if len(demands) == 1 else ()
        try:
            async with self._turns:
                at = self._clock()
                values = await self._prometheus.query(
                    metric.external,
                    pod_query(metric, groups, chosen),
                    lambda result: values_by_pod(metric, result, group_of),
                )
        except QueryFailure as failure:
            if failure.of_the_query:
                self._portions[metric].failed(demands)
            for api in demands:
                self._failures[metric, api] = str(failure)
            return failure
        self._portions[metric].answered(demands)
        for api in demands:
            self._failures.pop((metric, api), None)
            found = {pod: values[place] for pod in pods_of[api] if (place := (api.namespace, pod)) in values}
            before = self._answers.get((metric, api), _NO_ANSWER)
            self._answers[metric, api] = before.next(at, found)
        return None


_NO_ANSWER = _PodsAnswer(-math.inf, {}, {})


def _groups(demands: Mapping[Key, Demand]) -> list[Group]:
    namespaces: dict[frozenset[str], set[str]] = {}
    for api, demand in demands.items():
        namespaces.setdefault(demand.ignored_paths, set()).add(api.namespace)
    return [Group(paths, frozenset(namespaces[paths])) for paths in sorted(namespaces, key=sorted)]
