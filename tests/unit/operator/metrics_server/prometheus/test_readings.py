"""What is asked of Prometheus and when, and what follows from its answers, in a time that passes by itself."""

import asyncio
import re
from collections import Counter
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from hca_operator.core.names import KIND, Manifest
from hca_operator.core.timestamps import time_text
from hca_operator.metrics_server.prometheus.client import QueryFailure, Result
from hca_operator.metrics_server.prometheus.portions import LONGEST_QUERY
from hca_operator.metrics_server.prometheus.readings import (
    JOINING_SECONDS,
    LONGEST_POD_QUERY_SECONDS,
    POD_QUERY_KEPT_SECONDS,
    POD_QUERY_SECONDS,
    SHARE,
)
from hca_operator.metrics_server.samples.reading import Unknown
from tests.unit.operator.metrics_server.pods.watched_pods import pod
from tests.unit.operator.metrics_server.prometheus.virtual_prometheus import DOWN, NOW, RATE, World, api, play

SLOW = {"name": "p95", "type": "Latency", "latency": {"percentile": 95}}


def series(
    value: float, name: str = "a", mark: str = "0.0", namespace: str = "default", **labels: str
) -> dict[str, Any]:
    return {"metric": {"namespace": namespace, "pod": name, "hca": mark, **labels}, "value": [0, str(value)]}


@pytest.mark.parametrize("objects", [1, 200])
def test_as_many_queries_are_made_for_one_object_as_for_two_hundred(objects: int) -> None:
    async def check(world: World) -> None:
        await asyncio.sleep(30 * POD_QUERY_SECONDS + 0.5)
        assert Counter(kind for _, kind, _ in world.asked) == {"hca-requests-per-second": 31, "hca-latency": 31}

    p50 = {"name": "p50", "type": "Latency", "latency": {"percentile": 50}}
    apis = [api(RATE, SLOW, p50, name=f"shop-{number}") for number in range(objects)]
    play(check, *(pod(f"pod-{number}", of=f"shop-{number}") for number in range(objects)), apis=apis)


@pytest.mark.parametrize(
    ("takes", "pause"),
    [
        (0.0, POD_QUERY_SECONDS),
        (POD_QUERY_SECONDS * SHARE / 2, POD_QUERY_SECONDS),
        (0.5, 0.5 / SHARE),
        (2.0, LONGEST_POD_QUERY_SECONDS),
    ],
)
def test_a_prometheus_that_takes_long_is_asked_less_often(takes: float, pause: float) -> None:
    async def check(world: World) -> None:
        world.takes = takes
        await asyncio.sleep(100)
        times = [at for at, _, _ in world.asked]
        assert len(times) > 5
        assert all(later - sooner == pytest.approx(takes + pause) for sooner, later in pairwise(times))

    play(check, pod("a"))


def test_only_what_some_object_asks_for_is_asked_and_nothing_where_none_does() -> None:
    async def check(world: World) -> None:
        await asyncio.sleep(30)
        assert world.asked == []
        assert world.readings.not_ready() is None
        world.happens(KIND, "MODIFIED", api(SLOW))
        await asyncio.sleep(POD_QUERY_SECONDS + 1)
        assert {kind for _, kind, _ in world.asked} == {"hca-latency"}

    play(check, pod("a"), apis=[api({"name": "cpu", "type": "CPU"})])


def test_a_total_is_that_of_the_pods_that_serve() -> None:
    async def check(world: World) -> None:
        assert world.readings.not_ready() is not None
        world.answers["hca-requests-per-second"] = [series(10), series(20, "b"), series(99, "gone")]
        await asyncio.sleep(1)
        assert world.readings.not_ready() is None
        assert world.value() == 30
        world.happens("Pod", "DELETED", pod("b"))
        await asyncio.sleep(1)
        assert world.value() == 10

    play(check, pod("a"), pod("b"))


def test_a_pod_that_joins_counts_once_it_is_known_and_one_that_is_lost_is_made_up_for() -> None:
    async def check(world: World) -> None:
        world.answers["hca-requests-per-second"] = [series(10), series(20, "b")]
        await asyncio.sleep(1)
        world.happens("Pod", "ADDED", pod("c"))
        await asyncio.sleep(1)
        assert world.value() == 30
        await asyncio.sleep(JOINING_SECONDS)
        assert world.value() == 45, "two of three are known"
        world.answers["hca-requests-per-second"] = [series(10)]
        await asyncio.sleep(POD_QUERY_SECONDS)
        assert "for 2 of its 3 serving pods" in world.why()

    play(check, pod("a"), pod("b"))


def ready(made: Manifest, seconds: float) -> Manifest:
    (condition,) = made["status"]["conditions"]
    condition["lastTransitionTime"] = time_text(NOW - timedelta(seconds=seconds))
    return made


@pytest.mark.parametrize(("seconds", "total"), [(5, 30), (JOINING_SECONDS + 1, 60)])
def test_fault_59_who_begins_to_read_does_not_make_up_for_pods_that_have_just_become_ready(
    seconds: float, total: float
) -> None:
    async def check(world: World) -> None:
        world.answers["hca-requests-per-second"] = [series(10), series(20, "b")]
        await asyncio.sleep(1)
        assert world.value() == total

    play(check, pod("a"), pod("b"), ready(pod("c"), seconds), ready(pod("d"), seconds))


def test_fault_59_a_burst_takes_two_scrapes_of_each_pod_with_load() -> None:
    async def check(world: World) -> None:
        def burst() -> tuple[float, float]:
            reading = world.readings.read("default", "shop", "hca-requests-per-second", NOW, window_seconds=5.0)
            return reading.value, reading.window

        world.answers["hca-requests-per-second"] = [series(10), series(20, "b"), series(0, "idle")]
        await asyncio.sleep(61)
        assert burst() == (30, 61), "one scrape, whenever it is read"
        world.answers["hca-requests-per-second"] = [series(500), series(20, "b"), series(0, "idle")]
        await asyncio.sleep(2)
        assert burst() == (520, 63), "of b it is that of before"
        world.answers["hca-requests-per-second"] = [series(510), series(490, "b"), series(0, "idle")]
        await asyncio.sleep(2)
        assert burst()[0] == 1000
        assert burst()[1] <= POD_QUERY_SECONDS
        assert world.readings.read("default", "shop", "hca-requests-per-second", NOW).window <= POD_QUERY_SECONDS
        await asyncio.sleep(200)
        assert burst() == (1000, 120), "which is as old as a sample can be"

    play(check, pod("a"), pod("b"), pod("idle"))


def test_fault_44_many_objects_with_long_paths_share_queries_of_bounded_length() -> None:
    def answer(query: str) -> Result:
        assert len(query) <= LONGEST_QUERY
        return [series(1, f"pod-{number}", "0.") for number in range(60) if f"/{number}x" in query]

    async def check(world: World) -> None:
        world.answers["hca-requests-per-second"] = answer
        await asyncio.sleep(1)
        assert {world.value(name=f"shop-{number}") for number in range(60)} == {1}
        assert 1 < len(world.asked) < 30

    apis = [api(RATE, name=f"shop-{number}") for number in range(60)]
    for number, made in enumerate(apis):
        made["spec"]["health"] = {"readinessPath": f"/{number}x" + "(" * 200}
    play(check, *(pod(f"pod-{number}", of=f"shop-{number}") for number in range(60)), apis=apis)


def test_fault_44_an_object_by_whose_series_a_query_fails_is_soon_alone_with_it() -> None:
    large = QueryFailure("too_large", "Prometheus answers with more than 3 MiB", of_the_query=True)

    def answer(query: str) -> Result | QueryFailure:
        if 'pod!=""' in query and re.search(r"\bbad\b", query):
            return large
        if "pod-bad" in query:
            return large
        return [series(1, f"pod-{number}", namespace=f"team-{number}") for number in range(32)]

    async def check(world: World) -> None:
        world.answers["hca-requests-per-second"] = answer
        await asyncio.sleep(6 * POD_QUERY_SECONDS + 1)
        for _ in range(30):
            for number in range(32):
                assert world.readings.read(f"team-{number}", "shop", "hca-requests-per-second", NOW).value == 1
            with pytest.raises(Unknown, match="Prometheus answers with more than 3 MiB"):
                world.readings.read("bad", "shop", "hca-requests-per-second", NOW)
            await asyncio.sleep(POD_QUERY_SECONDS)
        asked = len(world.asked)
        await asyncio.sleep(5 * POD_QUERY_SECONDS)
        assert len(world.asked) - asked == 10, "it is the only one that is asked for alone"
        world.answers["hca-requests-per-second"] = lambda _query: [series(1, "pod-bad", namespace="bad")]
        await asyncio.sleep(2 * POD_QUERY_SECONDS)
        assert world.readings.read("bad", "shop", "hca-requests-per-second", NOW).value == 1

    teams = {**{f"team-{number}": f"pod-{number}" for number in range(32)}, "bad": "pod-bad"}
    apis: list[Manifest] = []
    pods: list[Manifest] = []
    for namespace, name in teams.items():
        for made, kept in ((api(RATE), apis), (pod(name), pods)):
            kept.append({**made, "metadata": {**made["metadata"], "namespace": namespace}})
    play(check, *pods, apis=apis)


def test_fault_44_where_prometheus_is_away_it_is_not_asked_more() -> None:
    async def check(world: World) -> None:
        world.answers["hca-requests-per-second"] = DOWN
        await asyncio.sleep(10 * POD_QUERY_SECONDS + 1)
        assert len(world.asked) == 11
        assert str(DOWN) in world.why(name="shop-7")

    apis = [api(RATE, name=f"shop-{number}") for number in range(20)]
    play(check, *(pod(f"pod-{number}", of=f"shop-{number}") for number in range(20)), apis=apis)


def test_fault_32_an_empty_answer_is_unknown_and_says_what_to_look_at() -> None:
    async def check(world: World) -> None:
        await asyncio.sleep(1)
        assert world.why() == (
            "hca-requests-per-second of default/shop is unknown: Prometheus has no http_request_duration_seconds_count "
            "or http_server_request_duration_seconds_count or http_requests_total of the last two minutes, with the "
            "labels namespace and pod, for 1 of its 1 serving pods: check that its targets are up and their clocks "
            "correct"
        )

    play(check, pod("a"))


def test_fault_32_an_outage_is_unknown_after_a_while_and_over_with_the_first_answer() -> None:
    async def check(world: World) -> None:
        world.answers["hca-requests-per-second"] = [series(10)]
        await asyncio.sleep(1)
        world.answers["hca-requests-per-second"] = DOWN
        await asyncio.sleep(POD_QUERY_KEPT_SECONDS - 2)
        assert world.value() == 10
        await asyncio.sleep(2)
        assert world.why() == f"hca-requests-per-second of default/shop is unknown: {DOWN}"
        world.answers["hca-requests-per-second"] = [series(12)]
        await asyncio.sleep(POD_QUERY_SECONDS)
        assert world.value() == 12

    play(check, pod("a"))


def test_fault_14_a_kind_that_is_slow_is_no_trouble_of_the_others() -> None:
    async def check(world: World) -> None:
        world.answers |= {"hca-requests-per-second": [series(10)], "hca-latency": asyncio.Event()}
        await asyncio.sleep(100)
        assert world.value() == 10
        assert "gives no answer within 3 s" in world.why("hca-latency-p95")

    play(check, pod("a"), apis=[api(RATE, SLOW)])


def test_a_percentile_is_that_of_all_pods_together_and_a_lag_their_mean() -> None:
    lag = {"name": "lag", "type": "EventLoopLag"}

    async def check(world: World) -> None:
        world.answers["hca-latency"] = [
            series(90, le="0.1"), series(100, le="+Inf"), series(100, le="0.2"),
            series(0, "b", le="0.1"), series(100, "b", le="0.2"), series(100, "b", le="+Inf"),
        ]  # fmt: skip
        world.answers["hca-event-loop-lag"] = [series(0.1, mark="0."), series(0.3, "b", "0.")]
        await asyncio.sleep(1)
        assert world.value("hca-latency-p45") == pytest.approx(0.1)
        assert world.value("hca-event-loop-lag") == pytest.approx(0.2)
        assert world.why("hca-latency").startswith("hca-latency is no metric of a HighConcurrencyApi")
        assert "has such a metric in autoscaling.metrics" in world.why("hca-concurrency")

    play(check, pod("a"), pod("b"), apis=[api(SLOW, lag)])
