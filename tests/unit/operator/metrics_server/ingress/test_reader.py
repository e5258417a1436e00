"""What the ingress is asked for and what follows from its answers, in a time that passes only when nothing else is
left to do."""

import asyncio
from datetime import datetime

import pytest

from hca_operator.api.metric_types import PROMETHEUS
from hca_operator.core.names import KIND
from hca_operator.core.ports import Key
from hca_operator.metrics_server.ingress.reader import CLUSTERS_PER_REQUEST
from hca_operator.metrics_server.pods.pod_polling import FIRST_SAMPLES_SECONDS, POD_POLL_SECONDS
from hca_operator.metrics_server.samples.reading import Reading
from hca_operator.metrics_server.serving.sources import Sources
from tests.unit.operator.metrics_server.ingress.virtual_envoys import (
    CONCURRENCY,
    NOW,
    P95,
    RATE,
    REQUESTS,
    SHOP,
    Cluster,
    Player,
    World,
    api,
)


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
        await asyncio.sleep(POD_POLL_SECONDS)
        assert world.reader.not_ready() == "the pods of the ingress are being read for the first time"
        await asyncio.sleep(FIRST_SAMPLES_SECONDS - POD_POLL_SECONDS)
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
