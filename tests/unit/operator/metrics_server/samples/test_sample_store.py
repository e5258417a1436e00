"""The values for HorizontalPodAutoscalers, from samples of pods at times that the test says."""

import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hca_operator.core.ports import Key
from hca_operator.metrics_server.samples.budget import Budget
from hca_operator.metrics_server.samples.exposition import PodSample
from hca_operator.metrics_server.samples.reading import Reading, Unknown
from hca_operator.metrics_server.samples.sample_store import SAMPLE_SIZE, WINDOW_SECONDS, SampleStore

SHOP = Key("default", "shop")
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
RATE, CONCURRENCY, LAG, P50, P95 = (
    "hca-requests-per-second", "hca-concurrency", "hca-event-loop-lag", "hca-latency-p50", "hca-latency-p95",
)  # fmt: skip
METRICS = (RATE, CONCURRENCY, LAG, P50, P95)


class World:
    """SampleStore and a clock that advances only when the test says so."""

    def __init__(self, *pods: str, begins: bool = False) -> None:
        """`begins`: the object has not been followed for a while."""
        self.now = 1000.0
        self.signals = SampleStore(lambda: self.now)
        self.signals.follow(SHOP, pods)
        if not begins:
            self.now += WINDOW_SECONDS

    def reported(self, **samples: PodSample) -> None:
        """Add samples of pods, two seconds after the time before."""
        self.now += 2
        for pod, sample in samples.items():
            self.signals.add(SHOP, pod, sample)

    def requests(self, **counts: float) -> None:
        self.reported(**{pod: PodSample(requests=count) for pod, count in counts.items()})

    def read(self, metric: str) -> Reading:
        return self.signals.read(*SHOP, metric, NOW)

    def value(self, metric: str) -> float:
        return round(self.read(metric).value, 9)

    def unknown(self, metric: str) -> str:
        with pytest.raises(Unknown) as raised:
            self.read(metric)
        return str(raised.value)


def histogram(fast: float, slow: float = 0.0, slowest: float = 0.0) -> PodSample:
    """Counts of requests up to 0.1 s, up to 0.5 s, and above."""
    return PodSample(buckets={math.inf: fast + slow + slowest, 0.1: fast, 0.5: fast + slow})


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


def lately(world: World) -> float:
    return world.signals.read(*SHOP, RATE, NOW, window_seconds=5.0).value


def test_a_pod_counts_from_its_second_sample_and_does_not_make_the_load_look_greater_before() -> None:
    world = World("a", "b")
    for second in range(0, 20, 2):
        world.requests(a=50 * second, b=50 * second)
    world.signals.follow(SHOP, ["a", "b", "c"])
    # From here on each has a third of the load.
    world.requests(a=900 + 200 / 3, b=900 + 200 / 3, c=5000)
    assert 85 < world.value(RATE) < 100
    # What a and b had before is not added to what c has now.
    world.requests(a=900 + 400 / 3, b=900 + 400 / 3, c=5000 + 200 / 3)
    assert world.value(RATE) == 100


def test_the_load_of_a_pod_that_went_is_found_with_the_others() -> None:
    world = World("a", "b")
    for second in range(0, 20, 2):
        world.requests(a=50 * second, b=50 * second)
    world.signals.follow(SHOP, ["b"])
    world.requests(b=900 + 200)
    assert world.value(RATE) == 100


def test_a_pod_that_joined_and_has_no_sample_is_missing_after_the_window() -> None:
    world = World("a")
    world.requests(a=0)
    world.signals.follow(SHOP, ["a", "b"])
    for second in range(2, 10, 2):
        world.requests(a=10 * second)
        assert world.value(RATE) == 10
    for second in range(10, 20, 2):
        world.requests(a=10 * second)
    assert world.value(RATE) == 20, "b is taken to have as much"


def test_pods_that_were_there_at_the_start_are_not_taken_for_new_ones() -> None:
    world = World("a", "b", "c")
    world.requests(a=0)
    world.requests(a=10)
    assert "2 of its 3 serving pods" in world.unknown(RATE)


def test_samples_of_a_pod_that_went_go_with_it_and_late_ones_are_not_taken() -> None:
    world = World("a", "b")
    for _ in range(2):
        world.reported(a=PodSample(in_flight=3), b=PodSample(in_flight=5))
    assert world.value(CONCURRENCY) == 8
    world.signals.follow(SHOP, ["a"])
    assert world.value(CONCURRENCY) == 3
    world.reported(b=PodSample(in_flight=5))
    world.signals.follow(SHOP, ["a", "b"])
    assert world.value(CONCURRENCY) == 3, "what b told before it was ready again is not known any more"


def test_a_pod_that_takes_the_place_of_another_is_missed_at_once() -> None:
    world = World("a", "b")
    for second in range(0, 20, 2):
        world.requests(a=50 * second, b=50 * second)
    world.signals.follow(SHOP, ["a", "b", "c"])
    world.signals.follow(SHOP, ["b", "c"])
    assert world.value(RATE) == 100


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


@pytest.mark.parametrize("window", [WINDOW_SECONDS, 5.0])
def test_fault_59_who_begins_to_read_does_not_make_up_for_pods_that_may_be_new(window: float) -> None:
    world = World("a", "b", "c", "d", begins=True)
    for second in range(2, 10, 2):
        world.requests(a=10 * second, b=10 * second)
        with pytest.raises(Unknown, match="of its 4 serving pods have no value for it"):
            world.signals.read(*SHOP, RATE, NOW, window_seconds=window)
    for second in range(10, 20, 2):
        world.requests(a=10 * second, b=10 * second)
    assert world.signals.read(*SHOP, RATE, NOW, window_seconds=window).value == 40, "c and d are missing by now"


def test_fault_59_a_pod_that_is_not_known_yet_makes_no_burst() -> None:
    world = World("a")
    for second in range(0, 20, 2):
        world.requests(a=10 * second)
    world.signals.follow(SHOP, ["a", "b"])
    for second in range(20, 28, 2):
        world.requests(a=10 * second)
        assert lately(world) == 10


def test_fault_43_an_object_whose_samples_are_too_large_is_unknown_and_no_other() -> None:
    clock = 0.0
    few = 12 * (SAMPLE_SIZE + 3)
    budget = Budget(few, 10 * few)
    signals = SampleStore(lambda: clock, budget=budget)
    large, small = Key("default", "large"), Key("default", "small")
    signals.follow(large, ["a"])
    signals.follow(small, ["a"])
    bounds = [*map(float, range(250)), math.inf]
    for second in range(0, 30, 2):
        clock = float(second)
        signals.add(large, "a", PodSample(buckets=dict.fromkeys(bounds, second)))
        signals.add(small, "a", PodSample(buckets={0.1: second, 0.5: second, math.inf: second}))
    assert signals.read(*small, P95, NOW).value == pytest.approx(0.095)
    with pytest.raises(Unknown, match="do not fit into the memory that an object may take: have the pods show"):
        signals.read(*large, P95, NOW)
    signals.follow(large, [])
    signals.forget(small)
    assert budget.total == 0


def test_fault_43_where_all_together_keep_too_much_it_is_the_largest_that_is_refused() -> None:
    budget = Budget(100, 120)
    for owner, amount in (("large", 80), ("small", 10), ("other", 10)):
        assert budget.admits(owner, amount)
        budget.add(owner, amount)
    assert not budget.admits("large", 21)
    budget.add("large", 20)
    assert not budget.admits("large", 1)
    assert budget.admits("small", 10)
    assert not budget.admits("small", 31)
    budget.add("large", -100)
    assert budget.admits("new", 60)


@pytest.mark.parametrize(("slow", "fast"), [((0.5, 1.0), (0.1, 0.5)), ((0.25, 0.5, 2.0), (0.1, 0.5))])
def test_fault_59_of_pods_with_different_buckets_those_count_that_all_have(
    slow: Sequence[float], fast: Sequence[float]
) -> None:
    world = World("a", "b", "idle")
    none, count = dict.fromkeys, 100.0
    for total in (0.0, count):
        world.reported(
            a=PodSample(buckets={**none(slow, total), math.inf: total}),
            b=PodSample(buckets={**none(fast, total), math.inf: total}),
            idle=PodSample(buckets={7.0: 0.0, math.inf: 0.0}),
        )
    assert world.value(P50) == 0.25, "all took at most 0.5 s, which is all that is known of both"


def test_fault_59_pods_without_a_common_bucket_have_no_percentile() -> None:
    world = World("a", "b")
    for total in (0.0, 100.0):
        world.reported(
            a=PodSample(buckets={0.1: total, math.inf: total}), b=PodSample(buckets={0.2: 0, math.inf: total})
        )
    assert "has no buckets that all pods have: give it bounds around the target, the same in all" in world.unknown(P95)


def test_buckets_that_change_while_a_pod_runs_are_compared_with_none_from_before() -> None:
    world = World("a")
    world.reported(a=PodSample(buckets={0.1: 1000, math.inf: 1000}))
    world.reported(a=PodSample(buckets={0.1: 1000, 0.5: 5000, math.inf: 5000}))
    world.reported(a=PodSample(buckets={0.1: 1010, 0.5: 5010, math.inf: 5010}))
    assert world.value(P50) == pytest.approx(0.05)


def test_totals_are_extrapolated_from_half_of_the_pods_and_not_from_fewer() -> None:
    world = World("a", "b", "c", "d")
    for _ in range(2):
        world.reported(a=PodSample(in_flight=3), b=PodSample(in_flight=5))
    assert world.value(CONCURRENCY) == 16
    world = World("a", "b", "c", "d")
    for pod in ("b", "c", "d"):
        world.signals.fail(SHOP, pod, "no answer from /metrics on port 8000: open it")
    for _ in range(2):
        world.reported(a=PodSample(in_flight=3))
    assert world.unknown(CONCURRENCY) == (
        "hca-concurrency of default/shop is unknown: 3 of its 4 serving pods have no value for it; "
        "most often, no answer from /metrics on port 8000: open it"
    )


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


@pytest.mark.parametrize(
    ("counts", "p50", "p95"),
    [
        ((10, 0, 0), 0.05, 0.095),
        ((0, 10, 0), 0.3, 0.48),
        ((5, 5, 0), 0.1, 0.46),
        ((90, 0, 10), 100 * 0.1 / 180, 0.5),
        ((0, 0, 10), 0.5, 0.5),
    ],
)
def test_percentiles_are_those_of_histogram_quantile(counts: tuple[float, ...], p50: float, p95: float) -> None:
    world = World("a", "b")
    world.reported(a=histogram(1000, 1000, 1000), b=histogram(7))
    world.reported(a=histogram(*(1000 + count for count in counts)), b=histogram(7))
    assert (world.value(P50), world.value(P95)) == pytest.approx((p50, p95))


def test_buckets_of_which_a_longer_one_has_fewer_requests_are_read_as_histogram_quantile_reads_them() -> None:
    world = World("a")
    world.reported(a=PodSample(buckets={math.inf: 0}))
    world.reported(a=PodSample(buckets={0.1: 10, 0.5: 4, 1.0: 12, math.inf: 20}))
    assert world.value("hca-latency-p55") == 0.75


def test_buckets_of_which_one_falls_are_left_out_even_if_all_together_grow() -> None:
    world = World("a")
    world.reported(a=histogram(100))
    world.reported(a=histogram(0, 0, 200))
    world.reported(a=histogram(100, 0, 200))
    assert world.value(P95) == pytest.approx(0.095)


def test_latency_is_that_of_all_requests_whichever_pod_answered_them() -> None:
    world = World("a", "b")
    world.reported(a=histogram(0), b=histogram(0))
    world.reported(a=histogram(95), b=histogram(0, 0, 5))
    assert world.value(P95) == pytest.approx(0.1)
    assert world.value("hca-latency-p96") == 0.5


def test_without_a_request_the_latency_is_zero() -> None:
    world = World("a")
    world.reported(a=PodSample(requests=0, buckets={math.inf: 0}))
    world.reported(a=PodSample(requests=0, buckets={math.inf: 0}))
    assert (world.value(P95), world.value(RATE)) == (0, 0)


def test_buckets_that_appear_with_the_first_request_are_counted_from_nothing() -> None:
    world = World("a")
    world.reported(a=PodSample(buckets={math.inf: 0}))
    world.reported(a=histogram(10))
    assert world.value(P50) == pytest.approx(0.05)


def test_a_histogram_without_bounds_has_no_percentile() -> None:
    world = World("a")
    world.reported(a=PodSample(buckets={math.inf: 0}))
    world.reported(a=PodSample(buckets={math.inf: 9}))
    assert "http_request_duration_seconds has no buckets" in world.unknown(P95)


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


A, AB, ABCD = "a", "ab", "abcd"


@pytest.mark.parametrize("phases", [(0.0, 1.5, 0.5, 1.0), (1.75, 0.25, 0.75, 1.25), (0.0, 0.0, 0.0, 0.0)])
@pytest.mark.parametrize(
    ("changes", "least", "most"),
    [
        ({0: AB, 20: ABCD}, 0.7, 1.3),
        ({0: A, 20: ABCD}, 0.4, 1.5),
        ({0: AB, 20: "abc", 21: "bc", 26: "bcd", 27: "cd"}, 0.8, 1.05),
        ({0: ABCD, 20: AB}, 0.4, 1.05),
    ],
)
def test_while_pods_come_and_go_the_same_load_is_given_as_the_same(
    changes: Mapping[float, str], least: float, most: float, phases: Sequence[float]
) -> None:
    """Too little for a moment does no harm, for no autoscaler takes pods away at once; too much makes it add some."""
    world, counts, due, pods, reported = World(), dict.fromkeys(ABCD, 0.0), dict[str, float](), "", list[float]()
    began = world.now
    for step in range(200):
        world.now = began + step / 4
        if step / 4 in changes:
            new = changes[step / 4]
            due |= {pod: world.now + phases[ABCD.index(pod)] for pod in new if pod not in pods}
            pods = new
            world.signals.follow(SHOP, pods)
        for pod in pods:
            counts[pod] += 25 / len(pods)
            if world.now >= due[pod]:
                world.signals.add(SHOP, pod, PodSample(requests=counts[pod], in_flight=100 / len(pods)))
                due[pod] += 2
        if step > 30:
            reported += [world.value(RATE) / 100, world.value(CONCURRENCY) / 100]
    assert least <= min(reported) <= max(reported) <= most
    assert reported[-1] == pytest.approx(1, abs=0.01)
    assert math.fsum(reported) / len(reported) <= 1.01


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
    with suppress(Unknown):  # where it cannot be told from one worker at a time
        assert world.read(RATE).value <= most


@given(counts=st.lists(st.integers(0, 1000), min_size=4, max_size=4), percentiles=st.tuples(*[st.integers(1, 99)] * 2))
def test_a_higher_percentile_is_never_shorter(counts: list[int], percentiles: tuple[int, int]) -> None:
    world = World("a")
    bounds = (0.1, 0.5, 2.0, math.inf)
    world.reported(a=PodSample(buckets=dict.fromkeys(bounds, 0.0)))
    world.reported(a=PodSample(buckets={bound: sum(counts[: i + 1]) for i, bound in enumerate(bounds)}))
    shorter, longer = (world.value(f"hca-latency-p{percentile}") for percentile in sorted(percentiles))
    assert 0 <= shorter <= longer <= 2
