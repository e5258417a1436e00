"""A scraper, its API server and its pods, in a time that passes only when nothing else is left to do."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from itertools import chain, repeat

from prometheus_client import CollectorRegistry

from hca_operator.core.names import Manifest
from hca_operator.core.ports import Key
from hca_operator.metrics_server.inventory.inventory import api_informer, pod_informer
from hca_operator.metrics_server.pods.scrape import ScrapeFailure, Target
from hca_operator.metrics_server.pods.scrape_metrics import ScrapeMetrics
from hca_operator.metrics_server.pods.scraper import Scraper
from hca_operator.metrics_server.samples.exposition import PodSample
from hca_operator.metrics_server.samples.reading import Unknown
from hca_operator.metrics_server.samples.sample_store import SampleStore
from tests.unit.operator.metrics_server.pods.watched_pods import Server, together

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)

Answer = Callable[[str], Awaitable[PodSample]]


class World:
    """A scraper, its API server, and pods that answer as the test says."""

    def __init__(self, listed: Sequence[Manifest], listed_pods: Sequence[Manifest], answer: Answer) -> None:
        self.server = Server(listed, listed_pods)
        self.loop = asyncio.get_running_loop()
        self.samples = SampleStore(self.loop.time)
        self.registry = CollectorRegistry()
        self.asked: defaultdict[str, list[float]] = defaultdict(list)
        self.running: Counter[str] = Counter()
        self.most = 0
        self._answer = answer
        self._phases = chain((0.25, 0.75), repeat(0.0))
        self.informers = apis, pods = api_informer(self.server), pod_informer(self.server)
        self.scraper = Scraper(
            apis, pods, self.samples, ScrapeMetrics(self.registry),
            clock=self.loop.time, phase=lambda: next(self._phases),
        )  # fmt: skip

    async def run(self) -> None:
        await together(self.scraper.run(), *(informer.run(repeat(0.1)) for informer in self.informers))

    async def scrape(self, _client: object, _api: Key, target: Target) -> PodSample:
        name = target.pod.name
        self.asked[name].append(self.loop.time())
        self.running[name] += 1
        self.most = max(self.most, self.running.total())
        try:
            return await self._answer(name)
        finally:
            self.running[name] -= 1

    def happens(self, kind: str, type_: str, made: Manifest) -> None:
        self.server.events[kind].put_nowait((type_, {**made, "metadata": {**made["metadata"], "resourceVersion": "2"}}))

    def concurrency(self, name: str = "shop") -> float | None:
        try:
            return self.samples.read("default", name, "hca-concurrency", NOW).value
        except Unknown:
            return None

    def count(self, metric: str, **labels: str) -> float:
        return self.registry.get_sample_value(metric, labels) or 0


async def one(_name: str) -> PodSample:
    return PodSample(in_flight=1)


async def hang(_name: str) -> PodSample:
    await asyncio.sleep(1)
    raise ScrapeFailure("unreachable", "/metrics on port 8000 gives no answer")


Play = Callable[[World], Awaitable[None]]
