"""What becomes of the count when the load jumps: minutes of it, played through second by second."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hca_operator.api.metric_types import CONCURRENCY, REQUESTS_PER_SECOND
from hca_operator.core.errors import Forbidden, Transient
from hca_operator.core.names import Manifest
from hca_operator.core.observed import condition
from hca_operator.core.timestamps import time_text
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
from hca_operator.scaling.capabilities import OFF, ExternalMetrics
from hca_operator.scaling.floors import Floor, Source
from tests.unit.operator.fake_cluster import FakeCluster
from tests.unit.operator.objects import api_object, manifest
from tests.unit.operator.reconcile.passes import API, AUTOSCALER, DEPLOYMENT, KEY, reconciler

SYNC = 15
"""Seconds between two looks of the autoscaler."""
BURST_WINDOW_SECONDS, MEAN = 5, 10
"""Seconds over which the load is taken, for the operator and for the autoscaler."""
WINDOW = 60
JUMP = 33
"""Second of the jump: three seconds after a look of the autoscaler."""
RATE = {"name": "rps", "type": "RequestsPerSecond", "requestsPerSecond": {"targetPerPod": "50"}}
IN_FLIGHT = {"name": "inflight", "type": "Concurrency", "concurrency": {"targetPerWorker": 20}}
START = datetime(2026, 1, 5, tzinfo=UTC)

Loads = dict[ObjectName, dict[str, Load]]
LoadAt = Callable[[int], float | None]
"""What a second brings, in pods that it needs; None if the load is unknown."""


@dataclass(frozen=True)
class Moment:
    """The world at a second."""

    second: int
    pods: int
    least: int
    reported: Manifest


class World:
    """An object, the operator that looks after it, its pods, and an autoscaler that takes pods away at once."""

    def __init__(self, *, starts_within: int = 5, metric: Manifest = RATE, **autoscaling: Any) -> None:
        self.cluster = FakeCluster()
        scaling = {"minReplicas": 1, "maxReplicas": 10, "metrics": [metric], "burst": {"mode": "Enabled"}}
        self.cluster.put(manifest(autoscaling=scaling | autoscaling))
        self._metric, self._target = (
            (REQUESTS_PER_SECOND.external, 50) if metric["type"] == "RequestsPerSecond" else (CONCURRENCY.external, 20)
        )
        self._starts_within = starts_within
        self._raised_at = -math.inf
        self._second = 0
        self._due = 0.0
        self.restart()

    def restart(self) -> None:
        self._bursts = BurstTracker()
        self._operator = reconciler(self.cluster, bursts=self._bursts, now=self._now)

    async def play(self, load: LoadAt, *, until: int) -> list[Moment]:
        moments = []
        while self._second < until:
            await self._read(load)
            if self._second % SYNC == 0:
                await self._look(load)
            if self._second == self._raised_at + self._starts_within:
                self._serve()
                await self._reconcile()
            if self._second >= self._due:
                await self._reconcile()
            moments.append(self._moment())
            self._second += 1
        return moments

    def _now(self) -> datetime:
        return START + timedelta(seconds=self._second)

    async def _read(self, load: LoadAt) -> None:
        lately = _mean(load, self._second, BURST_WINDOW_SECONDS)
        loads = {} if lately is None else {self._metric: Load(lately * self._target, BURST_WINDOW_SECONDS)}
        if KEY in self._bursts.take({KEY: loads}, self._now()):
            await self._reconcile()

    async def _look(self, load: LoadAt) -> None:
        """Blind it takes nothing away; else it does what the metric says."""
        if AUTOSCALER not in self.cluster.objects:
            return  # nothing was reconciled yet
        bounds = self.cluster.objects[AUTOSCALER]["spec"]
        known = _mean(load, self._second, MEAN)
        wanted = self._count if known is None else math.ceil(round(known, 6))
        state = {"type": "ScalingActive", "status": "True", "lastTransitionTime": time_text(START)}
        self.cluster.edit(AUTOSCALER, "status", value={"conditions": [state]})
        self._scaled(min(bounds["maxReplicas"], max(bounds["minReplicas"], wanted)))
        await self._reconcile()

    async def _reconcile(self) -> None:
        before = self._count
        for _ in range(10):
            try:
                outcome = await self._operator.reconcile(KEY)
            except Transient:
                continue
            if not outcome.writes:
                break
        if not before:
            self._serve()
        elif self._count > before:
            self._raised_at = self._second
        self._due = math.inf if outcome.requeue_after is None else self._second + outcome.requeue_after

    @property
    def _count(self) -> int:
        return int(self.cluster.objects.get(DEPLOYMENT, {"spec": {"replicas": 0}})["spec"]["replicas"])

    def _scaled(self, count: int) -> None:
        if count == self._count:
            return
        if count > self._count:
            self._raised_at = self._second
        self.cluster.edit(DEPLOYMENT, "spec", "replicas", value=count)

    def _serve(self) -> None:
        status = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), self._count)
        rolled_out = [{"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"}]
        self.cluster.edit(DEPLOYMENT, "status", value=status | {"observedGeneration": 1, "conditions": rolled_out})

    def _moment(self) -> Moment:
        least = self.cluster.objects.get(AUTOSCALER, {"spec": {"minReplicas": 0}})["spec"]["minReplicas"]
        return Moment(self._second, self._count, least, condition(self.cluster.objects[API], "ScalingActive"))

    @property
    def raises(self) -> int:
        return self.cluster.calls.count("scale Deployment shop")


def _mean(load: LoadAt, second: int, seconds: int) -> float | None:
    known = [value for at in range(second - seconds + 1, second + 1) if (value := load(max(0, at))) is not None]
    return sum(known) / len(known) if len(known) > 1 else None


def step(before: float, after: float, at: int = JUMP) -> LoadAt:
    return lambda second: after if second >= at else before


def floors(moments: list[Moment]) -> list[tuple[int, int]]:
    """From when on which floor held, after the first second."""
    return [(later.second, later.least) for earlier, later in pairwise(moments) if later.least != earlier.least]


def counts(moments: list[Moment]) -> list[tuple[int, int]]:
    """From when on which count there was, after the first second."""
    return [(later.second, later.pods) for earlier, later in pairwise(moments) if later.pods != earlier.pods]


async def test_a_step_raises_the_count_before_the_next_look_and_the_floor_goes_after_its_window() -> None:
    world = World()
    moments = await world.play(step(0.8, 4.5), until=180)
    (raised, ended) = floors(moments)
    assert raised[1] == 5
    assert JUMP < raised[0] < JUMP + SYNC - 3, "before the autoscaler's next look"
    assert ended == (raised[0] + WINDOW, 1)
    assert counts(moments) == [(raised[0], 5)], "one change, and nobody takes it back"
    assert world.raises == 1


async def test_a_burst_is_in_the_status_the_condition_and_the_events_while_it_lasts() -> None:
    world = World()
    moments = await world.play(step(0.8, 4.5), until=60)
    until = time_text(START + timedelta(seconds=floors(moments)[0][0] + WINDOW))
    assert world.cluster.objects[API]["status"]["burst"] == {"replicas": 5, "until": until}
    assert (moments[-1].reported["status"], moments[-1].reported["reason"]) == ("True", "BurstInForce")
    assert moments[-1].reported["message"] == (
        f"the HorizontalPodAutoscaler has its metrics; a jump of the load asks for at least 5 pods until {until}"
    )
    moments = await world.play(step(0.8, 4.5), until=180)
    assert not world.cluster.objects[API]["status"].get("burst")
    assert moments[-1].reported["reason"] == "ScalingActive"
    reported = [(event["type"], event["reason"]) for event in world.cluster.events]
    assert [entry for entry in reported if entry[1] in {"BurstInForce", "ScalingActive"}] == [
        ("Normal", "BurstInForce"),
        ("Normal", "ScalingActive"),
    ]


@pytest.mark.parametrize("height", [3.0, 30.0], ids=str)
async def test_one_lonely_sample_is_no_burst_however_high_it_is(height: float) -> None:
    world = World()
    moments = await world.play(lambda second: height if second == JUMP else 0.8, until=JUMP + SYNC - 4)
    assert (floors(moments), world.raises) == ([], 0)


async def test_a_load_below_the_threshold_is_left_to_the_autoscaler() -> None:
    world = World(minReplicas=2)
    moments = await world.play(step(1.5, 3.9), until=180)
    assert (floors(moments), world.raises) == ([], 0)
    assert moments[-1].pods == 4


async def test_requests_that_pile_up_while_pods_start_raise_the_count_no_second_time() -> None:
    world = World(starts_within=40, metric=IN_FLIGHT, maxReplicas=100)
    # Five pods' worth comes, and what one pod cannot take waits, ever more of it.
    moments = await world.play(lambda second: 0.8 if second < JUMP else 5 + (second - JUMP), until=JUMP + SYNC - 4)
    assert len(floors(moments)) == 1
    assert world.raises == 1


async def test_a_load_that_grows_while_pods_start_raises_the_count_again() -> None:
    world = World(starts_within=40)
    moments = await world.play(lambda second: 0.8 if second < 16 else 2.5 if second < 31 else 9.5, until=45)
    assert [least for _, least in floors(moments)] == [3, 10]
    assert world.raises == 2


async def test_a_ramp_is_followed_and_the_count_is_never_more_than_it_needs() -> None:
    def ramp(second: int) -> float:
        return 0.8 + max(0, second - JUMP) / 10

    world = World()
    moments = await world.play(ramp, until=JUMP + 90)
    assert all(moment.pods <= max(1, math.ceil(ramp(moment.second))) for moment in moments)
    assert counts(moments) == sorted(counts(moments), key=lambda change: change[1]), "it never falls"
    assert moments[-1].pods >= 9


async def test_each_of_several_steps_is_met_and_the_last_one_ends_last() -> None:
    world = World(maxReplicas=40)
    load = lambda second: 0.8 if second < 33 else 3.8 if second < 63 else 12.5  # noqa: E731
    moments = await world.play(load, until=240)
    (first, second, end) = floors(moments)
    assert (first[1], second[1], end) == (4, 13, (second[0] + WINDOW, 1))
    assert world.raises == 2
    assert [pods for _, pods in counts(moments)] == [4, 13]


async def test_an_operator_that_starts_again_in_the_middle_ends_it_on_time() -> None:
    world = World()
    before = await world.play(step(0.8, 4.5), until=60)
    world.restart()
    after = await world.play(step(0.8, 4.5), until=180)
    (raised, ended) = floors(before + after)
    assert ended == (raised[0] + WINDOW, 1)
    assert world.raises == 1


async def test_an_operator_that_starts_again_before_the_count_was_raised_raises_it() -> None:
    world = World()
    await world.play(step(0.8, 0.8), until=JUMP)
    until = time_text(START + timedelta(seconds=JUMP + 40))
    world.cluster.edit(API, "status", "burst", value={"replicas": 5, "until": until})
    world.restart()
    await world._operator.reconcile(KEY)
    assert (world._count, world.raises) == (5, 1)
    assert floors(await world.play(step(0.8, 0.8), until=90)) == [(JUMP + 40, 1)]


async def test_metrics_that_go_in_the_middle_neither_prolong_it_nor_drop_a_pod() -> None:
    world = World()
    moments = await world.play(lambda second: None if second >= 50 else step(0.8, 4.5)(second), until=180)
    (raised, ended) = floors(moments)
    assert ended == (raised[0] + WINDOW, 1)
    assert moments[-1].pods == 5


async def test_a_load_that_falls_in_the_middle_keeps_its_pods_until_the_end() -> None:
    world = World()
    moments = await world.play(lambda second: 4.5 if JUMP <= second < 50 else 0.8, until=180)
    (raised, ended) = floors(moments)
    assert ended == (raised[0] + WINDOW, 1)
    (_, fallen) = counts(moments)
    assert fallen[0] >= ended[0]
    assert fallen[1] == 1


@pytest.mark.parametrize(
    "autoscaling",
    [
        {"burst": {"mode": "Disabled"}},
        {"hold": "ScaleUp"},
        {"hold": "Both"},
        {"behavior": {"scaleUp": {"selectPolicy": "Disabled"}}},
        {"maxReplicas": 1},
    ],
    ids=str,
)
async def test_where_it_is_forbidden_nothing_happens(autoscaling: dict[str, Any]) -> None:
    world = World(**autoscaling)
    moments = await world.play(step(0.8, 4.5), until=JUMP + SYNC - 4)
    assert (floors(moments), world.raises) == ([], 0)


async def test_holding_the_other_direction_does_not_forbid_it() -> None:
    world = World(hold="ScaleDown")
    await world.play(step(0.8, 4.5), until=JUMP + SYNC - 4)
    assert world.raises == 1


async def test_the_most_pods_that_there_may_be_bound_it() -> None:
    world = World(maxReplicas=3)
    moments = await world.play(step(0.8, 9), until=JUMP + SYNC - 4)
    assert [least for _, least in floors(moments)] == [3]


async def test_the_greatest_of_all_floors_holds_and_each_ends_by_itself() -> None:
    shift = {"name": "early", "cron": "1 0 * * *", "duration": "5m", "minReplicas": 4}
    moments = await World(schedules=[shift]).play(step(0.8, 6.5), until=400)
    (raised, ended, over) = floors(moments)
    assert raised[1] == 7
    assert (ended, over) == ((raised[0] + WINDOW, 4), (360, 1))


async def test_a_count_that_the_autoscaler_has_just_raised_further_is_not_taken_back() -> None:
    world = World()
    await world.play(step(0.8, 4.5), until=JUMP)
    bursts, cluster = world._bursts, world.cluster
    for second in (0, 2, 6):
        bursts.take(
            {KEY: {REQUESTS_PER_SECOND.external: Load(225, BURST_WINDOW_SECONDS)}},
            world._now() + timedelta(seconds=second),
        )

    def raised_meanwhile() -> None:
        cluster.before_apply = lambda: None
        cluster.edit(DEPLOYMENT, "spec", "replicas", value=8)

    cluster.before_apply = raised_meanwhile
    with pytest.raises(Transient):
        await world._operator.reconcile(KEY)
    await world._reconcile()
    assert world._count == 8
    assert cluster.objects[AUTOSCALER]["spec"]["minReplicas"] == 5


async def test_without_the_right_to_scale_the_floor_still_comes_and_the_condition_says_what_is_missing() -> None:
    class Refusing(FakeCluster):
        async def scale(self, deployment: Manifest, pods: int) -> None:
            raise Forbidden(f"cannot update {deployment['kind']}/scale to {pods}")

    world = World()
    world.cluster.__class__ = Refusing
    moments = await world.play(step(0.8, 4.5), until=JUMP + SYNC - 4)
    assert [least for _, least in floors(moments)] == [5]
    assert condition(world.cluster.objects[API], "Ready")["reason"] == "Forbidden"


async def test_the_deployment_of_another_owner_is_not_scaled() -> None:
    world = World()
    await world.play(step(0.8, 4.5), until=JUMP + SYNC - 4)
    theirs = [{"apiVersion": "apps/v1", "kind": "Rollout", "name": "shop", "uid": "another", "controller": True}]
    world.cluster.edit(DEPLOYMENT, "metadata", "ownerReferences", value=theirs)
    world.cluster.edit(DEPLOYMENT, "spec", "replicas", value=2)
    await world._operator.reconcile(KEY)
    assert condition(world.cluster.objects[API], "Ready")["reason"] == "ResourceConflict"
    assert (world._count, world.raises) == (2, 1)


async def test_where_this_install_has_no_load_to_follow_status_says_so() -> None:
    cluster = FakeCluster()
    scaling = {"metrics": [RATE, {"name": "cpu", "type": "CPU", "cpu": {}}], "burst": {"mode": "Enabled"}}
    cluster.put(manifest(autoscaling=scaling))
    bursts = BurstTracker()
    await reconciler(cluster, bursts=bursts, external=ExternalMetrics(OFF)).reconcile(KEY)
    entry = cluster.objects[API]["status"]["unsupported"][-1]
    assert entry["field"] == "spec.autoscaling.burst"
    assert entry["reason"].startswith("bursts add no pods: the external metrics API of this install is off")
    assert len(bursts) == 0, "nobody is asked"


async def test_an_object_that_is_gone_or_no_longer_wants_it_is_not_followed() -> None:
    world = World()
    await world.play(step(0.8, 0.8), until=20)
    assert len(world._bursts) == 1
    world.cluster.objects[API]["spec"]["reconciliation"] = "Paused"
    await world._operator.reconcile(KEY)
    assert len(world._bursts) == 0
    world.cluster.objects[API]["spec"]["reconciliation"] = "Active"
    await world._operator.reconcile(KEY)
    assert len(world._bursts) == 1
    del world.cluster.objects[API]
    await world._operator.reconcile(KEY)
    assert len(world._bursts) == 0


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
            assert load is not None, "raised for what nobody has seen"
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
