"""The number of pods: what it is at first, and who decides it when it is handed over."""

from contextlib import suppress

import pytest

from hca_operator.core.errors import Transient
from tests.unit.operator.reconcile.passes import (
    AUTOSCALER,
    DEPLOYMENT,
    DISABLED,
    KEY,
    change,
    cluster_with,
    reconciler,
    settle,
)


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
