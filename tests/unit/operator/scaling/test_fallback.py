"""What becomes of the count while the autoscaler is blind: half an hour of it, played through in virtual time."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from hca_operator.core.names import Manifest
from hca_operator.core.observed import condition
from hca_operator.core.timestamps import parse_time, time_text
from hca_operator.scaling.fallback import NO_FALLBACK, fallback_floor
from hca_operator.scaling.floors import Floor, Source
from tests.unit.operator.fake_cluster import FakeCluster
from tests.unit.operator.objects import manifest, spec
from tests.unit.operator.reconcile.passes import API, AUTOSCALER, DEPLOYMENT, KEY, reconciler

SYNC = 15
"""Seconds between two looks of the autoscaler."""
MINUTE = 60
MISSING, BACK, END = 2 * MINUTE, 32 * MINUTE, 36 * MINUTE
"""Seconds from the start at which the metrics go, come back, and a test ends."""
FALLBACK = {"replicas": 6, "after": "60s"}
REPORTED = {"ApiMetricsUnavailable", "FallbackInForce", "ScalingActive"}
START = datetime(2026, 1, 5, tzinfo=UTC)


@dataclass(frozen=True)
class Snapshot:
    """The world after something has happened."""

    second: float
    pods: int
    least: int
    reported: Manifest


class World:
    """An object, the operator that looks after it, and an autoscaler as Kubernetes has it."""

    def __init__(self, *, skew: timedelta = timedelta(), **autoscaling: Any) -> None:
        """`skew`: how far the clock of the autoscaler is ahead of the operator's."""
        self._skew = skew
        self.cluster = FakeCluster()
        self.cluster.put(manifest(autoscaling={"minReplicas": 2, "maxReplicas": 10, **autoscaling}))
        self._second = 0.0
        self.restart()

    def restart(self) -> None:
        self._operator = reconciler(self.cluster, now=self._now)

    async def play(self, until: int, *, sees: Callable[[float], bool], wanted: int = 3) -> list[Snapshot]:
        """Each look of the autoscaler, and each that the operator asks for by itself.

        `sees`: whether the autoscaler has its metrics at a second; `wanted`: the pods that it then wants.
        """
        moments = []
        sync = self._second
        while self._second < until:
            if self._second >= sync:
                self._look(sees=sees(self._second), wanted=wanted)
                sync += SYNC
            asked = await self._settle()
            moments.append(self._snapshot())
            self._second = min(sync, self._second + asked)
        return moments

    def _now(self) -> datetime:
        return START + timedelta(seconds=self._second)

    async def _settle(self) -> float:
        while (outcome := await self._operator.reconcile(KEY)).writes:
            self._serve()
        return float("inf") if outcome.requeue_after is None else outcome.requeue_after

    def _serve(self) -> None:
        count = self.cluster.objects[DEPLOYMENT]["spec"]["replicas"]
        status = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), count)
        rolled_out = [{"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"}]
        status |= {"observedGeneration": 1, "conditions": rolled_out}
        self.cluster.edit(DEPLOYMENT, "status", value=status)

    def _look(self, *, sees: bool, wanted: int) -> None:
        """Below minReplicas it only raises; blind it does nothing; else it does what the metrics say."""
        if AUTOSCALER not in self.cluster.objects:
            return  # nothing was reconciled yet
        bounds = self.cluster.objects[AUTOSCALER]["spec"]
        count = self.cluster.objects[DEPLOYMENT]["spec"]["replicas"]
        if count < bounds["minReplicas"]:
            self._scale(bounds["minReplicas"])
            return
        state = {"type": "ScalingActive", "status": str(sees), "reason": "ValidMetricFound"}
        if sees:
            self._scale(min(bounds["maxReplicas"], max(bounds["minReplicas"], wanted)))
        else:
            state["reason"] = "FailedGetExternalMetric"
        before = condition(self.cluster.objects[AUTOSCALER], "ScalingActive")
        flipped = before.get("status") != state["status"]
        state["lastTransitionTime"] = time_text(self._now() + self._skew) if flipped else before["lastTransitionTime"]
        self.cluster.edit(AUTOSCALER, "status", value={"conditions": [state]})

    def _scale(self, count: int) -> None:
        self.cluster.edit(DEPLOYMENT, "spec", "replicas", value=count)
        self._serve()

    def _snapshot(self) -> Snapshot:
        return Snapshot(
            self._second,
            self.cluster.objects[DEPLOYMENT]["spec"]["replicas"],
            self.cluster.objects[AUTOSCALER]["spec"]["minReplicas"],
            condition(self.cluster.objects[API], "ScalingActive"),
        )

    @property
    def events(self) -> list[tuple[str, str]]:
        return [(event["type"], event["reason"]) for event in self.cluster.events if event["reason"] in REPORTED]


def outage(second: float) -> bool:
    return not MISSING <= second < BACK


def floors(moments: list[Snapshot]) -> list[tuple[float, int]]:
    """From when on which floor held."""
    changes = [(later.second, later.least) for earlier, later in pairwise(moments) if later.least != earlier.least]
    return [(moments[0].second, moments[0].least), *changes]


async def test_fault_32_in_half_an_hour_without_metrics_no_pod_goes_and_the_fallback_holds_until_it_is_over() -> None:
    world = World(fallback=FALLBACK)
    moments = await world.play(END, sees=outage)
    assert floors(moments) == [(0, 2), (MISSING + MINUTE, 6), (BACK + MINUTE, 2)]
    blind = [moment.pods for moment in moments if MISSING <= moment.second < BACK]
    assert blind == sorted(blind), "the count fell during the outage"
    assert (blind[0], blind[-1], moments[-1].pods) == (3, 6, 3)
    assert world.events == [
        ("Warning", "ApiMetricsUnavailable"),
        ("Warning", "FallbackInForce"),
        ("Normal", "FallbackInForce"),
        ("Normal", "ScalingActive"),
    ]


async def test_while_the_fallback_holds_the_condition_says_so() -> None:
    moments = await World(fallback=FALLBACK).play(10 * MINUTE, sees=outage)
    assert (moments[-1].reported["status"], moments[-1].reported["reason"]) == ("False", "FallbackInForce")
    assert moments[-1].reported["message"] == (
        "the HorizontalPodAutoscaler cannot get the API's own metrics, so it removes no pods: "
        "run kubectl describe hpa to see which are missing; "
        "autoscaling.fallback asks for at least 6 pods until the metrics have been back for fallback.after"
    )


async def test_without_a_fallback_an_outage_leaves_the_floor_alone() -> None:
    moments = await World().play(END, sees=outage)
    assert floors(moments) == [(0, 2)]
    assert {moment.pods for moment in moments} == {2, 3}


@pytest.mark.parametrize("minutes", [-10, 1])
async def test_a_clock_that_is_wrong_moves_the_fallback_and_takes_no_pod_away(minutes: int) -> None:
    moments = await World(skew=timedelta(minutes=minutes), fallback=FALLBACK).play(END, sees=outage)
    assert [least for _, least in floors(moments)] == [2, 6, 2]
    (begins, _), (ends, _) = floors(moments)[1:]
    assert (begins, ends) == (MISSING + max(0, 1 + minutes) * MINUTE, BACK + max(0, 1 + minutes) * MINUTE)
    blind = [moment.pods for moment in moments if MISSING <= moment.second < BACK]
    assert blind == sorted(blind)


async def test_an_outage_is_reported_within_a_minute_and_its_end_as_well() -> None:
    world = World()
    moments = await world.play(END, sees=outage)
    for state, since in (("False", MISSING), ("True", BACK)):
        reported = next(m.second for m in moments if m.second >= since and m.reported["status"] == state)
        assert reported - since <= MINUTE
    assert all(moment.reported["status"] == "False" for moment in moments if MISSING + MINUTE <= moment.second < BACK)
    assert world.events == [("Warning", "ApiMetricsUnavailable"), ("Normal", "ScalingActive")]


@pytest.mark.parametrize(
    ("blind", "seeing", "expected"),
    [
        (30, 15, [2]),  # never blind for long enough
        (45, 45, [2]),
        (90, 15, [2, 6]),  # never seeing for long enough: raised once, and it stays
        (105, 45, [2, 6]),
    ],
)
async def test_a_condition_that_flips_often_does_not_make_the_floor_flap(
    blind: int, seeing: int, expected: list[int]
) -> None:
    flips = await World(fallback=FALLBACK).play(
        10 * MINUTE, sees=lambda second: second % (blind + seeing) >= blind and second > 0
    )
    assert [least for _, least in floors(flips)] == expected


async def test_an_operator_that_starts_again_in_the_outage_goes_on_where_the_other_ended() -> None:
    world = World(fallback=FALLBACK)
    before = await world.play(10 * MINUTE, sees=outage)
    world.restart()
    after = await world.play(END, sees=outage)
    assert floors(before + after) == [(0, 2), (MISSING + MINUTE, 6), (BACK + MINUTE, 2)]


async def test_the_greater_of_schedule_and_fallback_wins_and_none_lowers_what_the_object_asks_for() -> None:
    shift = {"name": "early", "cron": "10 0 * * *", "duration": "10m", "minReplicas": 8}
    moments = await World(fallback=FALLBACK, schedules=[shift]).play(END, sees=outage)
    assert floors(moments) == [
        (0, 2), (MISSING + MINUTE, 6), (10 * MINUTE, 8), (20 * MINUTE, 6), (BACK + MINUTE, 2),
    ]  # fmt: skip
    assert floors(await World(minReplicas=7, fallback=FALLBACK).play(END, sees=outage)) == [(0, 7)]


def at(second: int, *, in_force: bool = False, state: Manifest | None = None, **autoscaling: Any) -> Floor:
    """The fallback so many seconds after the autoscaler's condition flipped to False, unless `state` differs."""
    active = {"type": "ScalingActive", "status": "False", "reason": "FailedGetExternalMetric"}
    active |= {"lastTransitionTime": time_text(START)} | (state or {})
    reported = {"type": "ScalingActive", "reason": "FallbackInForce"} if in_force else {}
    return fallback_floor(
        spec(autoscaling={"fallback": FALLBACK} | autoscaling),
        {"status": {"conditions": [active]}},
        {"conditions": [{"type": "ScalingActive"} | reported]},
        START + timedelta(seconds=second),
    )


CHANGED_AT = parse_time("2026-01-05T00:01:00Z")


def floor(pods: int, until: datetime | None = None) -> Floor:
    return Floor(Source.FALLBACK, pods, until)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (at(0), floor(0, CHANGED_AT)),
        (at(59), floor(0, CHANGED_AT)),
        (at(60), floor(6)),
        (at(59, state={"status": "True"}, in_force=True), floor(6, CHANGED_AT)),
        (at(60, state={"status": "True"}, in_force=True), NO_FALLBACK),
        (at(10, in_force=True), floor(6)),
        (at(900, state={"reason": "ScalingDisabled"}), NO_FALLBACK),
        (at(900, mode="Disabled"), NO_FALLBACK),
        (at(900, fallback=None), NO_FALLBACK),
        (at(900, state={"lastTransitionTime": "yesterday"}).pods, 0),
    ],
)
def test_when_it_holds_and_when_that_changes(found: object, expected: object) -> None:
    assert found == expected


def test_fault_70_an_outage_that_begins_in_the_future_begins_now() -> None:
    assert at(0, state={"lastTransitionTime": "9999-12-31T23:59:59Z"}) == at(0)


def test_an_autoscaler_that_has_not_looked_yet_is_no_outage() -> None:
    wanted = spec(autoscaling={"fallback": FALLBACK})
    assert fallback_floor(wanted, {"status": {}}, {}, START) == fallback_floor(wanted, None, {}, START) == NO_FALLBACK
