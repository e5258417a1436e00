"""Watches of the children against an API server that says what a test wants."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from itertools import repeat
from typing import Any

import pytest

from hca_operator.core.errors import Expired, Forbidden, HcaError, Transient
from hca_operator.core.names import API_LABEL, MANAGED_BY, MANAGED_BY_LABEL, Manifest
from hca_operator.core.ports import Key
from hca_operator.desired.metadata import MANAGED_SELECTOR
from hca_operator.kube.cache import ManifestCache, ObjectRef
from hca_operator.kube.cached_client import CachedClient
from hca_operator.kube.child_informer import ChildInformer
from hca_operator.kube.object_cache import ObjectCache
from tests.unit.operator.fake_cluster import FakeCluster

SHOP = ObjectRef("Service", "default", "shop")


def service(version: int, name: str = "shop", **labels: str) -> Manifest:
    labels = {API_LABEL: name, MANAGED_BY_LABEL: MANAGED_BY, **labels}
    metadata = {"name": name, "namespace": "default", "uid": f"uid-{name}", "resourceVersion": str(version)}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {**metadata, "labels": labels}}


def unmade() -> Manifest:
    """A Service as it is applied."""
    made = service(0)
    return {**made, "metadata": {name: made["metadata"][name] for name in ("name", "namespace", "labels")}}


class Script:
    """Lists and streams one after the other; at its end, silence."""

    def __init__(self, *answers: HcaError | tuple[int, list[Manifest]] | list[tuple[str, Manifest] | HcaError]) -> None:
        self._answers = list(answers)
        self.asked: list[str] = []

    async def _next(self, asked: str) -> Any:
        self.asked.append(asked)
        if not self._answers:
            await asyncio.Event().wait()
        answer = self._answers.pop(0)
        if isinstance(answer, HcaError):
            raise answer
        return answer

    async def pages(self, kind: str, namespace: str, **selectors: str) -> AsyncIterator[tuple[list[Manifest], int]]:
        assert (kind, namespace, selectors) == ("Service", "", {"labelSelector": MANAGED_SELECTOR})
        version, listed = await self._next("list")
        half = len(listed) // 2
        yield listed[:half], version
        yield listed[half:], version

    async def watch(
        self, kind: str, namespace: str, version: int, **selectors: str
    ) -> AsyncIterator[tuple[str, Manifest]]:
        assert (kind, namespace, selectors) == ("Service", "", {"labelSelector": MANAGED_SELECTOR})
        for event in await self._next(f"watch {version}"):
            if isinstance(event, HcaError):
                raise event
            yield event


async def play(script: Script, store: ManifestCache, waits: Iterable[float] = repeat(0)) -> list[Key]:
    """Watch until the script has nothing left to say; what was reported."""
    reported: list[Key] = []
    child = ChildInformer(script, store, "Service", "", changed=reported.append)
    task = asyncio.create_task(child.run(waits))
    asked = -1
    while asked != len(script.asked):
        asked = len(script.asked)
        for _ in range(50):
            await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert child.tried.is_set()
    return reported


async def test_what_is_there_and_what_happens_then_is_known_and_reported() -> None:
    store = ManifestCache()
    happens: list[tuple[str, Manifest] | HcaError] = [
        ("MODIFIED", service(12)), ("ADDED", service(13, "cart")), ("DELETED", service(14))
    ]  # fmt: skip
    script = Script((10, [service(3)]), happens)
    assert await play(script, store) == [Key("default", name) for name in ("shop", "shop", "cart", "shop")]
    assert store.get(SHOP) is None
    assert store.get(ObjectRef("Service", "default", "cart")) == service(13, "cart")
    assert script.asked == ["list", "watch 10", "watch 14"], "the next stream goes on where this one ended"


async def test_a_broken_stream_goes_on_where_it_was_and_reports_nothing_twice() -> None:
    store = ManifestCache()
    bookmark = {"kind": "Service", "metadata": {"resourceVersion": "40"}}
    script = Script((10, [service(3)]), [("BOOKMARK", bookmark), Transient("reset")], [("MODIFIED", service(3))], [])
    assert await play(script, store) == [Key("default", "shop")]
    assert script.asked[:3] == ["list", "watch 10", "watch 40"]


async def test_what_is_too_old_begins_again_and_finds_what_is_gone() -> None:
    store = ManifestCache()
    script = Script((10, [service(3), service(4, "cart")]), Expired("410"), (20, [service(4, "cart")]))
    assert await play(script, store) == [Key("default", name) for name in ("shop", "cart", "shop")]
    assert store.get(SHOP) is None


@pytest.mark.parametrize("error", [Transient("503"), Forbidden("cannot list services")])
async def test_a_list_that_fails_is_tried_again(error: HcaError) -> None:
    store = ManifestCache()
    script = Script(error, error, (10, [service(3)]))
    assert await play(script, store) == [Key("default", "shop")]


async def test_a_list_in_between_finds_what_no_watch_reported() -> None:
    store = ManifestCache()
    store.put(service(3, "gone"))
    reported: list[Key] = []
    script = Script((10, [service(5)]))
    await ChildInformer(script, store, "Service", "", changed=reported.append).relist()
    assert reported == [Key("default", "shop"), Key("default", "gone")]


async def test_what_was_read_is_known_as_long_as_a_watch_reports_it() -> None:
    cluster, store = FakeCluster(), ManifestCache()
    cluster.put(service(0))
    cluster.put(service(0, "theirs", **{MANAGED_BY_LABEL: "helm"}))
    remembered = CachedClient(cluster, store, ObjectCache())
    for name in ("shop", "theirs", "absent"):
        await remembered.get("Service", "default", name)
    known = {name for name in ("shop", "theirs", "absent") if remembered.known("Service", "default", name)}
    assert known == {"shop"}, "a watch for our label tells nothing of theirs"
    cluster.remove(SHOP, "uid-shop")
    assert await remembered.get("Service", "default", "shop") is None
    assert remembered.known("Service", "default", "shop") is None


async def test_what_is_made_is_known_at_once_and_what_has_its_name_already_is_not() -> None:
    cluster, store = FakeCluster(), ManifestCache()
    remembered = CachedClient(cluster, store, ObjectCache())
    wanted = unmade()
    made = await remembered.apply_new(wanted)
    assert store.get(SHOP) == made
    theirs = {"kind": "Service", "metadata": {"name": "theirs", "namespace": "default", "uid": "theirs"}}
    cluster.put(theirs)
    with pytest.raises(Transient):
        await remembered.apply_new(service(0, "theirs"))
    assert store.get(ObjectRef("Service", "default", "theirs")) is None
    assert "labels" not in cluster.objects["Service", "default", "theirs"]["metadata"]


async def test_the_answer_to_a_write_is_known_at_once_and_a_failure_makes_known_things_doubtful() -> None:
    cluster, store = FakeCluster(), ManifestCache()
    remembered = CachedClient(cluster, store, ObjectCache())
    wanted = unmade()
    applied = await remembered.apply(wanted)
    assert store.get(SHOP) == applied
    cluster.fail_at, cluster.error = len(cluster.calls), Transient("conflict")
    with pytest.raises(Transient):
        await remembered.apply(wanted)
    assert store.get(SHOP) is None
    await remembered.get("Service", "default", "shop")
    await remembered.delete(applied)
    assert store.get(SHOP) is None


async def test_a_count_that_was_refused_makes_what_was_known_doubtful() -> None:
    cluster, store = FakeCluster(), ManifestCache()
    remembered = CachedClient(cluster, store, ObjectCache())
    seen = await remembered.apply({**unmade(), "kind": "Deployment", "spec": {"replicas": 1}})
    await remembered.scale(seen, 3)
    assert cluster.objects["Deployment", "default", "shop"]["spec"]["replicas"] == 3
    with pytest.raises(Transient):
        await remembered.scale(seen, 4)
    assert store.get(ObjectRef("Deployment", "default", "shop")) is None
