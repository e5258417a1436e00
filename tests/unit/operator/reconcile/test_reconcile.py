"""The reconcile loop against an API server in memory that fails on demand."""

import asyncio
import copy
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hca_operator.api.fleet_policy import NO_POLICY, FleetPolicy, parse_policy
from hca_operator.core.errors import Forbidden, HcaError, Rejected, Transient
from hca_operator.core.names import KIND, Manifest
from hca_operator.core.observed import condition
from hca_operator.core.ports import Cluster, Configs, Key, WorkerMemory
from hca_operator.reconcile.reconciler import Outcome, Reconciler
from hca_operator.reconcile.trackers import Trackers
from hca_operator.restarts.debounce import DebounceTracker
from hca_operator.restarts.memory_trend import MemoryTracker
from hca_operator.restarts.rollout_gate import RolloutGate
from hca_operator.scaling.burst import BurstTracker
from hca_operator.scaling.capabilities import ExternalMetrics
from tests.unit.operator.fake_cluster import FakeCluster, Slot
from tests.unit.operator.objects import NAME, NAMESPACE, manifest

KEY = Key(NAMESPACE, NAME)
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
API: Slot = (KIND, NAMESPACE, NAME)
DEPLOYMENT: Slot = ("Deployment", NAMESPACE, NAME)
AUTOSCALER: Slot = ("HorizontalPodAutoscaler", NAMESPACE, NAME)
INGRESS: Slot = ("Ingress", NAMESPACE, NAME)
SERVICE: Slot = ("Service", NAMESPACE, NAME)
ISOLATION: Slot = ("NetworkPolicy", NAMESPACE, NAME)
ROUTES: dict[str, Any] = {"traffic": {"routes": [{"host": "shop.example.com"}]}}
DISABLED: dict[str, Any] = {"autoscaling": {"mode": "Disabled"}, "replicas": 3}


def cluster_with(**fields: Any) -> FakeCluster:
    cluster = FakeCluster()
    cluster.put(manifest(**fields))
    return cluster


def change(cluster: FakeCluster, **fields: Any) -> None:
    """Another spec for the object, as a user applies it."""
    generation = cluster.objects[API]["metadata"]["generation"] + 1
    status = cluster.objects[API].get("status", {})
    cluster.put({**manifest(generation=generation, **fields), "status": status})


async def no_worker_memory(address: str, port: int, path: str) -> Sequence[int]:
    del address, port, path
    return ()


def reconciler(
    cluster: Cluster,
    policy: FleetPolicy = NO_POLICY,
    *,
    now: datetime | Callable[[], datetime] = NOW,
    gate: RolloutGate | None = None,
    memory: MemoryTracker | None = None,
    bursts: BurstTracker | None = None,
    configs: Mapping[str, Configs] | None = None,
    trackers: Trackers | None = None,
    external: ExternalMetrics | None = None,
    worker_memory: WorkerMemory = no_worker_memory,
) -> Reconciler:
    """One that follows no ConfigMaps and has neither memory nor load, unless a test gives them."""
    return Reconciler(
        cluster,
        policy,
        external=external or ExternalMetrics(),
        configs=configs or {},
        worker_memory=worker_memory,
        trackers=trackers or trackers_with(gate=gate, memory=memory, bursts=bursts),
        identity="operator-1",
        now=now if callable(now) else lambda: now,
    )


def trackers_with(
    *, gate: RolloutGate | None = None, memory: MemoryTracker | None = None, bursts: BurstTracker | None = None
) -> Trackers:
    """Trackers without any history but this."""
    return Trackers(
        gate=gate or RolloutGate(3),
        memory=memory or MemoryTracker(),
        bursts=bursts if bursts is not None else BurstTracker(),
        config_changes=DebounceTracker(lambda: 0.0),
    )


async def settle(cluster: FakeCluster, looking: Reconciler | None = None) -> Outcome:
    """Reconcile until a pass writes nothing, as the queue does when it sees the events of each write."""
    looking = looking or reconciler(cluster)
    for _ in range(10):
        before = len(cluster.writes)
        outcome = await looking.reconcile(KEY)
        if len(cluster.writes) == before:
            return outcome
    raise AssertionError(f"never comes to rest: {cluster.writes[-5:]}")


def ready(cluster: FakeCluster) -> Manifest:
    return condition(cluster.objects[API], "Ready")


async def test_children_are_created_in_order_and_the_workload_before_what_leads_to_it() -> None:
    cluster = cluster_with(**ROUTES)
    await reconciler(cluster).reconcile(KEY)
    assert cluster.writes == [
        "make Deployment shop",
        "make Service shop",
        "make PodDisruptionBudget shop",
        "make HorizontalPodAutoscaler shop",
        "make Ingress shop",
        "make NetworkPolicy shop",
        "apply HighConcurrencyApi shop/status",
    ]


async def test_nothing_is_asked_for_where_a_new_object_has_no_children_yet() -> None:
    cluster = cluster_with(**ROUTES)
    await reconciler(cluster).reconcile(KEY)
    assert [call for call in cluster.calls if call not in cluster.writes] == [f"get {KIND} {NAME}"]


@pytest.mark.parametrize("fields", [{}, ROUTES, DISABLED, {"reconciliation": "Paused"}, {"port": 0}], ids=str)
async def test_a_second_pass_writes_nothing(fields: dict[str, Any]) -> None:
    cluster = cluster_with(**fields)
    looking = reconciler(cluster)
    first = await looking.reconcile(KEY)
    assert first.writes
    done = len(cluster.writes)
    assert (await looking.reconcile(KEY)).writes == ()
    assert cluster.writes[done:] == [], "memory of the first pass makes applying again needless"


async def test_what_the_deployments_controller_notes_down_is_no_reason_to_write() -> None:
    cluster = cluster_with()
    looking = reconciler(cluster)
    await settle(cluster, looking)
    cluster.edit(DEPLOYMENT, "metadata", "annotations", "deployment.kubernetes.io/revision", value="1")
    await looking.reconcile(KEY)
    assert "apply Deployment shop" not in cluster.writes
    assert cluster.objects[API]["status"]["revision"] == "1"


async def test_a_restarted_operator_changes_nothing() -> None:
    cluster = cluster_with(**ROUTES)
    await settle(cluster)
    before = {slot: stored["metadata"]["resourceVersion"] for slot, stored in cluster.objects.items()}
    assert (await reconciler(cluster).reconcile(KEY)).writes == ()
    assert {slot: stored["metadata"]["resourceVersion"] for slot, stored in cluster.objects.items()} == before


CHANGES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "image": ({}, {"image": "registry.example.com/shop:2"}),
    "routes go": (ROUTES, {}),
    "routes come": ({}, ROUTES),
    "hand-over": (DISABLED, {}),
    "hand-back": ({}, DISABLED),
    "invalid": ({}, {"port": 0}),
    "valid again": ({"port": 0}, ROUTES),
    "paused": ({}, {"reconciliation": "Paused", "image": "registry.example.com/shop:2"}),
}


def _children(cluster: FakeCluster) -> dict[Slot, Manifest]:
    """The children without who owns which field, and without a count that is the autoscaler's."""
    children = {slot: stored for slot, stored in cluster.state().items() if slot != API}
    for stored in children.values():
        del stored["metadata"]["managedFields"]
    if AUTOSCALER in children:
        del children[DEPLOYMENT]["spec"]["replicas"]
    return children


@pytest.mark.parametrize("change_of", ["image", "routes go", "routes come", "hand-over", "hand-back", "valid again"])
async def test_fault_18_a_change_ends_where_a_fresh_start_ends(change_of: str) -> None:
    before, after = CHANGES[change_of]
    cluster = cluster_with(**before)
    looking = reconciler(cluster)
    await settle(cluster, looking)
    change(cluster, **after)
    await settle(cluster, looking)
    fresh = cluster_with(**after)
    await settle(fresh)
    assert _children(cluster) == _children(fresh)


@dataclass(frozen=True)
class Fault:
    """What goes wrong with one call, and whether the operator is restarted then."""

    error: HcaError
    lose_answer: bool = False
    restart: bool = False


FAULTS = {
    "lost before it was carried out": Fault(Transient("connection reset")),
    "lost after it was carried out": Fault(Transient("time-out"), lose_answer=True),
    "restarted before it was carried out": Fault(Transient("killed"), restart=True),
    "restarted after it was carried out": Fault(Transient("killed"), lose_answer=True, restart=True),
    "refused": Fault(Rejected("exceeded quota")),
    "forbidden": Fault(Forbidden('cannot patch resource "deployments"')),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
@pytest.mark.parametrize(("before", "after"), [({}, {}), *CHANGES.values()], ids=["created", *CHANGES])
async def test_fault_21_a_failure_of_any_call_is_recovered_from(
    before: dict[str, Any], after: dict[str, Any], fault: Fault
) -> None:
    undisturbed, calls = await _changed(before, after, None, fault)
    for failing in range(calls):
        disturbed, _ = await _changed(before, after, failing, fault)
        assert disturbed == undisturbed, f"after the failure of call {failing}"


async def _changed(
    before: dict[str, Any], after: dict[str, Any], failing: int | None, fault: Fault
) -> tuple[dict[Slot, Manifest], int]:
    """State and number of calls after a change during which one call fails."""
    cluster = cluster_with(**before)
    looking = reconciler(cluster)
    if before != after:
        await settle(cluster, looking)
        change(cluster, **after)
    cluster.calls.clear()
    cluster.fail_at, cluster.error, cluster.lose_answer = failing, fault.error, fault.lose_answer
    with suppress(HcaError):
        await looking.reconcile(KEY)
    calls = len(cluster.calls)
    cluster.fail_at = None
    await settle(cluster, reconciler(cluster) if fault.restart else looking)
    return cluster.state(), calls


async def test_replicas_never_dip_in_a_hand_over_whatever_fails() -> None:
    for failing in range(30):
        cluster = cluster_with(**DISABLED)
        looking = reconciler(cluster)
        await settle(cluster, looking)
        change(cluster, port=9000)
        cluster.calls.clear()
        cluster.changes.clear()
        cluster.fail_at, cluster.error = failing, Transient("connection reset")
        with suppress(Transient):
            await looking.reconcile(KEY)
        cluster.fail_at = None
        await settle(cluster)
        seen = [seen["spec"]["replicas"] for seen in cluster.changes if seen["kind"] == "Deployment"]
        assert set(seen) == {3}, f"after the failure of call {failing}: {seen}"


async def test_a_new_deployment_starts_with_the_autoscalers_minimum_and_leaves_the_count_to_it() -> None:
    cluster = cluster_with(autoscaling={"minReplicas": 4})
    await settle(cluster)
    assert cluster.objects[DEPLOYMENT]["spec"]["replicas"] == 4
    cluster.edit(DEPLOYMENT, "spec", "replicas", value=7)
    await settle(cluster)
    assert cluster.objects[DEPLOYMENT]["spec"]["replicas"] == 7


@pytest.mark.parametrize("scaled", [None, 7])
async def test_the_count_outlives_a_change_whether_or_not_the_autoscaler_has_moved_it_yet(scaled: int | None) -> None:
    cluster = cluster_with(autoscaling={"minReplicas": 4})
    await settle(cluster)
    if scaled:
        cluster.edit(DEPLOYMENT, "spec", "replicas", value=scaled)
    cluster.changes.clear()
    change(cluster, autoscaling={"minReplicas": 2}, port=9000)
    await settle(cluster)
    assert {seen["spec"]["replicas"] for seen in cluster.changes if seen["kind"] == "Deployment"} == {scaled or 4}


async def test_a_deployment_scaled_to_0_comes_back_to_the_autoscalers_minimum() -> None:
    cluster = cluster_with(autoscaling={"minReplicas": 4})
    await settle(cluster)
    cluster.edit(DEPLOYMENT, "spec", "replicas", value=0)
    await settle(cluster)
    assert cluster.objects[DEPLOYMENT]["spec"]["replicas"] == 4


@pytest.mark.parametrize(("wanted", "made"), [(8, 8), (1, 4), (99, 10)])
async def test_a_deployment_that_is_made_again_starts_with_what_the_autoscaler_wants(wanted: int, made: int) -> None:
    cluster = cluster_with(autoscaling={"minReplicas": 4, "maxReplicas": 10})
    await settle(cluster)
    cluster.edit(AUTOSCALER, "status", value={"desiredReplicas": wanted, "currentReplicas": 8})
    cluster.remove(DEPLOYMENT, cluster.objects[DEPLOYMENT]["metadata"]["uid"])
    await settle(cluster)
    assert cluster.objects[DEPLOYMENT]["spec"]["replicas"] == made


async def test_without_autoscaling_the_object_decides_the_count() -> None:
    cluster = cluster_with(**DISABLED)
    await settle(cluster)
    assert cluster.objects[DEPLOYMENT]["spec"]["replicas"] == 3
    assert AUTOSCALER not in cluster.objects
    cluster.edit(DEPLOYMENT, "spec", "replicas", value=9)
    await settle(cluster)
    assert cluster.objects[DEPLOYMENT]["spec"]["replicas"] == 3


async def test_the_autoscaler_goes_before_the_count_is_handed_back() -> None:
    cluster = cluster_with()
    await settle(cluster)
    change(cluster, **DISABLED)
    cluster.calls.clear()
    await reconciler(cluster).reconcile(KEY)
    assert cluster.writes[0].startswith("delete HorizontalPodAutoscaler shop ")
    assert cluster.writes[1] == "apply Deployment shop"


async def test_fault_24_what_is_no_longer_wanted_is_deleted_by_its_uid() -> None:
    cluster = cluster_with(**ROUTES)
    await settle(cluster)
    uid = cluster.objects[INGRESS]["metadata"]["uid"]
    change(cluster)
    cluster.calls.clear()
    await settle(cluster)
    assert f"delete Ingress shop {uid}" in cluster.writes
    assert INGRESS not in cluster.objects


def _foreign(slot: Slot, **metadata: Any) -> Manifest:
    kind, namespace, name = slot
    return {"kind": kind, "metadata": {"name": name, "namespace": namespace, **metadata}, "spec": {"replicas": 5}}


@pytest.mark.parametrize("slot", [DEPLOYMENT, SERVICE, AUTOSCALER, INGRESS, ISOLATION], ids=lambda slot: slot[0])
async def test_an_object_of_another_owner_is_left_alone_and_named(slot: Slot) -> None:
    cluster = cluster_with(**ROUTES)
    cluster.put(_foreign(slot))
    before = cluster.objects[slot]
    await settle(cluster)
    assert cluster.objects[slot] == before
    assert ready(cluster)["reason"] == "ResourceConflict"
    assert f"{slot[0]} shop exists and is not this object's: rename or delete it" in ready(cluster)["message"]
    cluster.remove(slot, before["metadata"]["uid"])
    await settle(cluster)
    assert ready(cluster)["reason"] != "ResourceConflict"
    assert cluster.objects[slot]["metadata"]["ownerReferences"]


async def test_the_deployment_of_another_owner_says_nothing_about_this_object() -> None:
    cluster = cluster_with()
    foreign = _foreign(DEPLOYMENT)
    foreign["status"] = {"availableReplicas": 5, "replicas": 5, "readyReplicas": 5}
    cluster.put(foreign)
    await settle(cluster)
    assert condition(cluster.objects[API], "Available")["status"] == "False"
    assert "replicas" not in cluster.objects[API]["status"]


async def test_without_its_own_deployment_nothing_else_is_made() -> None:
    cluster = cluster_with(**ROUTES)
    cluster.put(_foreign(DEPLOYMENT))
    await settle(cluster)
    assert cluster.objects.keys() == {API, DEPLOYMENT}


async def test_a_service_in_the_way_does_not_hold_up_the_rest() -> None:
    cluster = cluster_with(**ROUTES)
    cluster.put(_foreign(SERVICE))
    await settle(cluster)
    assert {DEPLOYMENT, AUTOSCALER, INGRESS} <= cluster.objects.keys()


async def test_an_object_of_another_owner_where_none_is_wanted_is_no_conflict() -> None:
    cluster = cluster_with()
    cluster.put(_foreign(INGRESS))
    await settle(cluster)
    assert INGRESS in cluster.objects
    assert ready(cluster)["reason"] != "ResourceConflict"


def _owned_by(name: str, uid: str) -> list[Manifest]:
    reference = {"kind": KIND, "apiVersion": "hca-operator.io/v1alpha1", "name": name, "uid": uid, "controller": True}
    return [reference]


async def test_the_child_of_a_deleted_object_of_the_same_name_is_waited_for() -> None:
    cluster = cluster_with()
    cluster.put(_foreign(SERVICE, ownerReferences=_owned_by(NAME, "the-one-before")))
    with pytest.raises(Transient, match="of the deleted object of this name"):
        await reconciler(cluster).reconcile(KEY)


async def test_the_child_of_another_object_is_a_conflict() -> None:
    cluster = cluster_with()
    cluster.put(_foreign(SERVICE, ownerReferences=_owned_by("cart", "another")))
    await settle(cluster)
    assert ready(cluster)["reason"] == "ResourceConflict"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("spec", "strategy"), {"type": "Recreate"}),
        (("spec", "template", "spec", "containers"), [{"name": "api", "image": "other"}]),
        (("metadata", "labels", "app.kubernetes.io/managed-by"), "somebody"),
        (("metadata", "labels"), None),
        (("metadata", "ownerReferences"), None),
    ],
    ids=str,
)
async def test_drift_is_repaired_and_what_others_added_stays(path: tuple[str, ...], value: Any) -> None:
    cluster = cluster_with()
    looking = reconciler(cluster)
    await settle(cluster, looking)
    cluster.edit(DEPLOYMENT, "metadata", "annotations", "example.com/theirs", value="kept")
    await settle(cluster, looking)
    before = cluster.state()[DEPLOYMENT]
    cluster.edit(DEPLOYMENT, *path, value=value)
    await settle(cluster, looking)
    assert before["metadata"]["annotations"]["example.com/theirs"] == "kept"
    assert cluster.state()[DEPLOYMENT] == before


async def test_a_paused_object_writes_no_child_but_its_status() -> None:
    cluster = cluster_with(reconciliation="Paused")
    await settle(cluster)
    assert cluster.objects.keys() == {API}
    assert ready(cluster)["reason"] == "Paused"


async def test_an_invalid_object_keeps_its_children_and_says_what_is_wrong() -> None:
    cluster = cluster_with(**ROUTES)
    await settle(cluster)
    children = {slot: stored for slot, stored in cluster.state().items() if slot != API}
    change(cluster, port=0)
    await settle(cluster)
    assert {slot: stored for slot, stored in cluster.state().items() if slot != API} == children
    assert ready(cluster)["reason"] == "InvalidSpec"
    assert "spec.port: " in ready(cluster)["message"]
    assert condition(cluster.objects[API], "Stalled")["status"] == "True"


async def test_an_object_beyond_a_limit_keeps_its_children_until_it_or_the_limit_changes() -> None:
    few = parse_policy("limits: {maxReplicas: 20}", "policy")
    cluster = cluster_with(**ROUTES)
    await settle(cluster, reconciler(cluster, few))
    children = {slot: stored for slot, stored in cluster.state().items() if slot != API}
    change(cluster, **ROUTES, autoscaling={"maxReplicas": 21}, port=9000)
    cluster.calls.clear()
    await settle(cluster, reconciler(cluster, few))
    assert {slot: stored for slot, stored in cluster.state().items() if slot != API} == children
    assert set(cluster.writes) == {f"apply {KIND} {NAME}/status", "create Event LimitExceeded"}
    assert ready(cluster)["reason"] == "LimitExceeded"
    assert "21 is more than the 20 that is allowed here" in ready(cluster)["message"]
    assert condition(cluster.objects[API], "Stalled")["status"] == "True"
    more = parse_policy("limits: {maxReplicas: 21}", "policy")
    await settle(cluster, reconciler(cluster, more))
    assert cluster.objects[AUTOSCALER]["spec"]["maxReplicas"] == 21
    assert condition(cluster.objects[API], "Stalled")["status"] == "False"


async def test_defaults_of_the_install_reach_the_children() -> None:
    cluster = cluster_with(**ROUTES)
    given = parse_policy("defaults: {traffic: {ingress: {className: contour}}, podLabels: {team: shop}}", "policy")
    await settle(cluster, reconciler(cluster, given))
    assert cluster.objects[INGRESS]["spec"]["ingressClassName"] == "contour"
    assert cluster.objects[DEPLOYMENT]["spec"]["template"]["metadata"]["labels"]["team"] == "shop"


async def test_isolation_that_is_switched_off_goes_and_comes_back() -> None:
    cluster = cluster_with()
    await settle(cluster)
    assert ISOLATION in cluster.objects
    await settle(cluster, reconciler(cluster, parse_policy("networkPolicy: {enabled: false}", "policy")))
    assert ISOLATION not in cluster.objects
    await settle(cluster)
    assert ISOLATION in cluster.objects


async def test_a_network_policy_of_another_owner_stays_where_isolation_is_off() -> None:
    cluster = cluster_with()
    cluster.put(_foreign(ISOLATION))
    await settle(cluster, reconciler(cluster, parse_policy("networkPolicy: {enabled: false}", "policy")))
    assert ISOLATION in cluster.objects
    assert ready(cluster)["reason"] != "ResourceConflict"


@pytest.mark.parametrize("gone", [lambda c: c.remove(API, c.objects[API]["metadata"]["uid"]),
                                  lambda c: c.edit(API, "metadata", "deletionTimestamp", value="2026-01-01T00:00:00Z")],
                         ids=["gone", "going"])  # fmt: skip
async def test_an_object_that_is_gone_or_going_is_left_to_the_garbage_collector(
    gone: Callable[[FakeCluster], None],
) -> None:
    cluster = cluster_with()
    looking = reconciler(cluster)
    await settle(cluster, looking)
    gone(cluster)
    cluster.calls.clear()
    assert await looking.reconcile(KEY) == Outcome()
    assert cluster.writes == []


async def test_pods_that_are_not_ready_are_looked_at_ever_more_slowly() -> None:
    cluster = cluster_with()
    waits = []
    for minutes in (0, 1, 2, 60):
        looking = reconciler(cluster, now=NOW + timedelta(minutes=minutes))
        waits.append((await looking.reconcile(KEY)).requeue_after)
    assert waits == [1.0, 6.0, 12.0, 30.0]


async def test_a_status_of_others_that_is_no_time_is_no_crash() -> None:
    cluster = cluster_with()
    await settle(cluster)
    for entry in cluster.objects[API]["status"]["conditions"]:
        entry["lastTransitionTime"] = "2026-01-02t03:04:05z"
    assert (await settle(cluster)).requeue_after is not None


NODES = "defaults: {nodeSelector: {disk: ssd}}"
"""A policy that changes every pod."""


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


async def test_what_flips_is_reported_as_an_event() -> None:
    cluster = cluster_with()
    cluster.put(_foreign(SERVICE))
    await settle(cluster)
    assert [(event["type"], event["reason"]) for event in cluster.events] == [("Warning", "ResourceConflict")]
    cluster.remove(SERVICE, cluster.objects[SERVICE]["metadata"]["uid"])
    await settle(cluster)
    assert [event["reason"] for event in cluster.events] == ["ResourceConflict", "RollingOut"]


async def test_an_event_that_cannot_be_written_holds_up_nothing() -> None:
    undisturbed = cluster_with()
    undisturbed.put(_foreign(SERVICE))
    await reconciler(undisturbed).reconcile(KEY)
    cluster = cluster_with()
    cluster.put(_foreign(SERVICE))
    cluster.fail_at = undisturbed.calls.index("create Event ResourceConflict")
    cluster.error = Forbidden("cannot create events")
    await reconciler(cluster).reconcile(KEY)
    assert cluster.events == []
    assert ready(cluster)["reason"] == "ResourceConflict"


async def test_an_autoscaler_that_acts_while_a_watch_lags_takes_no_ready_away() -> None:
    cluster = cluster_with()
    looking = reconciler(cluster)
    await settle(cluster, looking)
    live = cluster.objects[DEPLOYMENT]
    live["status"] = {
        "observedGeneration": 1, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2,
        "conditions": [{"type": "Progressing", "reason": "NewReplicaSetAvailable"}],
    }  # fmt: skip
    await settle(cluster, looking)
    assert ready(cluster)["status"] == "True"
    cluster.edit(DEPLOYMENT, "spec", "replicas", value=4)
    cluster.edit(DEPLOYMENT, "metadata", "generation", value=2)
    seen = copy.deepcopy(cluster.objects[DEPLOYMENT])
    cluster.edit(DEPLOYMENT, "status", "replicas", value=2)  # a version that the watch has not told of
    now, cluster.objects[DEPLOYMENT] = cluster.objects[DEPLOYMENT], seen
    cluster.before_apply = lambda: cluster.objects.update({DEPLOYMENT: now})
    with pytest.raises(Transient, match="modified"):
        await looking.reconcile(KEY)
    await settle(cluster, looking)
    assert ready(cluster)["status"] == "True"


async def test_what_is_due_is_done_on_time_however_long_pods_have_not_been_ready() -> None:
    begins = {"name": "open", "cron": "5 4 * * *", "duration": "1h", "minReplicas": 4}
    cluster = cluster_with(autoscaling={"schedules": [begins]})
    await settle(cluster)
    late = reconciler(cluster, now=datetime(2026, 1, 2, 4, 4, 57, tzinfo=UTC))
    assert (await late.reconcile(KEY)).requeue_after == 3, "after an hour, pods alone are looked at each 30 seconds"


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


async def test_no_tolerance_counts_as_dropped_while_the_autoscaler_cannot_be_written() -> None:
    """The stored autoscaler is the earlier one then: it says nothing about what the API server drops."""
    cluster = cluster_with()
    looking = reconciler(cluster)
    await settle(cluster, looking)
    change(cluster, autoscaling={"behavior": {"scaleUp": {"tolerance": "0.05"}}})
    apply_ = cluster.apply

    async def refused(manifest: Manifest, *, subresource: str = "") -> Manifest:
        if manifest["kind"] == "HorizontalPodAutoscaler":
            raise Rejected("denied by a webhook")
        return await apply_(manifest, subresource=subresource)

    cluster.apply = refused  # type: ignore[method-assign]
    await looking.reconcile(KEY)
    assert ready(cluster)["reason"] == "ApplyRejected"
    assert "unsupported" not in cluster.objects[API]["status"]


@pytest.mark.parametrize("autoscaling", ["no", {"metrics": "no"}, {"metrics": [None, "Prometheus"]}, []], ids=repr)
async def test_fault_38_an_object_of_any_shape_is_reported(autoscaling: object) -> None:
    cluster = cluster_with()
    cluster.objects[API]["spec"]["autoscaling"] = autoscaling
    await reconciler(cluster).reconcile(KEY)
    assert ready(cluster)["reason"] == "InvalidSpec"


async def test_fault_71_the_problem_of_a_pod_that_is_being_replaced_is_not_that_of_the_latest_generation() -> None:
    """The user has corrected the name of the image: as long as old pods are there, the new one was said to be wrong."""
    cluster = cluster_with(image="shop:2")
    reconcile = reconciler(cluster).reconcile
    await reconcile(KEY)
    deployment = cluster.objects[DEPLOYMENT]
    deployment["metadata"].setdefault("annotations", {})["deployment.kubernetes.io/revision"] = "2"
    generation = deployment["metadata"].get("generation", 1)
    deployment["metadata"]["generation"] = generation
    deployment["status"] = {"observedGeneration": generation, "replicas": 3, "updatedReplicas": 1}
    cluster.put(deployment)
    owner = [{"kind": "Deployment", "name": NAME, "uid": deployment["metadata"]["uid"], "controller": True}]
    pulling = {"waiting": {"reason": "ImagePullBackOff"}}
    for revision, state in (("1", pulling), ("2", {"waiting": {"reason": "ContainerCreating"}})):
        labels = {"hca-operator.io/api": NAME, "hca-operator.io/track": "stable", "pod-template-hash": revision}
        metadata = {"name": f"shop-{revision}", "namespace": NAMESPACE, "uid": revision, "labels": labels}
        annotations = {"deployment.kubernetes.io/revision": revision}
        replica_set = {**metadata, "annotations": annotations, "ownerReferences": owner}
        cluster.put({"kind": "ReplicaSet", "metadata": replica_set})
        status = {"containerStatuses": [{"name": "api", "state": state}]}
        cluster.put({"kind": "Pod", "metadata": metadata, "status": status})

    async def reason() -> str:
        await reconcile(KEY)
        found: str = condition(cluster.objects[API], "Ready")["reason"]
        return found

    assert await reason() == "RollingOut"
    cluster.edit(("Pod", NAMESPACE, "shop-2"), "status", "containerStatuses", value=[{"name": "api", "state": pulling}])
    assert await reason() == "ImagePullFailed"
    cluster.edit(("Pod", NAMESPACE, "shop-2"), "status", "containerStatuses", value=None)
    cluster.refuses = lambda call: Forbidden("cannot list") if call == "list ReplicaSet" else None
    assert await reason() == "ImagePullFailed", "what cannot be told apart is reported"
