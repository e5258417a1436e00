"""What the ingress is asked for and what follows from its answers, in a time that passes only when nothing else is
left to do."""

import asyncio
import math
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import repeat
from typing import Any
from urllib.parse import unquote

import pytest
from prometheus_client import CollectorRegistry

from hca_operator.api.metric_types import PROMETHEUS
from hca_operator.core.names import KIND, Manifest
from hca_operator.core.ports import Key
from hca_operator.metrics_server.ingress.envoy import ClusterCounts
from hca_operator.metrics_server.ingress.reader import (
    CLUSTERS_PER_REQUEST,
    ENVOYS,
    IngressPods,
    IngressReader,
    envoy_informer,
)
from hca_operator.metrics_server.inventory.inventory import api_informer
from hca_operator.metrics_server.pods.pod_polling import FIRST_SAMPLES_SECONDS, INTERVAL_SECONDS
from hca_operator.metrics_server.pods.scrape import PodClient, ScrapeFailure, Target
from hca_operator.metrics_server.pods.scrape_metrics import ScrapeMetrics
from hca_operator.metrics_server.samples.reading import Reading, Unknown
from hca_operator.metrics_server.serving.sources import Sources
from tests.unit.operator import virtual_time
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


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch) -> Player:
    def run(
        play: Play, clusters: dict[str, dict[str, Cluster]], *, apis: Sequence[Manifest] = (), listed: bool = True
    ) -> None:
        async def main() -> None:
            world = World({KIND: apis or [api()], "Pod": [envoy(name) for name in clusters]}, clusters)
            monkeypatch.setattr(PodClient, "fetch", lambda _self, _api, target, _answer: world.fetch(target))
            if listed:
                world.may_list.set()
            async with virtual_time.beside(world.run()):
                await play(world)

        virtual_time.run(main())

    return run


SHOP = "default_shop_80"


def test_the_requests_of_an_object_are_those_of_all_envoys(play: Player) -> None:
    async def check(world: World) -> None:
        await asyncio.sleep(30)
        assert world.value() == pytest.approx(50, abs=0.5)
        assert world.value(CONCURRENCY) == pytest.approx(5)
        assert 0.05 < world.value(P95) <= 0.1

    play(check, {"a": {SHOP: Cluster(rate=20)}, "bb": {SHOP: Cluster(rate=30)}})


def test_an_envoy_is_asked_every_two_seconds_and_only_for_objects_that_it_counts_for(play: Player) -> None:
    others = [api("own", source="App"), api("off"), api("elsewhere", service={"port": 8080})]
    others[1]["spec"]["autoscaling"] = {**REQUESTS, "mode": "Disabled"}

    async def check(world: World) -> None:
        await asyncio.sleep(10)
        assert [at for at, _, _ in world.asked] == [1, 3, 5, 7, 9]
        assert {tuple(names) for _, _, names in world.asked} == {("default_elsewhere_8080", SHOP)}
        counted = {
            name for name in ("shop", "own", "off", "elsewhere") if world.reader.counts_for(Key("default", name))
        }
        assert counted == {"shop", "elsewhere"}

    play(check, {"a": {SHOP: Cluster()}}, apis=[api(), *others])


def test_without_such_an_object_no_pod_is_asked(play: Player) -> None:
    async def check(world: World) -> None:
        await asyncio.sleep(10)
        assert world.asked == []

    play(check, {"a": {}}, apis=[api(source="App")])


def test_many_objects_are_asked_for_in_portions(play: Player) -> None:
    count = 2 * CLUSTERS_PER_REQUEST + 1
    apis = [api(f"shop-{number}") for number in range(count)]
    clusters = {f"default_shop-{number}_80": Cluster(rate=number) for number in range(count)}

    async def check(world: World) -> None:
        await asyncio.sleep(10)
        assert max(len(names) for _, _, names in world.asked) == CLUSTERS_PER_REQUEST
        assert [world.value(name=f"shop-{number}") for number in (0, 7, count - 1)] == [0, 7, count - 1]

    play(check, {"a": clusters}, apis=apis)


def test_a_service_without_clients_has_no_requests_and_is_known(play: Player) -> None:
    async def check(world: World) -> None:
        await asyncio.sleep(30)
        assert [world.value(metric) for metric in (RATE, CONCURRENCY, P95)] == [0, 0, 0]

    play(check, {"a": {SHOP: Cluster()}})


def test_a_service_that_the_ingress_does_not_lead_to_is_unknown_and_the_sentence_says_what_to_do(play: Player) -> None:
    async def check(world: World) -> None:
        await asyncio.sleep(30)
        assert world.unknown() == (
            "hca-requests-per-second of default/shop is unknown: 1 of the 1 pods of the ingress have no value for it; "
            "most often, it leads to no Service default/shop at port 80: have traffic.routes served by the ingress "
            "that the operator's chart value externalMetrics.ingress selects"
        )

    play(check, {"a": {"default_other_80": Cluster(rate=10)}})


@pytest.mark.parametrize("metric", [RATE, CONCURRENCY, P95])
def test_an_envoy_that_does_not_answer_makes_it_unknown_and_never_less(play: Player, metric: str) -> None:
    async def check(world: World) -> None:
        await asyncio.sleep(30)
        before = world.value(metric)
        world.broken.add("a")
        for _ in range(20):
            await asyncio.sleep(1)
            with suppress(Unknown):
                assert world.value(metric) == pytest.approx(before, rel=0.05)
        assert "1 of the 3 pods of the ingress have no value for it" in world.unknown(metric)
        assert "gives no answer within 1 s" in world.unknown(metric)
        world.broken.clear()
        await asyncio.sleep(15)
        assert world.value(metric) == pytest.approx(before, rel=0.05)

    # The one that is lost is the one that everything comes through.
    play(check, {"a": {SHOP: Cluster(rate=40)}, "bb": {SHOP: Cluster()}, "ccc": {SHOP: Cluster()}})


def test_in_half_an_hour_without_the_ingress_no_value_is_ever_given(play: Player) -> None:
    async def check(world: World) -> None:
        await asyncio.sleep(30)
        world.broken |= {"a", "bb"}
        await asyncio.sleep(ENVOYS.window_seconds + 2)
        for _ in range(1800):
            await asyncio.sleep(1)
            for metric in (RATE, CONCURRENCY, P95):
                world.unknown(metric)

    play(check, {"a": {SHOP: Cluster(rate=40)}, "bb": {SHOP: Cluster(rate=40)}})


def test_an_envoy_that_goes_is_asked_no_more_and_what_the_others_have_counts(play: Player) -> None:
    async def check(world: World) -> None:
        await asyncio.sleep(30)
        world.happens("Pod", "DELETED", envoy("a"))
        asked = len(world.asked)
        await asyncio.sleep(4)
        assert {name for _, name, _ in world.asked[asked:]} == {"bb"}
        assert world.value() == pytest.approx(30)
        world.happens("Pod", "MODIFIED", envoy("bb", ready="False"))
        await asyncio.sleep(0.1)
        assert "no pod of the ingress is ready: ask the platform team" in world.unknown()

    play(check, {"a": {SHOP: Cluster(rate=20)}, "bb": {SHOP: Cluster(rate=30)}})


def test_an_envoy_that_comes_takes_its_part_over_and_the_sum_stays(play: Player) -> None:
    async def check(world: World) -> None:
        await asyncio.sleep(30)
        world.clusters["bb"] = {SHOP: Cluster(rate=20, since=30)}
        world.clusters["a"][SHOP] = _slowed(world.clusters["a"][SHOP], to=20, at=30)
        world.happens("Pod", "ADDED", envoy("bb"))
        for _ in range(20):
            await asyncio.sleep(1)
            assert 15 <= world.value() <= 41
        assert world.value() == pytest.approx(40)

    play(check, {"a": {SHOP: Cluster(rate=40)}})


def _slowed(cluster: Cluster, *, to: float, at: float) -> Cluster:
    """The same counts until then, and fewer from then on."""
    return Cluster(rate=to, since=at - (at - cluster.since) * cluster.rate / to)


def test_an_envoy_that_begins_again_makes_no_jump(play: Player) -> None:
    async def check(world: World) -> None:
        await asyncio.sleep(30)
        world.clusters["a"][SHOP] = Cluster(rate=40, since=30)
        for _ in range(30):
            await asyncio.sleep(1)
            assert world.value() == pytest.approx(40, rel=0.05)

    play(check, {"a": {SHOP: Cluster(rate=40)}})


def test_before_the_times_were_added_up_once_no_latency_of_zero_is_given(play: Player) -> None:
    reported: list[float] = []

    async def check(world: World) -> None:
        await asyncio.sleep(30)
        world.clusters["bb"] = {SHOP: Cluster()}
        world.happens("Pod", "ADDED", envoy("bb"))
        for _ in range(100):
            await asyncio.sleep(0.2)
            with suppress(Unknown):
                reported.append(world.value(P95))
        assert len(reported) == 100
        assert 0 not in reported

    play(check, {"a": {SHOP: Cluster(rate=40)}})


def test_while_no_pod_is_ready_the_requests_that_come_count_and_nothing_else_is_known(play: Player) -> None:
    async def check(world: World) -> None:
        await asyncio.sleep(30)
        assert world.value() == pytest.approx(40)
        for metric in (CONCURRENCY, P95):
            assert "no pod of the API is ready: see its condition Ready" in world.unknown(metric)

    play(check, {"a": {SHOP: Cluster(rate=40, pods=False)}})


def test_an_object_of_another_source_or_port_begins_again(play: Player) -> None:
    async def check(world: World) -> None:
        await asyncio.sleep(30)
        world.happens(KIND, "MODIFIED", api(service={"port": 81}))
        await asyncio.sleep(0.1)
        world.unknown()
        await asyncio.sleep(5)
        assert world.value() == pytest.approx(7, abs=0.5)
        world.happens(KIND, "MODIFIED", api(source="App"))
        await asyncio.sleep(0.1)
        assert not world.reader.counts_for(Key("default", "shop"))

    play(check, {"a": {SHOP: Cluster(rate=40), "default_shop_81": Cluster(rate=7)}})


def test_nothing_is_complete_before_the_lists_are_there_and_each_envoy_was_read_twice(play: Player) -> None:
    async def check(world: World) -> None:
        await asyncio.sleep(10)
        assert "not listed yet" in (world.reader.not_ready() or "")
        world.may_list.set()
        await asyncio.sleep(INTERVAL_SECONDS)
        assert world.reader.not_ready() == "the pods of the ingress are being read for the first time"
        await asyncio.sleep(FIRST_SAMPLES_SECONDS - INTERVAL_SECONDS)
        assert world.reader.not_ready() is None
        assert world.value() == pytest.approx(40)

    play(check, {"a": {SHOP: Cluster(rate=40)}}, listed=False)


class FromPods:
    def read(self, namespace: str, api: str, metric: str, now: datetime, *, window_seconds: float = 0) -> Reading:  # noqa: ARG002
        return Reading(1.0, now, 0)


def test_each_object_is_answered_for_from_its_own_source(play: Player) -> None:
    async def check(world: World) -> None:
        await asyncio.sleep(30)
        sources = Sources(FromPods(), world.reader)
        assert sources.read("default", "shop", RATE, NOW).value == pytest.approx(40)
        assert sources.read("default", "own", RATE, NOW).value == 1
        assert sources.read("default", "shop", f"{PROMETHEUS.external}/queue", NOW).value == 1  # which no ingress knows
        assert Sources(FromPods(), None).read("default", "shop", RATE, NOW).value == 1

    play(check, {"a": {SHOP: Cluster(rate=40)}}, apis=[api(), api("own", source="App")])
