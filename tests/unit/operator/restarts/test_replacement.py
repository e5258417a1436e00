"""The replacement of a pod, step by step, against an API server in memory; time and pods move as a test says."""

from datetime import timedelta
from typing import Any

import pytest

from hca_operator.core.errors import Forbidden, HcaError, Transient
from hca_operator.core.names import DETACHED_LABEL, EVICTION_ANNOTATION, HASH_LABEL, KIND, REPLACED_LABEL, Manifest
from hca_operator.core.observed import condition
from hca_operator.restarts.pod_replacement import STEP_SECONDS
from tests.unit.operator.objects import NAME, NAMESPACE, UID
from tests.unit.operator.restarts.growing_pods import (
    LABELS,
    counted,
    going,
    grow,
    healthy,
    pod,
    remove,
    replica_set,
    the_pod,
    with_pods,
)
from tests.unit.operator.restarts.test_memory import KEY
from tests.unit.operator.restarts.test_restarts import API, DEPLOYMENT, World, running


@pytest.mark.parametrize("count", [1, 2])
async def test_a_pod_is_detached_and_evicted_only_when_as_many_serve_without_it(count: int) -> None:
    world = await with_pods(count, replicas=count, autoscaling={"mode": "Disabled"})
    world.cluster.edit(DEPLOYMENT, "status", "readyReplicas", value=count)
    world.cluster.edit(DEPLOYMENT, "status", "availableReplicas", value=count)
    assert await world.step() is not None
    metadata = the_pod(world)["metadata"]
    uid = metadata["uid"]
    assert metadata["labels"] == {**LABELS, REPLACED_LABEL: "memory", DETACHED_LABEL: uid}, "it serves on"
    (owner,) = metadata["ownerReferences"]
    assert (owner["kind"], owner["uid"], owner["controller"], owner["blockOwnerDeletion"]) == (KIND, UID, False, False)
    assert healthy(world) == ("False", "ReplacingPod")
    world.cluster.edit(DEPLOYMENT, "status", "availableReplicas", value=count - 1)
    world.cluster.put(pod(8, ready=False))
    await world.step()
    assert not going(world)
    for kind in ("Available", "Ready"):
        assert condition(world.cluster.objects[API], kind)["status"] == "True", kind
    world.cluster.edit(DEPLOYMENT, "status", "availableReplicas", value=count)
    world.cluster.put(pod(8))
    await world.step()
    assert going(world)
    remove(world)
    await world.step()
    assert await world.step() is None
    assert healthy(world) == ("True", "MemoryWithinLimits")
    assert (counted(world)["pods"], counted(world)["lastReason"], counted(world)["lastPod"]) == (
        1,
        "PodReplaced",
        "shop-0",
    )
    written = [call for call in world.cluster.writes if call.split()[1] in {"Pod", "ReplicaSet"}]
    assert [call.split()[:3] for call in written] == [
        ["patch", "Pod", "shop-0"],
        ["create", "ReplicaSet", "shop-0"],
        ["evict", "Pod", "shop-0"],
        ["delete", "ReplicaSet", "shop-0"],
    ]


async def test_a_disruption_budget_puts_the_eviction_off() -> None:
    world = await with_pods()
    await world.step()
    world.cluster.put(pod(8))
    world.cluster.budget_is_spent = True
    for _ in range(3):
        assert await world.step() is not None
    assert not going(world)
    world.cluster.budget_is_spent = False
    await world.step()
    assert going(world)


def budget(name: str, labels: dict[str, str]) -> Manifest:
    spec = {"selector": {"matchLabels": labels}}
    return {"kind": "PodDisruptionBudget", "metadata": {"name": name, "namespace": NAMESPACE}, "spec": spec}


@pytest.mark.parametrize(("healthy_pods", "others", "change"), [(2, 0, True), (3, 0, False), (2, 1, False)])
async def test_a_budget_with_outdated_numbers_is_computed_anew_because_the_pod_changes(
    healthy_pods: int, others: int, *, change: bool
) -> None:
    world = await with_pods()
    await world.step()
    world.cluster.put(pod(8))
    world.cluster.edit(("PodDisruptionBudget", NAMESPACE, NAME), "status", value={"currentHealthy": healthy_pods})
    for number in range(others):
        world.cluster.put(budget(f"theirs-{number}", {"hca-operator.io/api": NAME}))
    world.cluster.budget_is_spent = True
    assert await world.step() == STEP_SECONDS
    assert (EVICTION_ANNOTATION in the_pod(world)["metadata"]["annotations"]) is change


async def test_a_budget_that_stays_outdated_has_a_pod_changed_every_30_seconds() -> None:
    """It does where a selected pod names a controller of a kind that nothing serves: no number is computed then."""
    world = await with_pods()
    await world.step()
    world.cluster.put(pod(8))
    world.cluster.edit(("PodDisruptionBudget", NAMESPACE, NAME), "status", value={"currentHealthy": 0})
    world.cluster.budget_is_spent = True
    for seconds in (0, 3, 26, 1, 3):
        world.now += timedelta(seconds=seconds)
        await world.step()
    assert world.cluster.writes.count("patch Pod shop-0") == 3, "to detach it, at once, and after 30 seconds"


async def test_budgets_are_listed_once_however_many_pods_they_keep() -> None:
    """Any user may label a thousand pods as detached, and write a mebibyte into each budget."""
    world = await with_pods()
    await world.step()
    for number in range(10, 20):
        labels = {**LABELS, REPLACED_LABEL: "memory", DETACHED_LABEL: f"uid-of-{number}"}
        detached = pod(number)
        world.cluster.put({**detached, "metadata": {**detached["metadata"], "labels": labels}})
    world.cluster.put(pod(8))
    world.cluster.budget_is_spent = True
    await world.step()
    before = len(world.cluster.calls)
    await world.step()
    calls = world.cluster.calls[before:]
    assert sum(call.startswith("evict") for call in calls) == 11
    assert calls.count("list PodDisruptionBudget") == 1


async def test_budgets_that_forbid_every_eviction_are_named() -> None:
    world = await with_pods()
    await world.step()
    world.cluster.put(pod(8))
    world.cluster.budgets_clash = True
    for name, labels in (("theirs", {"hca-operator.io/api": NAME}), ("of-another", {"app": "x"})):
        world.cluster.put(budget(name, labels))
    assert await world.step() == STEP_SECONDS
    assert healthy(world) == ("False", "ApplyRejected")
    shown = condition(world.cluster.objects[API], "MemoryHealthy")["message"]
    assert shown.endswith("selects it: delete or narrow PodDisruptionBudget theirs")
    world.cluster.budgets_clash = False
    await world.step()
    assert going(world)


@pytest.mark.parametrize(("serving", "minutes", "goes"), [(1, 14, False), (1, 16, True), (0, 16, False), (2, 1, True)])
async def test_a_detached_pod_that_too_few_succeed_goes_after_a_while_if_any_serves(
    serving: int, minutes: int, *, goes: bool
) -> None:
    world = await with_pods(2)
    await world.step()
    for number in range(2):
        world.cluster.remove(("Pod", NAMESPACE, "shop-1"), "uid-of-1")
        world.cluster.put(pod(8 + number, ready=number < serving))
    world.now += timedelta(minutes=minutes)
    await world.step()
    assert going(world) is goes


async def test_the_next_pod_waits_until_the_interval_has_passed() -> None:
    world = await with_pods()
    await world.step()
    world.cluster.put(pod(8))
    await world.step()
    remove(world)
    grow(world, 1)
    await world.step()
    assert healthy(world) == ("False", "MemoryPressure")
    world.now += timedelta(minutes=9)
    await world.step()
    assert REPLACED_LABEL not in the_pod(world, 1)["metadata"]["labels"]
    world.now += timedelta(minutes=1)
    await world.step()
    assert REPLACED_LABEL in the_pod(world, 1)["metadata"]["labels"]
    assert counted(world)["pods"] == 2


async def test_fault_70_a_replacement_in_the_future_puts_none_off() -> None:
    world = await with_pods()
    world.cluster.edit(API, "status", "memoryRestarts", value={"pods": 1, "replacedAt": "9999-12-31T23:59:59Z"})
    await world.step()
    assert REPLACED_LABEL in the_pod(world)["metadata"]["labels"]


async def test_one_pod_of_an_api_is_replaced_at_a_time() -> None:
    world = await with_pods(memoryRestart={"minInterval": "1m"})
    await world.step()
    world.now += timedelta(minutes=5)
    grow(world, 1)
    await world.step()
    assert REPLACED_LABEL not in the_pod(world, 1)["metadata"]["labels"]


async def test_no_pod_is_replaced_during_a_rollout() -> None:
    world = await with_pods()
    world.roll()
    await world.step()
    assert HASH_LABEL in the_pod(world)["metadata"]["labels"]
    world.cluster.edit(DEPLOYMENT, "status", "updatedReplicas", value=2)
    await world.step()
    assert HASH_LABEL not in the_pod(world)["metadata"]["labels"]


@pytest.mark.parametrize("change", ["not ready", "going", "of no ReplicaSet"])
async def test_a_pod_that_does_not_serve_its_replica_set_is_left_alone(change: str) -> None:
    world = await with_pods()
    slot = ("Pod", NAMESPACE, "shop-0")
    if change == "not ready":
        world.cluster.edit(slot, "status", "conditions", value=[{"type": "Ready", "status": "False"}])
    elif change == "going":
        world.cluster.edit(slot, "metadata", "deletionTimestamp", value="2026-01-01T00:00:00Z")
    else:
        world.cluster.edit(slot, "metadata", "ownerReferences", value=[])
    await world.step()
    assert HASH_LABEL in the_pod(world)["metadata"]["labels"]


@pytest.mark.parametrize("fields", [{"memoryRestart": {"mode": "Disabled"}}, {"reconciliation": "Paused"}], ids=str)
async def test_nothing_is_replaced_where_that_is_not_wanted(fields: dict[str, Any]) -> None:
    world = await running()
    world.cluster.put({**world.cluster.objects[API], "spec": {**world.cluster.objects[API]["spec"], **fields}})
    world.cluster.put(pod(0))
    grow(world)
    await world.step()
    assert HASH_LABEL in the_pod(world)["metadata"]["labels"]


FAILURES = (Transient("connection reset"), Forbidden('cannot patch resource "pods"'))


@pytest.mark.parametrize("lose_answer", [False, True])
@pytest.mark.parametrize("error", FAILURES, ids=["lost", "forbidden"])
@pytest.mark.parametrize("at", range(10))
async def test_whatever_fails_it_ends_as_if_nothing_had(at: int, error: HcaError, *, lose_answer: bool) -> None:
    world = await with_pods()
    before = len(world.cluster.calls)
    world.cluster.fail_at, world.cluster.error, world.cluster.lose_answer = before + at, error, lose_answer
    for _ in range(20):
        try:
            await world.step()
        except HcaError:
            world.restart_operator()
            # What was found detached at the start, in one list for all objects.
            world.replacements.found(
                found
                for (kind, _, _), found in world.cluster.objects.items()
                if kind in {"Pod", "ReplicaSet"} and REPLACED_LABEL in found["metadata"]["labels"]
            )
            world.memory.track(KEY, None)
            await world.step()
            grow(world)
        if HASH_LABEL not in the_pod(world)["metadata"]["labels"]:
            world.cluster.put(pod(8))
        if going(world):
            break
    assert going(world)
    world.cluster.fail_at = None
    remove(world)
    await world.step()
    assert replica_set(world) is None
    await world.step()
    assert {p["metadata"]["name"] for p in pods_of(world)} == {"shop-1", "shop-8"}
    assert counted(world)["pods"] == 1
    assert healthy(world)[1] in {"MemoryWithinLimits", "MetricsUnavailable"}


def pods_of(world: World) -> list[Manifest]:
    return [found for (kind, _, _), found in world.cluster.objects.items() if kind == "Pod"]


async def test_a_new_operator_finishes_what_it_finds() -> None:
    world = await with_pods()
    await world.step()
    world.cluster.put(pod(8))
    world.restart_operator()
    await world.step()
    assert not going(world), "it has not been looked for yet"
    assert world.replacements.found([the_pod(world)]) == {KEY}
    await world.step()
    assert going(world)
    assert counted(world)["pods"] == 1


async def test_a_right_that_is_missing_is_said_and_holds_up_nothing_else() -> None:
    world = await with_pods()
    undisturbed = len(world.cluster.calls)
    await world.step()
    detached_at = world.cluster.calls.index("patch Pod shop-0") - undisturbed
    world = await with_pods()
    world.cluster.fail_at = len(world.cluster.calls) + detached_at
    world.cluster.error = Forbidden('cannot patch resource "pods"')
    await world.step()
    assert healthy(world) == ("False", "Forbidden")
    assert condition(world.cluster.objects[API], "Ready")["status"] == "True"


async def test_the_next_step_of_a_replacement_comes_on_time_although_the_object_is_not_ready() -> None:
    world = await with_pods()
    await world.step()
    world.cluster.edit(DEPLOYMENT, "status", "readyReplicas", value=0)
    world.cluster.edit(DEPLOYMENT, "status", "availableReplicas", value=0)
    world.cluster.edit(DEPLOYMENT, "status", "updatedReplicas", value=1)
    await world.step()
    assert condition(world.cluster.objects[API], "Ready")["status"] == "False"
    world.now += timedelta(hours=1)
    assert await world.step() == STEP_SECONDS
