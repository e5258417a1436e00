"""Scrapes every ready pod of the objects with metrics that come from pods, at an interval."""

from collections.abc import Callable

from hca_operator.core.ports import Key
from hca_operator.metrics_server.inventory.inventory import Inventory
from hca_operator.metrics_server.inventory.shared_informer import SharedInformer
from hca_operator.metrics_server.inventory.targets import Endpoint, endpoint_of
from hca_operator.metrics_server.pods.pod_polling import POD_POLL_SECONDS, PodReader
from hca_operator.metrics_server.pods.scrape import ScrapeFailure, Target, scrape
from hca_operator.metrics_server.pods.scrape_metrics import ScrapeMetrics
from hca_operator.metrics_server.polling.pollers import Lanes
from hca_operator.metrics_server.samples.sample_store import SampleStore

HEALTHY_PODS_AT_A_TIME, FAILING_PODS_AT_A_TIME = 64, 32
"""Scrapes at a time, of pods that answered last time and of those that did not."""
WAITED = (
    "it could not be scraped in time, because many pods of its namespace answer slowly: have all of them answer sooner"
)


class Scraper(PodReader[Endpoint, Target]):
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
        super().__init__(Inventory(apis, endpoint_of, pods), "the pods", clock=clock, phase=phase)
        self._samples = samples
        self._metrics = metrics
        self._endpoints: dict[Key, Endpoint] = {}
        """The endpoint from which the samples of each object are."""
        self._lanes = Lanes(HEALTHY_PODS_AT_A_TIME, FAILING_PODS_AT_A_TIME)
        metrics.watch(lambda: len(self._endpoints), lambda: len(self._pollers))

    def _update(self, keys: set[Key]) -> None:
        for api in keys:
            endpoint = self._inventory.api(api)
            if self._endpoints.pop(api, None) != endpoint:
                self._samples.forget(api)  # counts from another endpoint cannot be compared
            wanted = set() if endpoint is None else {Target(pod, endpoint) for pod in self._inventory.pods_of(api)}
            if endpoint is not None:
                self._endpoints[api] = endpoint
                self._samples.follow(api, [target.pod.uid for target in wanted])
            self._pollers.keep(api, wanted)

    async def _poll(self, api: Key, target: Target, /) -> None:
        async def read(before: ScrapeFailure | None) -> ScrapeFailure | None:
            due = self._clock()
            async with self._lanes.turn(api, failing=before is not None):
                if before is None and self._clock() - due > POD_POLL_SECONDS:
                    self._samples.fail(api, target.pod.uid, WAITED)
                return await self._scrape(api, target)

        await self._poll_pod(f"{api.namespace}/{target.pod.name}", read)

    async def _scrape(self, api: Key, target: Target) -> ScrapeFailure | None:
        started = self._clock()
        try:
            sample = await scrape(self._client, api, target)
        except ScrapeFailure as failure:
            self._samples.fail(api, target.pod.uid, str(failure))
            self._metrics.observe(failure.result, self._clock() - started)
            return failure
        self._samples.add(api, target.pod.uid, sample)
        self._metrics.observe("read", self._clock() - started)
        return None
