"""Asks every pod that serves for its metrics, again and again, and hands on what they tell."""

import asyncio
from collections.abc import Callable, Iterable

import aiohttp

from hca_operator.core.names import API_LABEL, KIND
from hca_operator.core.ports import Key
from hca_operator.kube.watch import Source
from hca_operator.metrics_server.inventory.table_watch import TableWatch
from hca_operator.metrics_server.inventory.targets import Endpoint, Table, api_of, endpoint_of, own_key, serving_pod
from hca_operator.metrics_server.pods.rounds import FIRST_READINGS, ask_for_ever
from hca_operator.metrics_server.pods.scrape import Failure, Target, scrape, scrape_session
from hca_operator.metrics_server.pods.scrape_metrics import ScrapeMetrics
from hca_operator.metrics_server.samples.signals import Signals

LANE, TROUBLE_LANE = 48, 16
"""Scrapes at a time, of pods that answered last time and of those that did not: these wait for their time-outs behind
each other, however many they are, and hold up nobody else."""


class Scraper:
    """Knows whom to ask in one namespace, or ("") in all, and asks."""

    def __init__(  # noqa: PLR0913 - what a test puts others in for
        self,
        source: Source,
        namespace: str,
        signals: Signals,
        metrics: ScrapeMetrics,
        *,
        clock: Callable[[], float],
        chance: Callable[[], float],
    ) -> None:
        """`clock` is monotonic; `chance` is from 0 to 1, and spreads the scrapes over the time between two."""
        self._signals = signals
        self._metrics = metrics
        self._clock = clock
        self._chance = chance
        self._endpoints = Table(endpoint_of, own_key)
        self._pods = Table(serving_pod, api_of)
        self._watches = (
            TableWatch(source, KIND, namespace, self._endpoints, self._changed),
            TableWatch(source, "Pod", namespace, self._pods, self._changed, labelSelector=API_LABEL),
        )
        self._session: aiohttp.ClientSession
        self._tasks: asyncio.TaskGroup
        self._began: float | None = None
        self._asked: dict[Key, Endpoint] = {}
        self._scrapes: dict[Key, dict[Target, asyncio.Task[None]]] = {}
        self._lane = asyncio.Semaphore(LANE)
        self._trouble_lane = asyncio.Semaphore(TROUBLE_LANE)
        metrics.watch(lambda: len(self._asked), lambda: sum(map(len, self._scrapes.values())))

    def lacks(self) -> str | None:
        """What is missing until answers are complete, None when nothing is."""
        if self._began is None:
            return f"the objects of kind {KIND} and their pods are not listed yet"
        if self._clock() < self._began + FIRST_READINGS:
            return "the pods are being read for the first time"
        return None

    async def run(self, waits: Iterable[float]) -> None:
        """Ask for ever; `waits` are the seconds between tries of a watch while they fail."""
        async with scrape_session() as self._session, asyncio.TaskGroup() as self._tasks:
            for watch in self._watches:
                self._tasks.create_task(watch.run(waits))

    def _changed(self, apis: set[Key]) -> None:
        if not all(watch.listed for watch in self._watches):
            return  # pods that are found one list later would look like new ones
        if self._began is None:
            self._began = self._clock()
            apis = set(self._endpoints)
        for api in apis:
            self._settle(api)

    def _settle(self, api: Key) -> None:
        """Ask the pods that serve an object now, and no others."""
        endpoint = next(iter(self._endpoints.of(api)), None)
        if self._asked.pop(api, None) != endpoint:
            self._signals.forget(api)  # counts that were read elsewhere cannot be compared
        wanted = set() if endpoint is None else {Target(pod, endpoint) for pod in self._pods.of(api)}
        scrapes = self._scrapes.pop(api, {})
        for target in scrapes.keys() - wanted:
            scrapes.pop(target).cancel()
        if endpoint is None:
            return
        self._asked[api] = endpoint
        self._scrapes[api] = scrapes
        self._signals.follow(api, [target.pod.uid for target in wanted])
        for target in wanted - scrapes.keys():
            scrapes[target] = self._tasks.create_task(self._ask(api, target))

    async def _ask(self, api: Key, target: Target) -> None:
        async def in_its_lane(before: Failure | None) -> Failure | None:
            async with self._lane if before is None else self._trouble_lane:
                return await self._scrape(api, target)

        await ask_for_ever(f"{api.namespace}/{target.pod.name}", in_its_lane, self._clock, self._chance())

    async def _scrape(self, api: Key, target: Target) -> Failure | None:
        begun = self._clock()
        try:
            sample = await scrape(self._session, target)
        except Failure as failure:
            self._signals.fail(api, target.pod.uid, str(failure))
            self._metrics.observe(failure.result, self._clock() - begun)
            return failure
        self._signals.add(api, target.pod.uid, sample)
        self._metrics.observe("read", self._clock() - begun)
        return None
