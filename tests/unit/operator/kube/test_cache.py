from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from hca_operator.core.names import API_LABEL, KIND, Manifest
from hca_operator.core.observed import owner_of
from hca_operator.kube.cache import LARGEST_BYTES, MOST_REMOVED, ManifestCache, ObjectRef, ref_of

SHOP = ObjectRef("Service", "default", "shop")


def service(version: int, name: str = "shop", namespace: str = "default", **content: Any) -> Manifest:
    metadata = {"name": name, "namespace": namespace, "resourceVersion": str(version)}
    return {"kind": "Service", "metadata": metadata, **content}


def test_what_is_put_is_what_is_got() -> None:
    store = ManifestCache()
    shop = service(7, spec={"note": "\u2603", "ports": [{"port": 80}]})
    assert store.put(shop)
    assert store.get(SHOP) == shop
    assert store.get(ObjectRef("Service", "other", "shop")) is None


@given(st.permutations(range(1, 6)))
def test_in_whatever_order_states_come_the_newest_stays(versions: list[int]) -> None:
    store = ManifestCache()
    for version in versions:
        store.put(service(version))
    assert store.get(SHOP) == service(5)


def test_what_is_repeated_is_no_change() -> None:
    store = ManifestCache()
    assert store.put(service(7))
    assert not store.put(service(7))
    assert store.replace("Service", "", [service(7)], 9) == []


def test_a_deletion_does_not_reach_what_was_made_again() -> None:
    store = ManifestCache()
    store.put(service(7))
    assert not store.remove(SHOP, before=6)
    assert store.remove(SHOP, before=8)
    assert store.get(SHOP) is None


def test_fault_25_an_answer_that_comes_after_the_event_of_the_deletion_brings_nothing_back() -> None:
    """The answer to the write that made the object, whose event came before."""
    store = ManifestCache()
    store.put(service(7))
    store.remove(SHOP, before=8)
    assert not store.put(service(7))
    assert store.get(SHOP) is None
    assert store.put(service(9))
    assert store.get(SHOP) == service(9)
    store.replace("Service", "", [], 12)
    assert not store.put(service(11))
    assert store.get(SHOP) is None


def test_few_of_many_objects_that_were_removed_are_kept_in_mind() -> None:
    store = ManifestCache()
    for number in range(2 * MOST_REMOVED):
        store.put(service(number + 1, f"shop-{number}"))
        store.remove(ref_of(service(1, f"shop-{number}")), before=number + 1)
    assert len(store._removed) == MOST_REMOVED


def test_an_object_is_uncertain_from_a_failed_write_until_something_is_heard_of_it() -> None:
    store = ManifestCache()
    store.put(service(7))
    for hear in (
        lambda: store.put(service(7)),
        lambda: store.forget(SHOP),
        lambda: store.replace("Service", "default", [], 9),
    ):
        store.invalidate(SHOP)
        assert store.get(SHOP) is None
        assert store.is_uncertain(SHOP)
        store.replace("Service", "other", [], 9)
        store.replace("Ingress", "", [], 9)
        assert store.is_uncertain(SHOP), "lists of others say nothing of it"
        hear()
        assert not store.is_uncertain(SHOP)


def test_a_list_takes_away_what_is_not_in_it_but_not_what_came_after_it_or_lives_elsewhere() -> None:
    store = ManifestCache()
    for known in (service(3, "gone"), service(12, "newer"), service(3, "there", "other"), service(3)):
        store.put(known)
    store.put({**service(3, "gone"), "kind": "Ingress"})
    changed = store.replace("Service", "default", [service(5), service(6, "new")], 10)
    assert {manifest["metadata"]["name"] for manifest in changed} == {"gone", "shop", "new"}
    assert store.get(ref_of(service(3, "gone"))) is None
    assert store.get(ref_of(service(12, "newer"))) is not None
    assert store.get(ref_of(service(3, "there", "other"))) is not None
    assert store.get(ObjectRef("Ingress", "default", "gone")) is not None
    assert len(store) == 5


def test_what_is_doubted_is_forgotten() -> None:
    store = ManifestCache()
    store.put(service(7))
    store.forget(SHOP)
    store.forget(SHOP)
    assert store.get(SHOP) is None
    assert store.put(service(7))


def test_fault_64_what_is_far_larger_than_usual_is_not_kept_but_its_version_and_whose_it_is_are() -> None:
    noise = "".join(map(str, range(LARGEST_BYTES)))
    owner = {"kind": KIND, "name": "cart", "controller": True}
    large = service(7, spec={"note": noise})
    large["metadata"] |= {"labels": {API_LABEL: "cart", "note": noise}, "ownerReferences": [owner]}
    store = ManifestCache()
    assert store.put(large)
    assert store.get(SHOP) is None
    assert not store.put(service(6)), "an older state is no news"
    assert sum(len(entry.compressed) for entry in store._entries.values()) < LARGEST_BYTES
    (gone,) = store.replace("Service", "", [], 9)
    assert gone["metadata"]["ownerReferences"] == [owner]
    assert owner_of({**gone, "metadata": {**gone["metadata"], "ownerReferences": []}}) == "cart"
