"""What is counted of restarts on memory, and how it shows."""

from datetime import UTC, datetime, timedelta

import pytest

from hca_operator.api.status import MAX_REPLACED
from hca_operator.core.names import Manifest
from hca_operator.core.observed import condition
from hca_operator.core.timestamps import time_text
from hca_operator.desired.metadata import stable_selector
from hca_operator.restarts.memory_counters import count_kills, count_replaced, killed_lately, newly_counted
from tests.unit.operator.objects import NAME, NAMESPACE
from tests.unit.operator.restarts.test_restarts import API, DEPLOYMENT, World, running

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def pod(name: str, at: datetime | None, reason: str = "OOMKilled", state: str = "lastState") -> Manifest:
    """A pod whose container ended at a time."""
    ended = {state: {"terminated": {"reason": reason, "finishedAt": time_text(at)}}} if at else {}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": NAMESPACE, "uid": f"uid of {name}", "labels": stable_selector(NAME)},
        "status": {"containerStatuses": [{"name": "api", **ended}]},
    }


def test_each_kill_is_counted_once_in_any_number_of_passes_and_processes() -> None:
    pods = [pod("a", NOW - 40 * SECOND), pod("b", NOW - 40 * SECOND, state="state"), pod("c", None)]
    counted = count_kills(None, pods, NOW)
    assert counted == {
        "oomKills": 2, "oomKilledAt": "2026-01-02T03:03:25Z", "lastTime": "2026-01-02T03:03:25Z",
        "lastReason": "OOMKilled", "lastPod": "b", "total": 2,
    }  # fmt: skip
    assert count_kills(counted, pods, NOW + 60 * SECOND) == counted
    assert newly_counted(None, counted) == {"OOMKilled": 2}
    assert newly_counted(counted, counted) == {}


def test_a_container_that_is_killed_again_and_again_is_counted_each_half_minute_at_most() -> None:
    counted, changes = None, 0
    for passed in range(0, 120, 5):
        now = NOW + passed * SECOND
        after = count_kills(counted, [pod("a", now)], now)
        changes += after != counted
        counted = after
    assert changes == 4


@pytest.mark.parametrize("reason", ["Error", "Completed"])
def test_another_end_of_a_container_is_no_kill(reason: str) -> None:
    assert count_kills(None, [pod("a", NOW, reason)], NOW) is None


def test_fault_70_a_kill_in_the_future_is_none_and_holds_up_none() -> None:
    future = NOW + timedelta(days=9)
    assert count_kills(None, [pod("a", future)], NOW) is None
    stored = {"oomKills": 1, "oomKilledAt": time_text(future)}
    assert not killed_lately(stored, NOW)
    counted = count_kills(stored, [pod("a", NOW)], NOW)
    assert counted is not None
    assert (counted["oomKills"], counted["oomKilledAt"]) == (2, time_text(NOW))


def test_kills_and_replaced_pods_add_up_to_the_total() -> None:
    replaced = count_replaced(None, [pod("a", None)], NOW)
    killed = count_kills(replaced, [pod("b", NOW)], NOW)
    assert killed is not None
    assert (killed["pods"], killed["oomKills"], killed["total"]) == (1, 1, 2)


def test_each_of_several_replaced_pods_is_counted_once_whichever_is_there_at_a_time() -> None:
    a, b, c = (pod(name, None) for name in "abc")
    counted: Manifest | None = None
    for seen, total in (([a], 1), ([a, b], 2), ([b, a], 2), ([b], 2), ([a, b], 2), ([b, c], 3), ([c], 3), ([], 3)):
        counted = count_replaced(counted, seen, NOW)
        assert counted is not None
        assert counted["pods"] == total


def test_the_count_comes_to_rest_however_many_pods_are_replaced_at_a_time() -> None:
    many = [pod(f"pod-{number}", None) for number in range(MAX_REPLACED + 4)]
    counted = count_replaced(None, many, NOW)
    assert counted is not None
    assert counted["pods"] == MAX_REPLACED
    assert count_replaced(counted, reversed(many), NOW) == counted
    after_one_is_gone = count_replaced(counted, many[1:], NOW)
    assert count_replaced(after_one_is_gone, many[1:], NOW) == after_one_is_gone


@pytest.mark.parametrize("spoilt", [{}, {"oomKills": "many", "oomKilledAt": "long ago"}, {"oomKills": None}])
def test_a_corrupted_count_starts_again(spoilt: Manifest) -> None:
    counted = count_kills(spoilt, [pod("a", NOW)], NOW)
    assert counted is not None
    assert counted["oomKills"] == 1


def test_a_kill_is_forgiven_after_an_hour() -> None:
    counted = count_kills(None, [pod("a", NOW)], NOW)
    assert killed_lately(counted, NOW + timedelta(minutes=59))
    assert not killed_lately(counted, NOW + timedelta(minutes=60))


def kill(world: World) -> None:
    """Have the kernel end a container, which costs its pod the readiness for a moment."""
    world.cluster.put(pod("shop-1", world.now))
    world.cluster.edit(DEPLOYMENT, "status", "readyReplicas", value=1)
    world.cluster.edit(DEPLOYMENT, "status", "availableReplicas", value=1)


async def test_a_kill_is_a_condition_an_event_and_a_number_and_passes() -> None:
    world = await running()
    assert condition(world.cluster.objects[API], "MemoryHealthy")["status"] == "True"
    assert "memoryRestarts" not in world.cluster.objects[API]["status"]
    kill(world)
    await world.look()
    await world.serve()
    reported = condition(world.cluster.objects[API], "MemoryHealthy")
    assert (reported["status"], reported["reason"]) == ("False", "OutOfMemory")
    assert world.cluster.objects[API]["status"]["memoryRestarts"]["oomKills"] == 1
    assert "OutOfMemory" in [event["reason"] for event in world.cluster.events]
    done = len(world.cluster.writes)
    await world.look(world.now + timedelta(minutes=30))
    assert world.cluster.writes[done:] == []
    await world.look(world.now + timedelta(hours=1))
    assert condition(world.cluster.objects[API], "MemoryHealthy")["status"] == "True"
    assert world.cluster.objects[API]["status"]["memoryRestarts"]["oomKills"] == 1


async def test_a_kill_is_seen_although_the_autoscaler_keeps_more_pods_than_are_needed() -> None:
    world = await running(autoscaling={"minReplicas": 1})
    world.cluster.edit(DEPLOYMENT, "spec", "replicas", value=2)
    kill(world)
    await world.look()
    assert condition(world.cluster.objects[API], "Ready")["status"] == "True"
    assert condition(world.cluster.objects[API], "MemoryHealthy")["reason"] == "OutOfMemory"


async def test_pods_are_not_listed_while_nothing_happens_to_them() -> None:
    world = await running()
    done = len(world.cluster.calls)
    for minutes in range(0, 60, 10):
        await world.look(world.now + timedelta(minutes=minutes))
    assert "list Pod" not in world.cluster.calls[done:]
