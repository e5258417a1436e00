"""One list and one watch for all readers, each with what it needs."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from itertools import repeat
from typing import Any

from hca_operator.core.names import API_LABEL, KIND, Manifest
from hca_operator.core.ports import Key
from hca_operator.metrics_server.inventory.inventory import Inventory, api_informer, pod_informer
from hca_operator.metrics_server.inventory.shared_informer import SharedInformer
from hca_operator.metrics_server.inventory.table import Table
from hca_operator.metrics_server.inventory.targets import api_of_pod, ready_pod, stripped_pod
from tests.unit.operator.objects import manifest
from tests.unit.operator.panic import PanicException

SHOP, CART = Key("default", "shop"), Key("default", "cart")


def api(name: str, **spec: Any) -> Manifest:
    made = manifest(**spec)
    return {**made, "metadata": {**made["metadata"], "name": name, "resourceVersion": "1"}}


def pod(name: str, of: str) -> Manifest:
    metadata = {"name": name, "namespace": "default", "uid": name, "labels": {API_LABEL: of}, "resourceVersion": "1"}
    return {"metadata": metadata, "status": {"podIP": "10.0.0.7", "conditions": [{"type": "Ready", "status": "True"}]}}


class Server:
    """One list of a kind when the test allows it, events, and then silence."""

    def __init__(self, *listed: Manifest, events: Sequence[tuple[str, Manifest]] = ()) -> None:
        self._listed = listed
        self._events = events
        self.may_list = asyncio.Event()
        self.requests: list[str] = []

    async def pages(self, kind: str, namespace: str, **selectors: str) -> AsyncIterator[tuple[Sequence[Manifest], int]]:
        assert (namespace, selectors) == ("", {} if kind == KIND else {"labelSelector": API_LABEL})
        self.requests.append(f"list {kind}")
        await self.may_list.wait()
        yield self._listed, 1

    async def watch(
        self, kind: str, namespace: str, version: int, **selectors: str
    ) -> AsyncIterator[tuple[str, Manifest]]:
        assert (namespace, selectors) == ("", {} if kind == KIND else {"labelSelector": API_LABEL})
        self.requests.append(f"watch {kind} {version}")
        for event in self._events:
            yield event
        await asyncio.Event().wait()


async def settle(*informers: SharedInformer) -> list[asyncio.Task[None]]:
    """Run until nothing happens any more."""
    tasks = [asyncio.create_task(informer.run(repeat(0))) for informer in informers]
    for _ in range(20):
        await asyncio.sleep(0)
    return tasks


async def test_many_readers_cost_one_list_and_one_watch() -> None:
    server = Server(api("shop", port=1), events=[("MODIFIED", api("shop", port=2)), ("ADDED", api("cart", port=3))])
    server.may_list.set()
    informer = api_informer(server)
    ports = Table(lambda made: made["spec"]["port"], Key.of)
    names = Table(lambda made: made["metadata"]["name"], Key.of)
    changed: dict[str, list[set[Key]]] = {"ports": [], "names": []}
    informer.subscribe(ports, changed["ports"].append)
    informer.subscribe(names, changed["names"].append)
    (task,) = await settle(informer)
    task.cancel()
    assert server.requests == [f"list {KIND}", f"watch {KIND} 1"]
    assert (list(ports.of(SHOP)), list(ports.of(CART)), list(names.of(CART))) == ([2], [3], ["cart"])
    assert changed == {"ports": [{SHOP}, {SHOP}, {CART}], "names": [{SHOP}, set(), {CART}]}


async def test_an_inventory_reports_everything_once_both_lists_are_there_and_then_what_changes() -> None:
    apis, pods = Server(api("shop")), Server(pod("a", "shop"), events=[("DELETED", pod("a", "shop"))])
    informers = api_informer(apis), pod_informer(pods)
    inventory = Inventory(informers[0], lambda made: made["metadata"]["name"], informers[1])
    seen: list[tuple[set[Key], int]] = []
    inventory.follow(lambda keys: seen.append((keys, len(inventory.pods_of(SHOP)))))
    apis.may_list.set()
    tasks = await settle(*informers)
    assert seen == [], "its pods would look like new ones"
    pods.may_list.set()
    for _ in range(20):
        await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    assert seen == [({SHOP}, 1), ({SHOP}, 0)]


async def test_a_reader_that_follows_late_is_given_everything() -> None:
    apis, pods = Server(api("shop"), api("cart")), Server(pod("a", "shop"))
    informers = api_informer(apis), pod_informer(pods)
    inventory = Inventory(informers[0], lambda made: made["metadata"]["name"], informers[1])
    for server in (apis, pods):
        server.may_list.set()
    tasks = await settle(*informers)
    seen: list[set[Key]] = []
    inventory.follow(seen.append)
    for task in tasks:
        task.cancel()
    assert seen == [{SHOP, CART}]
    assert (inventory.api(CART), [found.name for found in inventory.pods_of(SHOP)]) == ("cart", ["a"])


async def test_fault_43_of_the_objects_of_a_list_only_what_is_read_waits_for_its_end() -> None:
    large = pod("a", "shop")
    large["metadata"] |= {"annotations": {"note": "x" * 2**18}, "managedFields": [{"fieldsV1": {}}]}
    large["spec"] = {"containers": [{"env": [{"name": "A", "value": "x" * 2**18}]}]}
    kept: list[Manifest] = []
    informer = pod_informer(server := Server(large))
    server.may_list.set()
    informer.subscribe(Table(lambda made: kept.append(made) or ready_pod(made), api_of_pod), lambda _apis: None)  # type: ignore[func-returns-value]
    await informer.relist()
    assert len(json.dumps(kept)) < 500
    assert ready_pod(kept[0]) == ready_pod(large)
    assert ready_pod(stripped_pod({"metadata": large["metadata"]})) is None


async def test_fault_40_an_object_that_cannot_be_read_is_kept_from_no_reader_but_this_and_hides_no_other() -> None:
    def read(found: Manifest) -> str:
        if found["metadata"]["name"] == "cart":
            raise PanicException("a parser gave up")
        return str(found["metadata"]["name"])

    server = Server(api("cart"), api("shop"), events=[("MODIFIED", api("cart")), ("MODIFIED", api("books"))])
    server.may_list.set()
    informer = SharedInformer(server, KIND)
    careless, other = Table(read, Key.of), Table(lambda found: str(found["metadata"]["name"]), Key.of)

    def changed(_keys: set[Key]) -> None:
        raise PanicException("a reader gave up")

    informer.subscribe(careless, changed)
    informer.subscribe(other, lambda _keys: None)
    (task,) = await settle(informer)
    assert not task.done()
    assert {key.name for key in careless} == {"shop", "books"}
    assert {key.name for key in other} == {"cart", "shop", "books"}
    task.cancel()
