"""What passes write: each child in its turn, nothing without a reason, and drift is repaired."""

from collections.abc import Callable
from typing import Any

import pytest

from hca_operator.api.fleet_policy import parse_policy
from hca_operator.core.names import KIND
from hca_operator.core.observed import condition
from hca_operator.reconcile.reconciler import Outcome
from tests.unit.operator.fake_cluster import FakeCluster
from tests.unit.operator.objects import NAME
from tests.unit.operator.reconcile.passes import (
    API,
    AUTOSCALER,
    DEPLOYMENT,
    DISABLED,
    INGRESS,
    ISOLATION,
    KEY,
    ROUTES,
    change,
    cluster_with,
    ready,
    reconciler,
    settle,
)


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


async def test_fault_24_what_is_no_longer_wanted_is_deleted_by_its_uid() -> None:
    cluster = cluster_with(**ROUTES)
    await settle(cluster)
    uid = cluster.objects[INGRESS]["metadata"]["uid"]
    change(cluster)
    cluster.calls.clear()
    await settle(cluster)
    assert f"delete Ingress shop {uid}" in cluster.writes
    assert INGRESS not in cluster.objects


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("spec", "strategy"), {"type": "Recreate"}),
        (("spec", "template", "spec", "containers"), [{"name": "api", "image": "other"}]),
        (("metadata", "labels", "app.kubernetes.io/managed-by"), "another"),
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
