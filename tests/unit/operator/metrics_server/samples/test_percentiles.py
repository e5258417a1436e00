"""Percentiles of latency, from the buckets of one pod or of several."""

import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hca_operator.metrics_server.samples.exposition import PodSample
from tests.unit.operator.metrics_server.samples.clocked_store import P50, P95, RATE, World


def histogram(fast: float, slow: float = 0.0, slowest: float = 0.0) -> PodSample:
    """Counts of requests up to 0.1 s, up to 0.5 s, and above."""
    return PodSample(buckets={math.inf: fast + slow + slowest, 0.1: fast, 0.5: fast + slow})


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


@given(counts=st.lists(st.integers(0, 1000), min_size=4, max_size=4), percentiles=st.tuples(*[st.integers(1, 99)] * 2))
def test_a_higher_percentile_is_never_shorter(counts: list[int], percentiles: tuple[int, int]) -> None:
    world = World("a")
    bounds = (0.1, 0.5, 2.0, math.inf)
    world.reported(a=PodSample(buckets=dict.fromkeys(bounds, 0.0)))
    world.reported(a=PodSample(buckets={bound: sum(counts[: i + 1]) for i, bound in enumerate(bounds)}))
    shorter, longer = (world.value(f"hca-latency-p{percentile}") for percentile in sorted(percentiles))
    assert 0 <= shorter <= longer <= 2
