"""Envoys that count the requests of objects, and a reader that asks them, in a time that passes by itself."""

import asyncio
import math
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import repeat
from typing import Any
from urllib.parse import unquote

import pytest
from prometheus_client import CollectorRegistry

from hca_operator.core.names import KIND, Manifest
from hca_operator.metrics_server.ingress.envoy import ClusterCounts
from hca_operator.metrics_server.ingress.reader import IngressPods, IngressReader, envoy_informer
from hca_operator.metrics_server.inventory.inventory import api_informer
from hca_operator.metrics_server.pods.scrape import ScrapeFailure, Target
from hca_operator.metrics_server.pods.scrape_metrics import ScrapeMetrics
from hca_operator.metrics_server.samples.reading import Unknown
from tests.unit.operator.objects import manifest

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
PLACE = IngressPods("edge", "app=envoy", 8002, "/stats/prometheus")
RATE, CONCURRENCY, P95 = "hca-requests-per-second", "hca-concurrency", "hca-latency-p95"
REQUESTS = {"metrics": [{"name": "requests", "type": "RequestsPerSecond"}]}
NONE = ClusterCounts(0, 0, 0, 0, {math.inf: 0})


def api(name: str = "shop", *, source: str = "Ingress", **spec: Any) -> Manifest:
    made = manifest(autoscaling=REQUESTS, monitoring={"source": source}, **spec)
    made["metadata"]["name"] = name
    return made


def envoy(name: str, *, ready: str = "True") -> Manifest:
    metadata = {"name": name, "namespace": "edge", "uid": name, "resourceVersion": "1"}
    return {
        "metadata": metadata,
        "status": {"podIP": f"10.0.0.{len(name)}", "conditions": [{"type": "Ready", "status": ready}]},
    }


@dataclass
class Cluster:
    """What an Envoy does for a cluster from a second on: it begins to count at 0, and adds its times up each 5 s."""

    rate: float = 0.0
    takes: float = 0.1
    since: float = 0.0
    pods: bool = True

    def counts(self, now: float) -> ClusterCounts:
        def begun(until: float) -> float:
            return math.floor(self.rate * max(0.0, until - self.since))

        if not self.pods:
            return replace(NONE, without_pod=begun(now))
        ended = begun(now - now % 5)
        times = {bound: ended if bound >= self.takes else 0 for bound in (0.05, 0.1, 0.5, math.inf)}
        return ClusterCounts(begun(now), 0, 0, self.rate * self.takes, times)


@dataclass
class World:
    """Objects, Envoys that count, and a reader that asks them."""

    listed: dict[str, Sequence[Manifest]]
    clusters: dict[str, dict[str, Cluster]]
    """By the names of Envoys and clusters."""
    broken: set[str] = field(default_factory=set)
    """Envoys that do not answer."""
    asked: list[tuple[float, str, list[str]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.may_list = asyncio.Event()
        self.events: dict[str, asyncio.Queue[tuple[str, Manifest]]] = {KIND: asyncio.Queue(), "Pod": asyncio.Queue()}
        self.informers = apis, envoys = api_informer(self), envoy_informer(self, PLACE)
        self.reader = IngressReader(
            apis, envoys, PLACE, ScrapeMetrics(CollectorRegistry()), clock=self.loop.time, phase=lambda: 0.5
        )

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            for work in (self.reader.run(), *(informer.run(repeat(0.1)) for informer in self.informers)):
                tasks.create_task(work)

    async def pages(self, kind: str, namespace: str, **selectors: str) -> AsyncIterator[tuple[Sequence[Manifest], int]]:
        assert (namespace, selectors) == (("edge", {"labelSelector": "app=envoy"}) if kind == "Pod" else ("", {}))
        await self.may_list.wait()
        yield self.listed[kind], 1

    async def watch(
        self, kind: str, namespace: str, version: int, **selectors: str
    ) -> AsyncIterator[tuple[str, Manifest]]:
        assert (namespace, version, bool(selectors)) == (("edge", 1, True) if kind == "Pod" else ("", 1, False))
        while True:
            yield await self.events[kind].get()

    async def fetch(self, target: Target) -> dict[str, ClusterCounts]:
        path, _, query = target.endpoint.path.partition("?")
        assert (path, target.endpoint.port) == ("/stats/prometheus", 8002)
        found = re.search(r"\.\((.*?)\)\\\.", unquote(query))
        assert found is not None
        names, name = found[1].split("|"), target.pod.name
        self.asked.append((self.loop.time(), name, names))
        if name in self.broken:
            await asyncio.sleep(1)
            raise ScrapeFailure("unreachable", f"{path} on port 8002 gives no answer within 1 s")
        known = self.clusters[name]
        return {cluster: known[cluster].counts(self.loop.time()) for cluster in names if cluster in known}

    def happens(self, kind: str, type_: str, made: Manifest) -> None:
        self.events[kind].put_nowait((type_, {**made, "metadata": {**made["metadata"], "resourceVersion": "2"}}))

    def value(self, metric: str = RATE, name: str = "shop") -> float:
        return self.reader.read("default", name, metric, NOW).value

    def unknown(self, metric: str = RATE, name: str = "shop") -> str:
        with pytest.raises(Unknown) as raised:
            self.value(metric, name)
        return str(raised.value)


Play = Callable[[World], Awaitable[None]]
Player = Callable[..., None]

SHOP = "default_shop_80"
