"""Restarts by hand and by the clock, from the plan to what is written."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hca_operator.core.names import KIND, RESTART_ANNOTATION, RESTARTED_ANNOTATION, Manifest
from hca_operator.core.observed import condition
from hca_operator.core.ports import Key
from hca_operator.core.timestamps import parse_time, time_text
from hca_operator.reconcile.reconciler import Outcome
from hca_operator.restarts.memory_trend import MemoryTracker
from hca_operator.restarts.pod_replacement import ReplacementTracker
from hca_operator.restarts.requested import SCHEDULE_SPREAD_SECONDS
from hca_operator.restarts.rollout_gate import RolloutGate
from tests.unit.operator.fake_cluster import FakeCluster, Slot
from tests.unit.operator.objects import NAME, NAMESPACE, manifest
from tests.unit.operator.reconcile.passes import reconciler, trackers_with

KEY = Key(NAMESPACE, NAME)
API: Slot = (KIND, NAMESPACE, NAME)
DEPLOYMENT: Slot = ("Deployment", NAMESPACE, NAME)
START = datetime(2026, 1, 2, 1, 0, tzinfo=UTC)
THREE = datetime(2026, 1, 2, 3, 0, tzinfo=UTC)
DAY = timedelta(days=1)
SPREAD = timedelta(seconds=SCHEDULE_SPREAD_SECONDS)
NIGHTLY: dict[str, Any] = {"restartSchedule": {"cron": "0 3 * * *"}}


class World:
    """An object, its Deployment and a clock; pods get ready when a test says so."""

    def __init__(self, *, places: int = 3, **fields: Any) -> None:
        self.cluster = FakeCluster()
        self.cluster.put(manifest(**fields))
        self.now = START
        self.gate = RolloutGate(places)
        self.workers_hold: list[int] = []
        """What each worker of a pod tells of its memory."""
        self.asked: list[tuple[str, int, str]] = []
        self.restart_operator()
        labels = {"hca-operator.io/api": NAME}
        usage = {"name": "api", "usage": {"memory": "100Mi"}}
        metadata = {"name": "shop-read", "namespace": NAMESPACE, "labels": labels}
        self.memory.take([{"metadata": metadata, "timestamp": time_text(START), "containers": [usage]}])

    def restart_operator(self) -> None:
        self.memory = MemoryTracker()
        self._trackers = trackers_with(gate=self.gate, memory=self.memory)
        self._reconciler = reconciler(
            self.cluster, trackers=self._trackers, now=lambda: self.now, worker_memory=self._workers_tell
        )

    async def _workers_tell(self, address: str, port: int, path: str) -> list[int]:
        self.asked.append((address, port, path))
        return self.workers_hold

    async def look(self, now: datetime | None = None) -> Outcome:
        """Reconcile until nothing is written any more."""
        self.now = now or self.now
        while (outcome := await self._reconciler.reconcile(KEY)).writes:
            pass
        return outcome

    async def step(self) -> float | None:
        """Reconcile once; seconds until the next look."""
        return (await self._reconciler.reconcile(KEY)).requeue_after

    @property
    def replacements(self) -> ReplacementTracker:
        return self._trackers.replacements

    async def serve(self) -> Outcome:
        """Have the rollout be over."""
        live = self.cluster.objects[DEPLOYMENT]
        self.cluster.edit(DEPLOYMENT, "status", value={
            "observedGeneration": live["metadata"]["generation"], "replicas": 2, "updatedReplicas": 2,
            "readyReplicas": 2, "availableReplicas": 2,
            "conditions": [{"type": "Progressing", "reason": "NewReplicaSetAvailable"}],
        })  # fmt: skip
        return await self.look()

    def roll(self) -> None:
        """Have a rollout be under way."""
        self.cluster.edit(DEPLOYMENT, "status", "updatedReplicas", value=1)

    def ask(self, text: str | None) -> None:
        self.cluster.edit(API, "metadata", "annotations", value=text if text is None else {RESTART_ANNOTATION: text})

    @property
    def restarted_at(self) -> str | None:
        metadata = self.cluster.objects[DEPLOYMENT]["spec"]["template"]["metadata"]
        found: str | None = metadata.get("annotations", {}).get(RESTARTED_ANNOTATION)
        return found

    @property
    def healthy(self) -> Manifest:
        return condition(self.cluster.objects[API], "RolloutHealthy")


async def running(**fields: Any) -> World:
    world = World(**fields)
    await world.look()
    await world.serve()
    assert world.restarted_at is None
    return world


async def test_a_restart_that_is_asked_for_is_one_change_of_the_template() -> None:
    world = await running()
    world.ask("2026-01-02T01:00:00+00:30")
    await world.look()
    assert world.restarted_at == "2026-01-02T00:30:00Z"
    versions = {
        change["metadata"]["resourceVersion"] for change in world.cluster.changes if change["kind"] == "Deployment"
    }
    await world.serve()
    world.restart_operator()
    await world.look(START + DAY)
    after = {
        change["metadata"]["resourceVersion"] for change in world.cluster.changes if change["kind"] == "Deployment"
    }
    assert len(after) == len(versions) + 1, "the change by the Deployment's controller alone"


async def test_a_restart_in_the_future_waits_until_then() -> None:
    world = await running()
    world.ask(time_text(THREE))
    outcome = await world.look()
    assert world.restarted_at is None
    assert outcome.requeue_after == (THREE - START).total_seconds()
    assert (world.healthy["reason"], world.healthy["message"]) == (
        "RestartPending", "the next restart is due at 2026-01-02T03:00:00Z",
    )  # fmt: skip
    await world.look(THREE)
    assert world.restarted_at == "2026-01-02T03:00:00Z"


async def test_an_annotation_that_goes_or_names_an_earlier_time_restarts_nothing() -> None:
    world = await running()
    world.ask(time_text(START))
    await world.look()
    await world.serve()
    for text in (None, time_text(START - DAY)):
        world.ask(text)
        await world.look(START + DAY)
        assert world.restarted_at == time_text(START)


@pytest.mark.parametrize("first", ["0001-01-01T00:00:00Z", "0800-01-01T00:00:00.9Z", "0001-01-01T00:00:00-23:59"])
async def test_a_restart_in_the_first_millennium_is_carried_out_once(first: str) -> None:
    world = await running()
    world.ask(first)
    await world.look()
    await world.serve()
    assert world.restarted_at == time_text(parse_time(first))
    assert parse_time(world.restarted_at) == parse_time(first).replace(microsecond=0)
    assert world.healthy["reason"] == "NoRestartDue"


async def test_what_is_no_time_is_said_and_everything_else_goes_on() -> None:
    world = await running(**NIGHTLY)
    world.ask("tonight")
    await world.look()
    assert (world.healthy["status"], world.healthy["reason"]) == ("False", "RestartTimeInvalid")
    assert (
        "metadata.annotations[hca-operator.io/restart]: 'tonight' is not an RFC 3339 time such as"
        in (world.healthy["message"])
    )
    assert condition(world.cluster.objects[API], "Ready")["status"] == "True"
    await world.look(THREE + SPREAD)
    assert world.restarted_at == time_text(THREE)


async def test_a_restart_waits_until_the_rollout_before_it_is_over() -> None:
    world = await running()
    world.roll()
    world.ask(time_text(START))
    outcome = await world.look()
    assert world.restarted_at is None
    assert outcome.requeue_after is not None
    assert world.healthy["message"] == "a restart is due and starts after the current rollout"
    await world.serve()
    assert world.restarted_at == time_text(START)


async def test_a_restart_by_hand_waits_for_no_turn_and_one_by_the_clock_does() -> None:
    world = await running(places=0, **NIGHTLY)
    await world.look(THREE + SPREAD)
    assert world.restarted_at is None
    world.cluster.edit(DEPLOYMENT, "spec", "template", "spec", "containers", value=[])
    await world.look()
    assert world.cluster.objects[DEPLOYMENT]["spec"]["template"]["spec"]["containers"], "other repairs do not wait"
    world.ask(time_text(THREE + timedelta(minutes=1)))
    await world.look()
    assert world.restarted_at == time_text(THREE + timedelta(minutes=1))


async def test_a_scheduled_restart_that_waited_long_for_its_turn_comes_all_the_same() -> None:
    world = await running(places=1, **NIGHTLY)
    world.gate.enter("another")
    await world.look(THREE + SPREAD)
    assert world.restarted_at is None
    world.gate.leave("another")
    world.restart_operator()
    await world.look(THREE + timedelta(hours=5))
    assert world.restarted_at == time_text(THREE)


async def test_the_clock_restarts_once_and_then_the_day_after() -> None:
    world = await running(**NIGHTLY)
    outcome = await world.look()
    assert world.restarted_at is None
    assert outcome.requeue_after is not None
    due = START + timedelta(seconds=outcome.requeue_after)
    assert THREE <= due < THREE + SPREAD
    await world.look(due - timedelta(seconds=1))
    assert world.restarted_at is None
    await world.look(due)
    assert world.restarted_at == time_text(THREE)
    outcome = await world.serve()
    assert outcome.requeue_after == DAY.total_seconds()
    await world.look(due + DAY - timedelta(seconds=1))
    assert world.restarted_at == time_text(THREE)
    await world.look(due + DAY)
    assert world.restarted_at == time_text(THREE + DAY)


@pytest.mark.parametrize(("late", "expected"), [(timedelta(minutes=50), True), (timedelta(minutes=71), False)])
async def test_a_restart_that_was_missed_is_made_good_for_an_hour(late: timedelta, *, expected: bool) -> None:
    world = await running(**NIGHTLY)
    world.restart_operator()
    await world.look(THREE + late)
    assert (world.restarted_at == time_text(THREE)) is expected
    await world.serve()
    await world.look(THREE + DAY + SPREAD)
    assert world.restarted_at == time_text(THREE + DAY)


async def test_a_new_schedule_counts_from_when_it_is_seen() -> None:
    world = World(**NIGHTLY)
    await world.look(THREE + timedelta(minutes=1))
    await world.serve()
    await world.look(THREE + SPREAD)
    assert world.restarted_at is None, "made after three"
    stored = world.cluster.objects[API]
    world.cluster.put({
        **manifest(generation=2, restartSchedule={"cron": "5 3 * * *"}), "status": stored["status"],
    })  # fmt: skip
    await world.look(THREE + timedelta(minutes=30))
    assert world.restarted_at is None, "changed after five past three"
    await world.look(THREE + DAY + timedelta(minutes=5) + SPREAD)
    assert world.restarted_at == time_text(THREE + DAY + timedelta(minutes=5))


async def test_nothing_is_restarted_while_paused_nor_for_what_was_due_then() -> None:
    world = await running(**NIGHTLY)
    status = world.cluster.objects[API]["status"]
    world.cluster.put({**manifest(generation=2, reconciliation="Paused", **NIGHTLY), "status": status})
    await world.look(THREE + SPREAD)
    status = world.cluster.objects[API]["status"]
    world.cluster.put({**manifest(generation=3, **NIGHTLY), "status": status})
    await world.look(THREE + timedelta(hours=2))
    assert world.restarted_at is None


async def test_an_unknown_time_zone_is_an_invalid_spec() -> None:
    world = World(restartSchedule={"cron": "0 3 * * *", "timeZone": "Mars/Olympus"})
    await world.look()
    ready = condition(world.cluster.objects[API], "Ready")
    assert (ready["reason"], ready["message"].split(":")[0]) == ("InvalidSpec", "spec.restartSchedule.timeZone")


@pytest.mark.parametrize("since", ["x", "9999-12-31T23:59:59Z"])
async def test_fault_70_a_corrupted_status_costs_no_more_than_time(since: str) -> None:
    world = await running(**NIGHTLY)
    corrupted = {"cron": "0 3 * * *", "timeZone": "UTC", "since": since}
    world.cluster.edit(API, "status", "restartSchedule", value=corrupted)
    await world.look(THREE + SPREAD)
    assert world.restarted_at is None
    await world.look(THREE + DAY + SPREAD)
    assert world.restarted_at == time_text(THREE + DAY)


async def test_delays_are_the_objects_own_and_spread() -> None:
    delays = set()
    for number in range(40):
        world = await running(uid=f"uid-{number}", **NIGHTLY)
        first = (await world.look()).requeue_after
        world.restart_operator()
        assert (await world.look()).requeue_after == first
        assert first is not None
        delays.add(first)
    await_three = (THREE - START).total_seconds()
    assert len(delays) > 30
    assert all(await_three <= delay < await_three + SCHEDULE_SPREAD_SECONDS for delay in delays)
