"""How often the queries of objects are asked, and what follows from their answers, in a time that passes by itself."""

import asyncio
import json
from itertools import pairwise

import pytest

from hca_operator.core.names import KIND
from hca_operator.metrics_server.prometheus.client import Result
from hca_operator.metrics_server.prometheus.own_queries import OWN_QUERY_KEPT_SECONDS as QUERY_KEPT
from hca_operator.metrics_server.prometheus.own_queries import OWN_QUERY_SECONDS as QUERY_INTERVAL
from tests.unit.operator.metrics_server.prometheus.virtual_prometheus import DOWN, World, api, play, queue


def test_fault_43_slow_queries_of_one_namespace_take_no_turn_from_those_of_others() -> None:
    async def check(world: World) -> None:
        world.takes = 2.9
        world.answers["hca-prometheus"] = [0, "5"]
        await asyncio.sleep(60)
        times = [at for at, _, query in world.asked if 'namespace="b"' in query]
        assert len(times) >= 3
        assert all(later - sooner < QUERY_INTERVAL + 3 for sooner, later in pairwise(times))

    slow = [api(queue(f"sum(s{number})"), name=f"slow-{number}") for number in range(100)]
    other = api(queue("sum(q)"))
    other["metadata"]["namespace"] = "b"
    play(check, apis=[*slow, other], queries=True)


def test_a_query_of_an_object_is_asked_at_most_every_fifteen_seconds() -> None:
    bound = 'sum({__name__="q",namespace="default"})'

    async def check(world: World) -> None:
        world.answers[bound] = [{"metric": {}, "value": [0, "250"]}]
        await asyncio.sleep(61)
        assert world.value("hca-prometheus/queue") == 250
        times = [at for at, kind, query in world.asked if (kind, query) == ("hca-prometheus", bound)]
        assert len(times) == 4
        assert all(later - sooner >= QUERY_INTERVAL for sooner, later in pairwise(times))
        assert "the object has no such metric" in world.why("hca-prometheus/other")
        world.happens(KIND, "DELETED", api())
        await asyncio.sleep(60)
        assert sum(query == bound for _, _, query in world.asked) == 4
        assert "the object has no such metric" in world.why("hca-prometheus/queue")

    play(check, apis=[api(queue("sum(q)"))], queries=True)


@pytest.mark.parametrize(
    ("result", "why"),
    [
        ([], "its query returns no series"),
        ([{"metric": {}, "value": [0, "1"]}] * 2, "its query returns 2 series: have it return one number, as sum"),
        ([{"metric": {}, "value": [0, "NaN"]}], "its query returns nan"),
        ([0, "+Inf"], "its query returns inf"),
        ([0, "-1"], "its query returns -1: have it return a number from 0 upwards"),
        ([{"metric": {}, "histogram": [0, {}]}], "its query returns 1 series"),
    ],
    ids=lambda case: json.dumps(case)[:30],
)
def test_what_is_not_one_number_is_unknown_at_once(result: Result, why: str) -> None:
    async def check(world: World) -> None:
        world.answers["hca-prometheus"] = [0, "5"]
        await asyncio.sleep(QUERY_INTERVAL)
        assert world.value("hca-prometheus/queue") == 5
        world.answers["hca-prometheus"] = result
        await asyncio.sleep(QUERY_INTERVAL)
        assert why in world.why("hca-prometheus/queue")

    play(check, apis=[api(queue("sum(q)"))], queries=True)


def test_queries_that_hang_hold_up_no_other_and_are_few_at_a_time() -> None:
    async def check(world: World) -> None:
        world.answers |= {"hca-prometheus": asyncio.Event(), 'sum({__name__="q",namespace="default"})': [0, "5"]}
        await asyncio.sleep(120)
        for _ in range(30):
            assert world.value("hca-prometheus/queue") == 5
            await asyncio.sleep(5)
        assert world.most <= 6
        assert "gives no answer within 3 s" in world.why("hca-prometheus/slow", "slow-7")

    slow = [api(queue(f"sum(s{number})", "slow"), name=f"slow-{number}") for number in range(40)]
    play(check, apis=[api(queue("sum(q)")), *slow], queries=True)


def test_a_query_that_fails_holds_for_a_while() -> None:
    async def check(world: World) -> None:
        world.answers["hca-prometheus"] = [0, "5"]
        await asyncio.sleep(QUERY_INTERVAL)
        world.answers["hca-prometheus"] = DOWN
        await asyncio.sleep(QUERY_KEPT - QUERY_INTERVAL)
        assert world.value("hca-prometheus/queue") == 5
        await asyncio.sleep(QUERY_INTERVAL)
        assert world.why("hca-prometheus/queue") == f"hca-prometheus queue of default/shop is unknown: {DOWN}"
        world.answers["hca-prometheus"] = [0, "6"]
        await asyncio.sleep(QUERY_INTERVAL)
        assert world.value("hca-prometheus/queue") == 6

    play(check, apis=[api(queue("sum(q)"))], queries=True)


def test_a_query_that_may_not_be_asked_is_not() -> None:
    async def check(world: World) -> None:
        await asyncio.sleep(60)
        assert world.asked == []
        assert "its query must not choose a namespace but its own" in world.why("hca-prometheus/queue")

    play(check, apis=[api(queue('q{namespace="other"}'))], queries=True)


def test_an_install_that_allows_none_asks_none() -> None:
    async def check(world: World) -> None:
        await asyncio.sleep(60)
        assert world.asked == []
        assert "prometheus.customQueries" in world.why("hca-prometheus/queue")

    play(check, apis=[api(queue("sum(q)"))])
