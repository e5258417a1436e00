"""The ReplicaSet of a detached pod: what it selects, when it comes and goes, and what is reported where it cannot."""

from datetime import timedelta

import pytest

from hca_operator.core.errors import Forbidden, HcaError, Rejected
from hca_operator.core.names import DETACHED_LABEL, KIND, REPLACED_LABEL
from hca_operator.core.observed import condition
from hca_operator.restarts.pod_replacement import STEP_SECONDS
from tests.unit.operator.objects import NAME, NAMESPACE, UID
from tests.unit.operator.restarts.growing_pods import (
    LABELS,
    counted,
    going,
    healthy,
    pod,
    remove,
    replica_set,
    the_pod,
    with_pods,
)
from tests.unit.operator.restarts.test_restarts import API, DEPLOYMENT


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
async def test_a_pod_that_cannot_have_a_replica_set_is_replaced_all_the_same_and_that_is_reported(
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
    assert await world.step() is None
    assert healthy(world) == ("True", "MemoryWithinLimits")


async def test_a_replica_set_that_may_not_be_deleted_is_reported_and_tried_again_with_the_next_look() -> None:
    world = await with_pods()
    await world.step()
    remove(world)
    world.cluster.refuses = lambda call: Forbidden("no right") if call.startswith("delete ReplicaSet") else None
    assert await world.step() is None
    assert healthy(world) == ("False", "Forbidden")
    world.cluster.refuses = lambda _call: None
    await world.step()
    assert replica_set(world) is None
    await world.step()
    assert healthy(world) == ("True", "MemoryWithinLimits")


async def test_a_pod_that_went_before_its_count_was_stored_is_counted_by_its_replica_set() -> None:
    world = await with_pods()
    await world.step()
    remove(world)
    world.cluster.edit(API, "status", "memoryRestarts", value=None)
    assert await world.step() == STEP_SECONDS
    assert replica_set(world) is not None, "the count is stored first"
    assert (counted(world)["pods"], counted(world)["lastPod"]) == (1, "shop-0")
    await world.step()
    assert replica_set(world) is None
    assert counted(world)["pods"] == 1


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
    await world.step()
    assert await world.step() is None
    assert ("ReplicaSet", NAMESPACE, "theirs") in world.cluster.objects


async def test_a_pod_that_an_earlier_release_has_detached_gets_no_replica_set() -> None:
    world = await with_pods()
    labels = {**LABELS, REPLACED_LABEL: "memory"}
    world.cluster.edit(("Pod", NAMESPACE, "shop-0"), "metadata", "labels", value=labels)
    await world.step()
    assert replica_set(world) is None, "it would not select the pod"
