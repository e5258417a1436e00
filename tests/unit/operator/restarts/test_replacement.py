"""The replacement of a pod, step by step, against an API server in memory; time and pods move as a test says."""

from datetime import timedelta
from typing import Any

import pytest

from hca_operator.core.errors import Forbidden, HcaError, Rejected, Transient
from hca_operator.core.names import DETACHED_LABEL, HASH_LABEL, KIND, REPLACED_LABEL, Manifest
from hca_operator.core.observed import condition
from hca_operator.restarts.memory_trend import KEPT
from hca_operator.restarts.pod_replacement import STEP_SECONDS
from tests.unit.operator.objects import NAME, NAMESPACE, UID
from tests.unit.operator.restarts.test_memory import KEY, reading
from tests.unit.operator.restarts.test_restarts import API, DEPLOYMENT, World, running

LABELS = {"hca-operator.io/api": NAME, "hca-operator.io/track": "stable"}


def pod(number: int, *, ready: bool = True) -> Manifest:
    """A pod as its ReplicaSet made it."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"shop-{number}",
            "namespace": NAMESPACE,
            "uid": f"uid-of-{number}",
            "labels": {**LABELS, HASH_LABEL: "abc"},
            "ownerReferences": [{"kind": "ReplicaSet", "name": "shop-abc", "uid": "rs", "controller": True}],
        },
        "status": {"conditions": [{"type": "Ready", "status": str(ready)}]},
    }


async def with_pods(count: int = 2, **fields: Any) -> World:
    """An API that serves, whose first pod is over its threshold."""
    world = await running(**fields)
    for number in range(count):
        world.cluster.put(pod(number))
    await world.look()
    grow(world)
    return world


def grow(world: World, number: int = 0) -> None:
    for sample in range(3):
        world.memory.take([reading(f"shop-{number}", 500, sample)])


def the_pod(world: World, number: int = 0) -> Manifest:
    return world.cluster.objects["Pod", NAMESPACE, f"shop-{number}"]


def going(world: World) -> bool:
    return "deletionTimestamp" in the_pod(world)["metadata"]


def remove(world: World) -> None:
    world.cluster.remove(("Pod", NAMESPACE, "shop-0"), "uid-of-0")


def healthy(world: World) -> tuple[str, str]:
    found = condition(world.cluster.objects[API], "MemoryHealthy")
    return found["status"], found["reason"]


def counted(world: World) -> Manifest:
    found: Manifest = world.cluster.objects[API]["status"].get("memoryRestarts", {})
    return found


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
    world.memory.take([])
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
        ["amend", "Pod", "shop-0"],
        ["create", "ReplicaSet", "shop-0"],
        ["evict", "Pod", "shop-0"],
        ["delete", "ReplicaSet", "shop-0"],
    ]


def replica_set(world: World) -> Manifest | None:
    return world.cluster.objects.get(("ReplicaSet", NAMESPACE, "shop-0"))


async def test_fault_66_a_detached_pod_gets_a_replica_set_that_selects_it_alone_and_goes_with_the_object() -> None:
    world = await with_pods()
    await world.step()
    made = replica_set(world)
    assert made
    (owner,) = made["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["uid"], owner["controller"]) == (KIND, UID, True)
    assert made["spec"]["selector"] == {"matchLabels": {DETACHED_LABEL: the_pod(world)["metadata"]["uid"]}}
    template = made["spec"]["template"]
    assert template["metadata"]["labels"] == made["spec"]["selector"]["matchLabels"], "nothing else selects its pods"
    assert template["spec"]["schedulingGates"], "they never run"
    selector = world.cluster.objects[DEPLOYMENT]["spec"]["selector"]["matchLabels"]
    assert not selector.items() <= made["metadata"]["labels"].items(), "its Deployment must not take it for its own"


@pytest.mark.parametrize("error", [Forbidden("no right"), Rejected("exceeded quota")], ids=["forbidden", "rejected"])
@pytest.mark.parametrize("verb", ["list", "create"])
async def test_a_pod_that_cannot_have_a_replica_set_is_replaced_all_the_same_and_that_is_told(
    verb: str, error: HcaError
) -> None:
    world = await with_pods()
    world.cluster.refuses = lambda call: error if call.startswith(f"{verb} ReplicaSet") else None
    await world.step()
    assert replica_set(world) is None
    assert healthy(world) == ("False", "Forbidden" if isinstance(error, Forbidden) else "ApplyRejected")
    assert "kubectl drain needs --force" in condition(world.cluster.objects[API], "MemoryHealthy")["message"]
    world.cluster.put(pod(8))
    assert await world.step() == STEP_SECONDS
    assert going(world)
    remove(world)
    world.memory.take([])
    assert await world.step() is None
    assert healthy(world) == ("True", "MemoryWithinLimits")


async def test_a_replica_set_that_may_not_be_deleted_is_told_of_and_tried_again_with_the_next_look() -> None:
    world = await with_pods()
    await world.step()
    remove(world)
    world.memory.take([])
    world.cluster.refuses = lambda call: Forbidden("no right") if call.startswith("delete ReplicaSet") else None
    assert await world.step() is None
    assert healthy(world) == ("False", "Forbidden")
    world.cluster.refuses = lambda _call: None
    await world.step()
    assert replica_set(world) is None
    await world.step()
    assert healthy(world) == ("True", "MemoryWithinLimits")


async def test_a_late_pod_leaves_its_replica_set_for_which_the_budget_wants_one_more_to_serve() -> None:
    world = await with_pods()
    await world.step()
    world.cluster.remove(("Pod", NAMESPACE, "shop-1"), "uid-of-1")
    world.cluster.put(pod(8))
    world.cluster.budget_is_spent = True
    world.now += timedelta(minutes=16)
    await world.step()
    assert any(call.startswith("orphan ReplicaSet shop-0") for call in world.cluster.calls)
    await world.step()
    assert replica_set(world) is None, "it does not come again"
    world.cluster.budget_is_spent = False
    await world.step()
    assert going(world)


async def test_a_replica_set_of_another_owner_is_left_alone_whatever_its_labels() -> None:
    world = await with_pods()
    labels = {"hca-operator.io/api": NAME, REPLACED_LABEL: "memory"}
    owner = {"kind": KIND, "name": "other", "uid": "another", "controller": True}
    metadata = {"name": "theirs", "namespace": NAMESPACE, "labels": labels, "ownerReferences": [owner]}
    world.cluster.put({"kind": "ReplicaSet", "metadata": metadata, "spec": {"selector": {"matchExpressions": []}}})
    await world.step()
    remove(world)
    world.memory.take([])
    await world.step()
    assert await world.step() is None
    assert ("ReplicaSet", NAMESPACE, "theirs") in world.cluster.objects


async def test_a_pod_that_an_earlier_release_has_detached_gets_no_replica_set() -> None:
    world = await with_pods()
    labels = {**LABELS, REPLACED_LABEL: "memory"}
    world.cluster.edit(("Pod", NAMESPACE, "shop-0"), "metadata", "labels", value=labels)
    await world.step()
    assert replica_set(world) is None, "it would not select the pod"


async def test_fault_49_a_pod_full_of_page_cache_stays() -> None:
    world = await with_pods(monitoring={"path": "/internal", "port": 9090})
    world.cluster.edit(("Pod", NAMESPACE, "shop-0"), "status", "podIP", value="10.0.0.8")
    world.workers_hold = [35 * 2**20]
    await world.step()
    assert world.asked == [("10.0.0.8", 9090, "/internal")]
    assert HASH_LABEL in the_pod(world)["metadata"]["labels"]
    assert healthy(world) == ("True", "MemoryWithinLimits")
    world.workers_hold = [430 * 2**20]
    await world.step()
    assert HASH_LABEL not in the_pod(world)["metadata"]["labels"]
    for _ in range(2):
        assert "page cache" not in condition(world.cluster.objects[API], "MemoryHealthy")["message"]
        await world.step()


async def test_a_pod_that_is_judged_by_its_working_set_alone_is_reported_as_such_until_it_has_gone() -> None:
    world = await with_pods()
    for _ in range(3):
        await world.step()
        told = condition(world.cluster.objects[API], "MemoryHealthy")["message"]
        assert "it was judged by its working set, in which page cache counts" in told


async def test_a_pod_whose_limit_was_raised_in_place_is_judged_by_that_one() -> None:
    world = await with_pods()
    raised = [{"name": "api", "resources": {"limits": {"memory": "1Gi"}}}]
    world.cluster.edit(("Pod", NAMESPACE, "shop-0"), "status", "containerStatuses", value=raised)
    await world.step()
    assert HASH_LABEL in the_pod(world)["metadata"]["labels"]
    assert not world.asked
    assert world.memory.near(KEY) is None, "it is no longer looked at"
    for number in range(3, 6):
        world.memory.take([reading("shop-0", 930, number)])
    await world.step()
    assert HASH_LABEL not in the_pod(world)["metadata"]["labels"]


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


async def test_budgets_that_forbid_every_eviction_are_named() -> None:
    world = await with_pods()
    await world.step()
    world.cluster.put(pod(8))
    world.cluster.budgets_clash = True
    for name, labels in (("theirs", {"hca-operator.io/api": NAME}), ("of-another", {"app": "x"})):
        metadata = {"name": name, "namespace": NAMESPACE}
        spec = {"selector": {"matchLabels": labels}}
        world.cluster.put({"kind": "PodDisruptionBudget", "metadata": metadata, "spec": spec})
    assert await world.step() == STEP_SECONDS
    assert healthy(world) == ("False", "ApplyRejected")
    told = condition(world.cluster.objects[API], "MemoryHealthy")["message"]
    assert told.endswith("selects it: delete or narrow PodDisruptionBudget theirs")
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
    world.memory.take([])
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
    assert not going(world), "nobody has looked for it yet"
    assert world.replacements.found([the_pod(world)]) == {KEY}
    await world.step()
    assert going(world)
    assert counted(world)["pods"] == 1


async def test_a_right_that_is_missing_is_said_and_holds_up_nothing_else() -> None:
    world = await with_pods()
    undisturbed = len(world.cluster.calls)
    await world.step()
    amended = world.cluster.calls.index("amend Pod shop-0") - undisturbed
    world = await with_pods()
    world.cluster.fail_at = len(world.cluster.calls) + amended
    world.cluster.error = Forbidden('cannot patch resource "pods"')
    await world.step()
    assert healthy(world) == ("False", "Forbidden")
    assert condition(world.cluster.objects[API], "Ready")["status"] == "True"


async def test_what_cannot_be_read_is_unknown_and_nothing_is_done() -> None:
    world = await with_pods()
    world.memory.fail(absent=True)
    await world.step()
    assert healthy(world) == ("Unknown", "MetricsUnavailable")
    assert HASH_LABEL in the_pod(world)["metadata"]["labels"]
    world.restart_operator()
    assert (await world.look()).writes == ()
    assert healthy(world) == ("Unknown", "MetricsUnavailable"), "until that is known"
    world.memory.take([])
    await world.look()
    assert healthy(world) == ("Unknown", "MemoryNotRead"), "that of other objects can"
    world.restart_operator()
    await world.look()
    assert healthy(world) == ("Unknown", "MemoryNotRead"), "until that is known"
    world.memory.take([reading("shop-0", 100, 9)])
    await world.look()
    assert healthy(world) == ("True", "MemoryWithinLimits")


async def test_a_pod_that_grows_towards_its_limit_is_reported_before_it_is_near() -> None:
    world = await with_pods(1, replicas=1, autoscaling={"mode": "Disabled"})
    world.memory.take([])
    for number in range(KEPT):
        world.memory.take([reading("shop-0", 300 + number, number)])
    await world.look()
    assert healthy(world) == ("True", "MemoryGrowing")
    before = len(world.cluster.writes)
    world.memory.take([reading("shop-0", 320.5, KEPT)])
    await world.look()
    assert len(world.cluster.writes) == before, "the estimate changes all the time, and is a metric"


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
