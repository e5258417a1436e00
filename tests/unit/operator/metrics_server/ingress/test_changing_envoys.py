"""What is known of the ingress while its Envoys come, go, begin again or do not answer."""

import asyncio
from contextlib import suppress

import pytest

from hca_operator.metrics_server.ingress.reader import ENVOYS
from hca_operator.metrics_server.samples.reading import Unknown
from tests.unit.operator.metrics_server.ingress.virtual_envoys import (
    CONCURRENCY,
    P95,
    RATE,
    SHOP,
    Cluster,
    Player,
    World,
    envoy,
)


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
