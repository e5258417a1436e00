"""Which readings of the load are a burst, and what floor follows from them."""

import math
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hca_operator.api.metric_types import CONCURRENCY, REQUESTS_PER_SECOND
from hca_operator.core.names import Manifest
from hca_operator.desired.sizing import size
from hca_operator.scaling.burst import (
    MAX_GAP,
    NO_BURST,
    BurstPolicy,
    BurstTracker,
    Load,
    ObjectName,
    burst_floor,
    burst_policy,
)
from hca_operator.scaling.floors import Floor, Source
from tests.unit.operator.objects import api_object
from tests.unit.operator.reconcile.passes import KEY
from tests.unit.operator.scaling.burst_world import IN_FLIGHT, RATE, START

Loads = dict[ObjectName, dict[str, Load]]


def test_what_one_pod_is_to_take_is_that_of_all_its_workers() -> None:
    metrics = [RATE, IN_FLIGHT]
    api = api_object(workers={"count": 3}, autoscaling={"metrics": metrics, "burst": {"mode": "Enabled"}})
    policy = burst_policy(api, size(api.spec))
    assert policy is not None
    assert policy.targets == {REQUESTS_PER_SECOND.external: 50, CONCURRENCY.external: 60}


POLICY = BurstPolicy({REQUESTS_PER_SECOND.external: 50.0}, threshold=2.0, max_pods=20, window=timedelta(seconds=60))


def kept_floor(tracker: BurstTracker, status: Manifest, now: datetime) -> Floor:
    """The floor at a time, as a pass decides and keeps it."""
    floor = burst_floor(POLICY, tracker.state(KEY), status, now)
    tracker.keep(KEY, floor)
    return floor


def of_deployment(pods: int, ready: int | None = None) -> Manifest:
    return {"spec": {"replicas": pods}, "status": {"readyReplicas": pods if ready is None else ready}}


@pytest.mark.parametrize(
    ("reported", "expected"),
    [
        ({"replicas": 5, "until": "2026-01-05T00:00:30Z"}, 5),
        ({"replicas": 500, "until": "2026-01-05T00:00:30Z"}, 20),
        ({"replicas": 5, "until": "2026-01-05T00:00:00Z"}, 0),  # over
        ({"replicas": 5, "until": "2026-01-05T00:01:01Z"}, 0),  # later than a window can end
        ({"replicas": 5, "until": "never"}, 0),
        ({}, 0),
    ],
)
def test_a_floor_in_the_status_holds_if_it_can_be_one_of_ours(reported: Manifest, expected: int) -> None:
    assert kept_floor(BurstTracker(), {"burst": reported}, START).pods == expected


def test_two_readings_that_are_far_apart_are_two_things() -> None:
    tracker = BurstTracker()
    tracker.track(KEY, POLICY, of_deployment(1))
    high: Loads = {KEY: {REQUESTS_PER_SECOND.external: Load(400, 2)}}
    late = START + MAX_GAP + timedelta(seconds=1)
    assert (
        tracker.take(high, START) == tracker.take({}, START + timedelta(seconds=5)) == tracker.take(high, late) == set()
    )
    assert tracker.take(high, late + timedelta(seconds=2)) == {KEY}


def test_a_momentary_value_takes_two_readings_as_well() -> None:
    tracker = BurstTracker()
    tracker.track(KEY, POLICY, of_deployment(1))
    high: Loads = {KEY: {REQUESTS_PER_SECOND.external: Load(400, 0)}}
    assert tracker.take(high, START) == set()
    assert tracker.take(high, START + timedelta(seconds=1)) == {KEY}


def test_without_a_pod_no_load_is_a_jump() -> None:
    tracker = BurstTracker()
    tracker.track(KEY, POLICY, of_deployment(0))
    for second in range(10):
        assert not tracker.take({KEY: {REQUESTS_PER_SECOND.external: Load(400, 1)}}, START + timedelta(seconds=second))


readings = st.lists(st.one_of(st.none(), st.floats(0, 2000)), min_size=1, max_size=60)


@given(readings=readings, pods=st.integers(1, 20), window=st.integers(0, 6))
def test_the_floor_is_never_more_than_a_load_that_was_seen_needs_and_never_more_than_there_may_be(
    readings: list[float | None], pods: int, window: int
) -> None:
    tracker, floor = BurstTracker(), NO_BURST
    tracker.track(KEY, POLICY, of_deployment(pods))
    for second, load in enumerate(readings):
        now = START + timedelta(seconds=second)
        due = tracker.take({} if load is None else {KEY: {REQUESTS_PER_SECOND.external: Load(load, window)}}, now)
        before, floor = floor, kept_floor(tracker, {}, now)
        if due:
            assert load is not None, "raised without a reading"
            assert floor == Floor(Source.BURST, min(20, math.ceil(round(load / 50, 6))), now + POLICY.window)
            assert floor.pods > pods
        elif before.until is not None and now >= before.until:
            assert floor == NO_BURST
        else:
            assert floor == before
        assert floor.pods <= POLICY.max_pods
        pods = max(pods, floor.pods)
        tracker.track(KEY, POLICY, of_deployment(pods))


@given(load=st.floats(0, 5000), pods=st.integers(1, 20), ready=st.integers(0, 20), window=st.integers(0, 6))
def test_a_load_that_stays_raises_the_count_once_at_most(load: float, pods: int, ready: int, window: int) -> None:
    tracker = BurstTracker()
    tracker.track(KEY, POLICY, of_deployment(pods, ready))
    raises = 0
    for second in range(30):
        now = START + timedelta(seconds=second)
        raises += bool(tracker.take({KEY: {REQUESTS_PER_SECOND.external: Load(load, window)}}, now))
        pods = max(pods, kept_floor(tracker, {}, now).pods)
        tracker.track(KEY, POLICY, of_deployment(pods, ready))
    assert raises <= 1
