"""Floors by the clock: which holds when, and how they reach the autoscaler."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hca_operator.core.errors import SpecError
from hca_operator.core.names import Manifest
from hca_operator.core.observed import condition
from hca_operator.core.timestamps import parse_time, time_text
from hca_operator.reconcile.reconciler import Outcome
from hca_operator.scaling.floors import Floor
from hca_operator.scaling.schedules import schedule_floor, scheduled_floors
from tests.unit.operator.fake_cluster import FakeCluster
from tests.unit.operator.objects import NAME, NAMESPACE, manifest, spec
from tests.unit.operator.reconcile.passes import API, KEY, reconciler

AUTOSCALER = ("HorizontalPodAutoscaler", NAMESPACE, NAME)
MORNING = {"name": "morning", "cron": "45 7 * * 1-5", "timeZone": "Europe/Berlin", "duration": "2h", "minReplicas": 6}
SALE = {"name": "sale", "cron": "0 9 5 1 *", "timeZone": "Europe/Berlin", "duration": "24h", "minReplicas": 9}
MONDAY = "2026-01-05"


def floor(at: str, *schedules: Manifest) -> Floor:
    return schedule_floor(scheduled_floors(spec(autoscaling={"schedules": list(schedules)})), parse_time(at))


@pytest.mark.parametrize(
    ("time", "pods", "changes"),
    [
        ("06:44:59", 0, "2026-01-05T06:45:00Z"),
        ("06:45:00", 6, "2026-01-05T08:00:00Z"),
        ("08:00:00", 9, "2026-01-05T08:45:00Z"),
        ("08:45:00", 9, "2026-01-06T06:45:00Z"),
    ],
)
def test_the_greatest_of_the_schedules_under_way_holds(time: str, pods: int, changes: str) -> None:
    found = floor(f"{MONDAY}T{time}Z", MORNING, SALE)
    assert (found.pods, found.until and time_text(found.until)) == (pods, changes)


def test_a_schedule_that_outlasts_its_own_return_never_ends() -> None:
    daily = {"name": "daily", "cron": "0 8 * * *", "duration": "25h", "minReplicas": 3}
    assert floor("2026-01-05T07:59:59Z", daily).pods == 3


def test_a_floor_that_begins_in_the_hour_that_comes_twice_lasts_as_long_as_on_any_day() -> None:
    night = {"name": "n", "cron": "30 2 * * *", "timeZone": "Europe/Berlin", "duration": "3h", "minReplicas": 6}
    start = parse_time("2026-10-25T00:00:00Z")
    floors = {minute: floor(time_text(start + timedelta(minutes=minute)), night).pods for minute in range(0, 240, 5)}
    assert [minute for minute, pods in floors.items() if pods == 6] == list(range(30, 210, 5))


@given(
    at=st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31), timezones=st.just(UTC)),  # noqa: DTZ001
    cron=st.sampled_from(["30 2 * * *", "0 3 * * 0", "*/20 1-4 * * *", "0 0 1 * *"]),
    zone=st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"]),
    minutes=st.integers(1, 1440),
)
def test_nothing_changes_before_the_time_that_is_returned(at: datetime, cron: str, zone: str, minutes: int) -> None:
    schedule = {"name": "one", "cron": cron, "timeZone": zone, "duration": f"{minutes}m", "minReplicas": 5}
    found = scheduled_floors(spec(autoscaling={"schedules": [schedule]}))
    now = schedule_floor(found, at)
    assert now.until is not None
    assert now.until > at
    moments = [at, at + (now.until - at) / 2, now.until - timedelta(seconds=1)]
    assert all(schedule_floor(found, later).pods == now.pods for earlier, later in pairwise(moments) if later > earlier)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (
            {"timeZone": "Mars/Olympus"},
            "spec.autoscaling.schedules[sale].timeZone: 'Mars/Olympus' is no known time zone",
        ),
        (
            {"cron": "0 9 31 2 *"},
            "spec.autoscaling.schedules[sale].cron: '0 9 31 2 *' names a day that none of its months has",
        ),
    ],
)
def test_what_the_api_server_cannot_know_is_said(fields: Manifest, said: str) -> None:
    with pytest.raises(SpecError) as raised:
        floor(f"{MONDAY}T00:00:00Z", {**SALE, **fields})
    assert str(raised.value).startswith(said)


class World:
    """An object with a schedule, and a clock."""

    def __init__(self, **autoscaling: Any) -> None:
        self.cluster = FakeCluster()
        self.cluster.put(manifest(autoscaling=autoscaling))
        self.now = parse_time(f"{MONDAY}T06:00:00Z")
        self._reconciler = reconciler(self.cluster, now=lambda: self.now)

    async def look(self, time: str) -> Outcome:
        """Reconcile until nothing is written any more."""
        self.now = parse_time(f"{MONDAY}T{time}Z")
        while (outcome := await self._reconciler.reconcile(KEY)).writes:
            pass
        return outcome

    @property
    def least(self) -> int:
        return int(self.cluster.objects[AUTOSCALER]["spec"]["minReplicas"])


async def test_the_autoscaler_gets_the_floor_while_it_lasts_and_its_own_least_after() -> None:
    world = World(minReplicas=2, schedules=[MORNING])
    outcome = await world.look("06:00:00")
    assert world.least == 2
    assert outcome.requeue_after is not None
    assert outcome.requeue_after <= timedelta(minutes=45).total_seconds()
    await world.look("06:45:00")
    assert world.least == 6
    world.cluster.edit(AUTOSCALER, "status", value={"conditions": [{"type": "ScalingActive", "status": "True"}]})
    await world.look("08:44:59")
    assert world.least == 6
    reported = condition(world.cluster.objects[API], "ScalingActive")
    assert (
        reported["message"] == "the HorizontalPodAutoscaler has its metrics; schedule morning asks for at least 6 pods"
    )
    await world.look("08:45:00")
    assert world.least == 2


async def test_a_schedule_never_lowers_what_the_object_asks_for() -> None:
    world = World(minReplicas=8, schedules=[MORNING])
    await world.look("07:00:00")
    assert world.least == 8
