"""What is remembered of the objects, and what a reconcile makes of it where it is not what there is."""

from dataclasses import dataclass, field

import pytest

from hca_operator.core.errors import Conflict, Transient
from hca_operator.core.names import KIND, Manifest
from hca_operator.kube.cache import ManifestCache, ObjectRef
from hca_operator.kube.cached_client import CachedClient
from hca_operator.kube.object_cache import ObjectCache
from hca_operator.reconcile.reconciler import Outcome, Reconciler
from tests.unit.operator.fake_cluster import FakeCluster
from tests.unit.operator.objects import NAME, NAMESPACE, manifest
from tests.unit.operator.reconcile.passes import (
    API,
    KEY,
    SERVICE,
    change,
    cluster_with,
    ready,
    reconciler,
    settle,
)


def at(version: int) -> Manifest:
    made = manifest()
    return {**made, "metadata": {**made["metadata"], "resourceVersion": str(version)}}


def test_nothing_is_relied_on_before_everything_was_listed() -> None:
    objects = ObjectCache()
    assert objects.update(at(5))
    assert objects.known(NAMESPACE, NAME) is None
    objects.mark_synced()
    assert objects.known(NAMESPACE, NAME) == at(5)
    objects.mark_unsynced()
    assert objects.known(NAMESPACE, NAME) is None


def test_an_object_never_goes_back_to_what_it_was() -> None:
    objects = ObjectCache()
    objects.mark_synced()
    assert objects.update(at(5))
    assert not objects.update(at(4))
    assert not objects.update(at(5))
    objects.remove(at(4))
    assert objects.known(NAMESPACE, NAME) == at(5), "it was made anew meanwhile"
    objects.remove(at(6))
    assert objects.known(NAMESPACE, NAME) is None


@dataclass
class Looking:
    """An operator, what it remembers, and what there is."""

    cluster: FakeCluster
    objects: ObjectCache = field(default_factory=ObjectCache)
    children: ManifestCache = field(default_factory=ManifestCache)

    def __post_init__(self) -> None:
        self.objects.mark_synced()
        remembered = CachedClient(self.cluster, self.children, self.objects)
        self.reconciler: Reconciler = reconciler(remembered)

    def see(self) -> None:
        """Receive the object as it is."""
        self.objects.update(self.cluster.objects[API])

    async def look(self) -> list[str]:
        """Look once; what the API server was asked."""
        before = len(self.cluster.calls)
        await self.reconciler.reconcile(KEY)
        return self.cluster.calls[before:]


async def rested(**fields: object) -> Looking:
    """One that has carried out an object, and of which nothing is asked any more."""
    looking = Looking(cluster_with(**fields))
    looking.see()
    await settle(looking.cluster, looking.reconciler)
    return looking


async def test_a_new_object_is_carried_out_without_a_question() -> None:
    looking = Looking(cluster_with())
    looking.see()
    assert not [call for call in await looking.look() if call.startswith(("get", "list"))]


async def test_an_object_at_rest_costs_no_request() -> None:
    assert await (await rested()).look() == []


async def test_a_new_leader_asks_until_it_has_seen_everything() -> None:
    looking = await rested()
    looking.objects.mark_unsynced()
    assert await looking.look() == [f"get {KIND} {NAME}"]
    looking.objects.mark_synced()
    assert await looking.look() == []


async def test_the_children_of_an_object_that_has_ended_unseen_are_not_made_again() -> None:
    looking = await rested()
    for slot, found in list(looking.cluster.objects.items()):
        looking.cluster.remove(slot, found["metadata"]["uid"])
        looking.children.forget(ObjectRef(*slot))
    before = len(looking.cluster.writes)
    with pytest.raises(Conflict, match="has changed since"):
        await looking.look()
    assert await looking.reconciler.reconcile(KEY) == Outcome()
    assert len(looking.cluster.writes) == before
    assert looking.cluster.objects == {}


async def test_a_child_that_is_made_again_is_that_of_the_object_as_it_is_now() -> None:
    looking = await rested()
    change(looking.cluster, service={"port": 9000})
    looking.cluster.remove(SERVICE, looking.cluster.objects[SERVICE]["metadata"]["uid"])
    looking.children.forget(ObjectRef(*SERVICE))
    with pytest.raises(Conflict, match="has changed since"):
        await looking.look()
    await looking.look()
    assert looking.cluster.objects[SERVICE]["spec"]["ports"][0]["port"] == 9000


async def test_a_pass_asks_once_however_often_the_object_changes() -> None:
    looking = await rested()
    looking.cluster.remove(SERVICE, looking.cluster.objects[SERVICE]["metadata"]["uid"])
    for port in (9000, 9001, 9002):
        change(looking.cluster, service={"port": port})
        looking.children.forget(ObjectRef(*SERVICE))
        before = len(looking.cluster.calls)
        with pytest.raises(Conflict, match="has changed since"):
            await looking.look()
        assert looking.cluster.calls[before:].count(f"get {KIND} {NAME}") == 1


async def test_what_is_reported_of_an_object_that_has_changed_unseen_is_decided_again() -> None:
    looking = await rested()
    before = looking.cluster.objects[API]
    change(looking.cluster, port=0)
    looking.cluster.edit(("Deployment", NAMESPACE, NAME), "status", "readyReplicas", value=2)
    looking.children.put(looking.cluster.objects["Deployment", NAMESPACE, NAME])
    with pytest.raises(Transient, match="modified"):
        await looking.look()
    assert looking.cluster.objects[API]["status"] == before["status"]
    await looking.look()
    assert ready(looking.cluster)["reason"] == "InvalidSpec"
