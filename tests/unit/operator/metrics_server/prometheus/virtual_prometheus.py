"""A Prometheus that answers as a test says, and the readings of it, in a time that passes by itself."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from itertools import repeat
from typing import Any

import pytest

from hca_operator.core.names import Manifest
from hca_operator.metrics_server.inventory.inventory import api_informer, pod_informer
from hca_operator.metrics_server.prometheus.client import (
    LARGEST_NUMBER_BYTES,
    LARGEST_PODS_ANSWER_BYTES,
    QueryFailure,
    Result,
)
from hca_operator.metrics_server.prometheus.own_queries import OwnQueries
from hca_operator.metrics_server.prometheus.readings import PrometheusReadings
from hca_operator.metrics_server.samples.reading import Unknown
from tests.unit.operator import virtual_time
from tests.unit.operator.metrics_server.pods.watched_pods import Server, together
from tests.unit.operator.objects import manifest

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
RATE = {"name": "rps", "type": "RequestsPerSecond"}
DOWN = QueryFailure("unreachable", "Prometheus cannot be reached (ConnectionError): check that it runs")


def api(*metrics: Manifest, name: str = "shop") -> Manifest:
    made = manifest(autoscaling={"metrics": list(metrics)})
    made["metadata"]["name"] = name
    return made


def queue(query: str, name: str = "queue") -> Manifest:
    return {"name": name, "type": "Prometheus", "prometheus": {"query": query, "targetPerPod": "1"}}


class World:
    """Readings, their API server, and a Prometheus that answers as the test says."""

    def __init__(self, listed: Sequence[Manifest], listed_pods: Sequence[Manifest], *, queries: bool) -> None:
        self.server = Server(listed, listed_pods)
        self.loop = asyncio.get_running_loop()
        self.asked: list[tuple[float, str, str]] = []
        self.running = self.most = 0
        self.answers: dict[str, Result | QueryFailure | asyncio.Event | Callable[[str], Result | QueryFailure]] = {}
        self.takes = 0.0
        own = OwnQueries(self, clock=self.loop.time, phase=lambda: 0.5) if queries else None  # type: ignore[arg-type]
        self.informers = apis, pods = api_informer(self.server), pod_informer(self.server)
        self.readings = PrometheusReadings(
            apis, pods, self, own, clock=self.loop.time, now=lambda: NOW, phase=lambda: 0.5,  # type: ignore[arg-type]
        )  # fmt: skip

    async def run(self) -> None:
        await together(self.readings.run(), *(informer.run(repeat(0.1)) for informer in self.informers))

    async def query(
        self, kind: str, query: str, parse: Callable[[Result], Any], *, largest: int = LARGEST_PODS_ANSWER_BYTES
    ) -> Any:
        assert largest == (LARGEST_NUMBER_BYTES if kind == "hca-prometheus" else LARGEST_PODS_ANSWER_BYTES)
        self.asked.append((self.loop.time(), kind, query))
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await asyncio.sleep(self.takes)
            answer = self.answers.get(query, self.answers.get(kind, []))
            if isinstance(answer, asyncio.Event):
                await asyncio.sleep(3)
                raise QueryFailure("timeout", "Prometheus gives no answer within 3 s")
            if callable(answer):
                answer = answer(query)
            if isinstance(answer, QueryFailure):
                raise answer
            return parse(answer)
        finally:
            self.running -= 1

    def happens(self, kind: str, type_: str, made: Manifest) -> None:
        self.server.events[kind].put_nowait((type_, {**made, "metadata": {**made["metadata"], "resourceVersion": "2"}}))

    def value(self, metric: str = "hca-requests-per-second", name: str = "shop") -> float:
        return self.readings.read("default", name, metric, NOW).value

    def why(self, metric: str = "hca-requests-per-second", name: str = "shop") -> str:
        with pytest.raises(Unknown) as unknown:
            self.value(metric, name)
        return str(unknown.value)


Play = Callable[[World], Awaitable[None]]


def play(check: Play, *pods: Manifest, apis: Sequence[Manifest] = (), queries: bool = False) -> None:
    async def main() -> None:
        world = World(apis or [api(RATE)], pods, queries=queries)
        for event in world.server.may_list.values():
            event.set()
        async with virtual_time.beside(world.run()):
            await check(world)

    virtual_time.run(main())
