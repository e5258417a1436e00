"""The values for HorizontalPodAutoscalers, from samples of pods at times that the test says."""

import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hca_operator.metrics_server.samples.exposition import PodSample
from hca_operator.metrics_server.samples.reading import Reading, Unknown
from hca_operator.metrics_server.samples.sample_store import WINDOW_SECONDS
from tests.unit.operator.metrics_server.samples.clocked_store import (
    CONCURRENCY,
    LAG,
    METRICS,
    NOW,
    RATE,
    SHOP,
    World,
    lately,
)


def test_the_rate_is_that_of_all_pods_over_the_window() -> None:
    world = World("a", "b")
    for second in range(0, 40, 2):
        world.requests(a=100 * second, b=7 + 20 * second)
    assert world.value(RATE) == 120
    world.requests(a=100 * 40, b=7 + 20 * 38)
    assert world.value(RATE) == pytest.approx(116), "one step of five without a request on one of them"


def test_a_reading_says_over_what_time_it_was_taken() -> None:
    world = World("a")
    for second in range(0, 40, 2):
        world.requests(a=second)
    world.now += 1.5
    assert world.read(RATE) == Reading(1.0, at=NOW - timedelta(seconds=9.5), window=9.5)


def test_a_shorter_window_shows_a_jump_sooner_and_forgets_it_sooner() -> None:
    world = World("a")
    for count in (0, 100, 200, 300, 400, 500, 1500, 2500):
        world.requests(a=count)
    assert (world.value(RATE), lately(world)) == (230, 500)
    world.now += 3.5
    assert world.read(RATE)
    with pytest.raises(Unknown, match="not been read often enough"):
        lately(world)


@pytest.mark.parametrize("after", [0, 5, 900])
def test_a_count_that_falls_is_left_out_and_the_rate_is_that_of_the_rest(after: float) -> None:
    world = World("a")
    for count in (980, 990, 1000, after, after + 10, after + 20):
        world.requests(a=count)
    assert world.value(RATE) == 5


def test_fault_59_a_count_that_falls_and_rises_again_is_no_load() -> None:
    world = World("a")
    for count in (1000000, 1000010, 1000020, 700000, 1000040):
        world.requests(a=count)
    assert "have it show all of its workers together" in world.unknown(RATE)
    for turn in range(1, 7):
        world.requests(a=1000040 + 10 * turn)
    assert world.value(RATE) == 5, "it was one answer, which is over"


@pytest.mark.parametrize("first", [0, 1])
def test_fault_59_a_pod_that_shows_one_worker_at_a_time_is_never_believed(first: int) -> None:
    world = World("a", begins=True)
    for turn in range(first, 60):
        world.requests(a=(700000, 1000000)[turn % 2] + 10 * turn)
        assert world.unknown(RATE)
    assert "have it show all of its workers together" in world.unknown(RATE)
    for turn in range(40):
        world.requests(a=2000000 + turn)
    assert world.value(RATE) == 0.5, "a minute later it is forgiven"


def test_what_a_pod_shows_of_one_worker_at_a_time_but_does_not_count_is_believed() -> None:
    world = World("a")
    for turn in range(10):
        world.reported(a=PodSample(requests=turn % 2, in_flight=3))
    assert world.value(CONCURRENCY) == 3


def test_momentary_values_are_means_over_the_window() -> None:
    world = World("a", "b")
    for in_flight, lag in [(2, 0.1), (4, 0.2), (0, 0.3)]:
        world.reported(a=PodSample(in_flight=in_flight, loop_lag=lag), b=PodSample(in_flight=1, loop_lag=0.0))
    assert (world.value(CONCURRENCY), world.value(LAG)) == (3, 0.1)


def test_what_is_old_is_not_known_any_more() -> None:
    world = World("a")
    for _ in range(2):
        world.reported(a=PodSample(in_flight=3))
    world.signals.fail(SHOP, "a", "timed out")
    world.now += WINDOW_SECONDS - 2
    assert world.value(CONCURRENCY) == 3
    world.now += 2.1
    assert world.unknown(CONCURRENCY).endswith("timed out")


@pytest.mark.parametrize("metric", METRICS)
def test_what_is_absent_is_named(metric: str) -> None:
    world = World()
    assert "none of its pods is ready" in world.unknown(metric)
    world.signals.follow(SHOP, ["a"])
    assert "wait a few seconds" in world.unknown(metric)
    world.reported(a=PodSample())
    assert "1 of its 1 serving pods have no value for it; most often, its metrics have no " in world.unknown(metric)
    world.signals.forget(SHOP)
    world.reported(a=PodSample())
    assert "no HighConcurrencyApi of that name" in world.unknown(metric)


def test_a_rate_of_one_sample_is_unknown() -> None:
    world = World("a")
    world.requests(a=5)
    assert "not been read often enough" in world.unknown(RATE)
    world.now += 0.1
    world.signals.add(SHOP, "a", PodSample(requests=50))
    assert "wait" in world.unknown(RATE), "a tenth of a second is too short"


@pytest.mark.parametrize("metric", ["hca-latency-p0", "hca-latency-p100", "hca-latency-p05", "hca-latency", "rps", ""])
def test_a_metric_that_does_not_exist_is_distinguished_from_one_that_is_unknown(metric: str) -> None:
    assert "ask for hca-requests-per-second, hca-concurrency" in World("a").unknown(metric)


NUMBERS = st.none() | st.floats(0, 2**52)
SAMPLES = st.builds(
    lambda requests, slow, fast, in_flight, loop_lag: PodSample(
        requests,
        None if slow is None else {math.inf: slow, 0.5: slow * fast, 0.1: slow * fast / 2},
        in_flight,
        loop_lag,
    ),
    NUMBERS, NUMBERS, st.floats(0, 1), NUMBERS, NUMBERS,
)  # fmt: skip
PODS = ("a", "b", "c")
EVENTS = st.lists(
    st.tuples(st.sampled_from(PODS), SAMPLES, st.floats(0, 5)) | st.sets(st.sampled_from(PODS)), max_size=25
)


def play(events: Iterable[tuple[str, PodSample, float] | set[str]], names: Mapping[str, str]) -> World:
    world = World(*names.values())
    for event in events:
        if isinstance(event, set):
            world.signals.follow(SHOP, [names[pod] for pod in names if pod in event])
        else:
            pod, sample, seconds = event
            world.now += seconds
            world.signals.add(SHOP, names[pod], sample)
    return world


@settings(max_examples=100)
@given(events=EVENTS)
def test_whatever_pods_expose_a_value_is_a_possible_number(
    events: Sequence[tuple[str, PodSample, float] | set[str]],
) -> None:
    world = play(events, dict(zip(PODS, PODS, strict=True)))
    for metric in METRICS:
        try:
            reading = world.read(metric)
        except Unknown:
            continue
        assert math.isfinite(reading.value)
        assert reading.value >= 0
        assert 0 <= reading.window <= WINDOW_SECONDS
        assert reading.at == NOW - timedelta(seconds=reading.window)


@settings(max_examples=60)
@given(events=EVENTS, order=st.permutations(PODS))
def test_it_does_not_matter_which_pod_is_which(
    events: Sequence[tuple[str, PodSample, float] | set[str]], order: Sequence[str]
) -> None:
    worlds = (play(events, dict(zip(PODS, PODS, strict=True))), play(events, dict(zip(order, PODS, strict=True))))

    def reported(world: World, metric: str) -> str | float:
        try:
            return world.read(metric).value
        except Unknown as error:
            return str(error)

    for metric in METRICS:
        assert reported(worlds[0], metric) == reported(worlds[1], metric)


@given(
    rates=st.lists(st.integers(0, 1000), min_size=5, max_size=20),
    reset_at=st.integers(0, 20),
    left=st.integers(0, 10**6),
)
def test_a_restart_never_makes_a_rate_greater_than_it_ever_was(rates: list[int], reset_at: int, left: int) -> None:
    world, count, most = World("a"), 10**6, 0
    for number, rate in enumerate(rates):
        count = min(count, left) if number == reset_at else count + 2 * rate
        most = max(most, rate)
        world.requests(a=count)
    with suppress(Unknown):  # where it looks like one worker at a time
        assert world.read(RATE).value <= most
