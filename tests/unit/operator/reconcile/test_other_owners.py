"""An object of another owner that has the name of a child is left alone, and named where it is in the way."""

import pytest

from hca_operator.api.fleet_policy import parse_policy
from hca_operator.core.errors import Transient
from hca_operator.core.names import KIND, Manifest
from hca_operator.core.observed import condition
from tests.unit.operator.fake_cluster import Slot
from tests.unit.operator.objects import NAME
from tests.unit.operator.reconcile.passes import (
    API,
    AUTOSCALER,
    DEPLOYMENT,
    INGRESS,
    ISOLATION,
    KEY,
    ROUTES,
    SERVICE,
    cluster_with,
    of_another_owner,
    ready,
    reconciler,
    settle,
)


@pytest.mark.parametrize("slot", [DEPLOYMENT, SERVICE, AUTOSCALER, INGRESS, ISOLATION], ids=lambda slot: slot[0])
async def test_an_object_of_another_owner_is_left_alone_and_named(slot: Slot) -> None:
    cluster = cluster_with(**ROUTES)
    cluster.put(of_another_owner(slot))
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
    foreign = of_another_owner(DEPLOYMENT)
    foreign["status"] = {"availableReplicas": 5, "replicas": 5, "readyReplicas": 5}
    cluster.put(foreign)
    await settle(cluster)
    assert condition(cluster.objects[API], "Available")["status"] == "False"
    assert "replicas" not in cluster.objects[API]["status"]


async def test_without_its_own_deployment_nothing_else_is_made() -> None:
    cluster = cluster_with(**ROUTES)
    cluster.put(of_another_owner(DEPLOYMENT))
    await settle(cluster)
    assert cluster.objects.keys() == {API, DEPLOYMENT}


async def test_a_service_in_the_way_does_not_hold_up_the_rest() -> None:
    cluster = cluster_with(**ROUTES)
    cluster.put(of_another_owner(SERVICE))
    await settle(cluster)
    assert {DEPLOYMENT, AUTOSCALER, INGRESS} <= cluster.objects.keys()


async def test_an_object_of_another_owner_where_none_is_wanted_is_no_conflict() -> None:
    cluster = cluster_with()
    cluster.put(of_another_owner(INGRESS))
    await settle(cluster)
    assert INGRESS in cluster.objects
    assert ready(cluster)["reason"] != "ResourceConflict"


def _owned_by(name: str, uid: str) -> list[Manifest]:
    reference = {"kind": KIND, "apiVersion": "hca-operator.io/v1alpha1", "name": name, "uid": uid, "controller": True}
    return [reference]


async def test_the_child_of_a_deleted_object_of_the_same_name_is_waited_for() -> None:
    cluster = cluster_with()
    cluster.put(of_another_owner(SERVICE, ownerReferences=_owned_by(NAME, "the-one-before")))
    with pytest.raises(Transient, match="of the deleted object of this name"):
        await reconciler(cluster).reconcile(KEY)


async def test_the_child_of_another_object_is_a_conflict() -> None:
    cluster = cluster_with()
    cluster.put(of_another_owner(SERVICE, ownerReferences=_owned_by("cart", "another")))
    await settle(cluster)
    assert ready(cluster)["reason"] == "ResourceConflict"


async def test_a_network_policy_of_another_owner_stays_where_isolation_is_off() -> None:
    cluster = cluster_with()
    cluster.put(of_another_owner(ISOLATION))
    await settle(cluster, reconciler(cluster, parse_policy("networkPolicy: {enabled: false}", "policy")))
    assert ISOLATION in cluster.objects
    assert ready(cluster)["reason"] != "ResourceConflict"
