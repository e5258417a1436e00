"""Scrapes every ready pod of the objects that have metrics of their pods, at an interval."""

import asyncio
from collections.abc import Callable

import aiohttp

from hca_operator.core.names import KIND
from hca_operator.core.ports import Key
from hca_operator.metrics_server.inventory.inventory import Inventory
from hca_operator.metrics_server.inventory.shared_informer import SharedInformer
from hca_operator.metrics_server.inventory.targets import Endpoint, endpoint_of
from hca_operator.metrics_server.pods.pod_polling import FIRST_SAMPLES_SECONDS, poll_pod
from hca_operator.metrics_server.pods.scrape import ScrapeFailure, Target, scrape, scrape_session
from hca_operator.metrics_server.pods.scrape_metrics import ScrapeMetrics
from hca_operator.metrics_server.polling.pollers import Lanes, Pollers
from hca_operator.metrics_server.samples.sample_store import SampleStore

HEALTHY_AT_A_TIME, FAILING_AT_A_TIME = 48, 16
"""Scrapes at a time, of pods that answered last time and of those that did not."""


class Scraper:
    """Fills a `SampleStore` from the pods."""

    def __init__(  # noqa: PLR0913 - what a test replaces
        self,
        apis: SharedInformer,
        pods: SharedInformer,
        samples: SampleStore,
        metrics: ScrapeMetrics,
        *,
        clock: Callable[[], float],
        phase: Callable[[], float],
    ) -> None:
        """`clock` is monotonic; `phase` returns a number from 0 to 1, and spreads the scrapes over the interval."""
        self._samples = samples
        self._metrics = metrics
        self._clock = clock
        self._phase = phase
        self._inventory = Inventory(apis, endpoint_of, pods)
        self._session: aiohttp.ClientSession
        self._synced_at: float | None = None
        self._endpoints: dict[Key, Endpoint] = {}
        """The endpoint from which the samples of each object are."""
        self._pollers = Pollers(self._poll)
        self._lanes = Lanes(HEALTHY_AT_A_TIME, FAILING_AT_A_TIME)
        metrics.watch(lambda: len(self._endpoints), lambda: len(self._pollers))

    def not_ready(self) -> str | None:
        """What is missing until the values are complete, None if nothing is."""
        if self._synced_at is None:
            return f"the objects of kind {KIND} and their pods are not listed yet"
        if self._clock() < self._synced_at + FIRST_SAMPLES_SECONDS:
            return "the pods are being read for the first time"
        return None

    async def run(self) -> None:
        """Scrape until cancelled."""
        async with scrape_session() as self._session, asyncio.TaskGroup() as tasks:
            self._pollers.start(tasks)
            self._inventory.follow(self._changed)
            await asyncio.Event().wait()

    def _changed(self, apis: set[Key]) -> None:
        if self._synced_at is None:
            self._synced_at = self._clock()
        for api in apis:
            self._update(api)

    def _update(self, api: Key) -> None:
        """Scrape the pods of an object that are ready now, and no others."""
        endpoint = self._inventory.api(api)
        if self._endpoints.pop(api, None) != endpoint:
            self._samples.forget(api)  # counts from another endpoint cannot be compared
        wanted = set() if endpoint is None else {Target(pod, endpoint) for pod in self._inventory.pods_of(api)}
        if endpoint is not None:
            self._endpoints[api] = endpoint
            self._samples.follow(api, [target.pod.uid for target in wanted])
        self._pollers.keep(api, wanted)

    async def _poll(self, api: Key, target: Target) -> None:
        async def read(before: ScrapeFailure | None) -> ScrapeFailure | None:
            async with self._lanes.of(failing=before is not None):
                return await self._scrape(api, target)

        await poll_pod(f"{api.namespace}/{target.pod.name}", read, self._clock, self._phase())

    async def _scrape(self, api: Key, target: Target) -> ScrapeFailure | None:
        started = self._clock()
        try:
            sample = await scrape(self._session, target)
        except ScrapeFailure as failure:
            self._samples.fail(api, target.pod.uid, str(failure))
            self._metrics.observe(failure.result, self._clock() - started)
            return failure
        self._samples.add(api, target.pod.uid, sample)
        self._metrics.observe("read", self._clock() - started)
        return None
