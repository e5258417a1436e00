"""A rollout that no user requested waits for its turn, and what a user has changed does not."""

import asyncio
import copy

import pytest

from hca_operator.api.fleet_policy import parse_policy
from hca_operator.core.names import Manifest
from hca_operator.core.ports import Key
from hca_operator.restarts.rollout_gate import RolloutGate
from tests.unit.operator.fake_cluster import FakeCluster
from tests.unit.operator.objects import NAME, NAMESPACE, manifest
from tests.unit.operator.reconcile.passes import (
    DEPLOYMENT,
    KEY,
    NODES,
    change,
    cluster_with,
    ready,
    reconciler,
    settle,
)


def _nodes_of(cluster: FakeCluster) -> Manifest | None:
    selector: Manifest | None = cluster.objects[DEPLOYMENT]["spec"]["template"]["spec"].get("nodeSelector")
    return selector


async def test_a_rollout_that_no_user_requested_waits_for_its_turn() -> None:
    cluster = cluster_with()
    await settle(cluster)
    full = RolloutGate(0)
    waiting = reconciler(cluster, parse_policy(NODES, "policy"), gate=full)
    assert (await waiting.reconcile(KEY)).requeue_after is not None
    assert _nodes_of(cluster) is None
    await settle(cluster, reconciler(cluster, parse_policy(NODES, "policy"), gate=RolloutGate(1)))
    assert _nodes_of(cluster) == {"disk": "ssd"}


async def test_a_change_of_the_object_does_not_wait() -> None:
    cluster = cluster_with()
    await settle(cluster)
    change(cluster, port=9000)
    await settle(cluster, reconciler(cluster, parse_policy(NODES, "policy"), gate=RolloutGate(0)))
    assert _nodes_of(cluster) == {"disk": "ssd"}


async def test_drift_of_a_template_is_repaired_at_once() -> None:
    cluster = cluster_with()
    looking = reconciler(cluster, gate=RolloutGate(0))
    await settle(cluster, looking)
    cluster.edit(DEPLOYMENT, "spec", "template", "spec", "nodeSelector", value={"disk": "tape"})
    cluster.edit(DEPLOYMENT, "spec", "template", "spec", "containers", value=[])
    await settle(cluster, looking)
    assert cluster.objects[DEPLOYMENT]["spec"]["template"]["spec"]["containers"]


@pytest.mark.parametrize("gate", [0, 1])
async def test_fault_48_what_is_changed_by_hand_is_repaired_at_once_while_a_rollout_waits(gate: int) -> None:
    """A new default is held back: neither the change by hand nor what it had meanwhile may wait for it."""
    cluster, full = cluster_with(), RolloutGate(gate)
    await settle(cluster)
    if gate:
        full.enter("another")
    waiting = reconciler(cluster, parse_policy(NODES, "policy"), gate=full)
    before = copy.deepcopy(cluster.objects[DEPLOYMENT]["spec"]["template"])
    await settle(cluster, waiting)
    assert cluster.objects[DEPLOYMENT]["spec"]["template"] == before
    cluster.edit(DEPLOYMENT, "spec", "replicas", value=0)
    cluster.edit(DEPLOYMENT, "spec", "strategy", value={"type": "Recreate"})
    await settle(cluster, waiting)
    live = cluster.objects[DEPLOYMENT]["spec"]
    assert live["template"] == before, "the rollout still waits"
    assert (live["replicas"], live["strategy"]["type"]) == (2, "RollingUpdate")
    cluster.edit(DEPLOYMENT, "spec", "template", "spec", "containers", value=[])
    await settle(cluster, waiting)
    assert live is not cluster.objects[DEPLOYMENT]["spec"]
    assert cluster.objects[DEPLOYMENT]["spec"]["template"]["spec"]["containers"]
    assert _nodes_of(cluster) == {"disk": "ssd"}, "its pods are replaced anyway"


async def test_fault_48_a_rollout_that_was_undone_is_repaired_although_no_other_may_begin() -> None:
    cluster = cluster_with()
    await settle(cluster)
    old = copy.deepcopy(cluster.objects[DEPLOYMENT])
    change(cluster, image="shop:2")
    none = reconciler(cluster, gate=RolloutGate(0))
    await settle(cluster, none)
    # As kubectl rollout undo does, with the annotations of the ReplicaSet.
    cluster.edit(
        DEPLOYMENT, "spec", "template", "spec", "containers", value=old["spec"]["template"]["spec"]["containers"]
    )
    for name, value in old["metadata"]["annotations"].items():
        cluster.edit(DEPLOYMENT, "metadata", "annotations", name, value=value)
    await settle(cluster, none)
    (container,) = cluster.objects[DEPLOYMENT]["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "shop:2"


async def test_the_condition_says_that_a_rollout_waits() -> None:
    cluster = cluster_with()
    await settle(cluster)
    live = cluster.objects[DEPLOYMENT]
    live["status"] = {
        "observedGeneration": live["metadata"]["generation"], "replicas": 2, "updatedReplicas": 2,
        "availableReplicas": 2, "conditions": [{"type": "Progressing", "reason": "NewReplicaSetAvailable"}],
    }  # fmt: skip
    await settle(cluster, reconciler(cluster, parse_policy(NODES, "policy"), gate=RolloutGate(0)))
    assert (ready(cluster)["status"], "RolloutWaits" in ready(cluster)["message"]) == ("True", True)


async def test_the_place_is_given_back_when_the_rollout_is_over() -> None:
    cluster = cluster_with()
    await settle(cluster)
    gate = RolloutGate(1)
    looking = reconciler(cluster, parse_policy(NODES, "policy"), gate=gate)
    await settle(cluster, looking)
    assert not gate.enter("another"), "its pods are not ready yet"
    live = cluster.objects[DEPLOYMENT]
    live["status"] = {
        "observedGeneration": live["metadata"]["generation"], "replicas": 2, "updatedReplicas": 2,
        "availableReplicas": 2, "conditions": [{"type": "Progressing", "reason": "NewReplicaSetAvailable"}],
    }  # fmt: skip
    await settle(cluster, looking)
    assert gate.enter("another")


async def test_passes_that_run_at_the_same_time_take_no_more_places_than_there_are() -> None:
    cluster = cluster_with()
    names = [NAME, *(f"shop-{number}" for number in range(5))]
    for name in names[1:]:
        other = manifest(uid=f"uid-of-{name}")
        cluster.put({**other, "metadata": {**other["metadata"], "name": name}})
    before = reconciler(cluster)
    keys = [Key(NAMESPACE, name) for name in names]
    for key in keys * 3:
        await before.reconcile(key)
    rolling = reconciler(cluster, parse_policy(NODES, "policy"), gate=RolloutGate(2))
    await asyncio.gather(*(rolling.reconcile(key) for key in keys))
    templates = [cluster.objects["Deployment", NAMESPACE, name]["spec"]["template"]["spec"] for name in names]
    assert sum("nodeSelector" in template for template in templates) == 2
