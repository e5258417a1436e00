"""What is known of ConfigMaps: of those that are used, by their content, whatever the watch delivers and when."""

import asyncio
from collections.abc import AsyncIterator, Callable
from itertools import repeat
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hca_operator.core.errors import Forbidden
from hca_operator.core.names import Manifest
from hca_operator.core.ports import Key
from hca_operator.kube.config_digests import READ_AT_A_TIME, ConfigInformer, data_digest

SHOP, CART = Key("default", "shop"), Key("default", "cart")


class Server:
    """ConfigMaps, a list and a watch of their metadata, and what was asked for."""

    def __init__(self) -> None:
        self.objects: dict[Key, Manifest] = {}
        self.asked: list[str] = []
        self.events: asyncio.Queue[tuple[str, Manifest]] = asyncio.Queue()
        self.version = 10
        self.while_read: Callable[[], None] = lambda: None

    def put(self, name: str, /, namespace: str = "default", **content: Any) -> None:
        kind = "MODIFIED" if Key(namespace, name) in self.objects else "ADDED"
        self.version += 1
        metadata = {"namespace": namespace, "name": name, "resourceVersion": str(self.version)}
        self.objects[Key(namespace, name)] = {"metadata": metadata, **content}
        self.events.put_nowait((kind, {"metadata": metadata}))

    def remove(self, name: str) -> None:
        metadata = self.objects.pop(Key("default", name))["metadata"]
        self.version += 1
        self.events.put_nowait(("DELETED", {"metadata": metadata | {"resourceVersion": str(self.version)}}))

    async def get(self, kind: str, namespace: str, name: str) -> Manifest | None:
        self.asked.append(f"get {kind} {namespace}/{name}")
        found = self.objects.get(Key(namespace, name))
        self.while_read()
        return found

    async def pages(self, kind: str, namespace: str, **_selectors: str) -> AsyncIterator[tuple[list[Manifest], int]]:
        self.asked.append(f"list {kind} {namespace}")
        self.events = asyncio.Queue()
        yield [{"metadata": found["metadata"]} for found in self.objects.values()], self.version

    async def watch(
        self, kind: str, namespace: str, version: int, **_selectors: str
    ) -> AsyncIterator[tuple[str, Manifest]]:
        self.asked.append(f"watch {kind} {namespace} {version}")
        while True:
            yield await self.events.get()


class Following:
    """A watch that runs, and the objects that it said are to be looked at again."""

    def __init__(self, server: Server) -> None:
        self.reported: list[Key] = []
        self.watch = ConfigInformer(server, "ConfigMap", "", changed=self.reported.append)
        self._task = asyncio.create_task(self.watch.run(repeat(0)))

    async def digests(self, *names: str, of: Key = SHOP, fresh: bool = False) -> list[str | None]:
        found = await self.watch.digests(of, names, fresh=fresh)
        assert list(found) == list(names) or set(found) == set(names)
        return [found[name] for name in names]

    async def settle(self) -> list[Key]:
        """What was reported until nothing happens any more."""
        for _ in range(50):
            await asyncio.sleep(0)
        reported, self.reported[:] = list(self.reported), []
        return reported


@pytest.fixture
async def server() -> Server:
    server = Server()
    server.put("settings", data={"LEVEL": "info"})
    return server


@pytest.fixture
async def following(server: Server) -> AsyncIterator[Following]:
    following = Following(server)
    yield following
    following._task.cancel()
    await asyncio.gather(following._task, return_exceptions=True)


async def test_without_a_use_nothing_is_asked_for(server: Server, following: Following) -> None:
    await following.settle()
    await following.watch.relist()
    assert await following.digests() == []
    assert server.asked == []


async def test_what_is_used_is_read_once_and_again_when_it_changes(server: Server, following: Following) -> None:
    (before,) = await following.digests("settings")
    assert await following.settle() == [], "the list tells what is known already"
    assert await following.digests("settings") == [before]
    assert server.asked.count("get ConfigMap default/settings") == 1
    server.put("settings", data={"LEVEL": "debug"})
    assert await following.settle() == [SHOP]
    (after,) = await following.digests("settings")
    assert after != before
    server.put("settings", data={"LEVEL": "info"})
    await following.settle()
    assert await following.digests("settings") == [before], "the same content is the same, whatever its version"


async def test_others_cost_no_request(server: Server, following: Following) -> None:
    await following.digests("settings")
    await following.settle()
    server.asked.clear()
    server.put("other", data={"a": "b"})
    server.put("settings", namespace="elsewhere", data={"a": "b"})
    assert await following.settle() == []
    await following.digests("settings")
    assert server.asked == []


@pytest.mark.parametrize(
    ("content", "same"),
    [
        ({"data": {"LEVEL": "info"}, "immutable": True}, True),
        ({"data": {"LEVEL": "info"}, "binaryData": {}}, True),
        ({"data": {"LEVEL": "info"}, "binaryData": {"LEVEL2": "aW5mbw=="}}, False),
        ({"binaryData": {"LEVEL": "info"}}, False),
        ({"data": {"LEVEL": "info", "NEW": ""}}, False),
        ({}, False),
    ],
    ids=str,
)
async def test_the_data_alone_counts(content: dict[str, Any], same: bool, server: Server, following: Following) -> None:
    (before,) = await following.digests("settings")
    await following.settle()
    server.put("settings", **content)
    await following.settle()
    assert (await following.digests("settings") == [before]) == same


async def test_one_that_comes_and_goes_is_known_to(server: Server, following: Following) -> None:
    assert await following.digests("late") == [None]
    await following.settle()
    server.put("late", data={"a": "b"})
    assert await following.settle() == [SHOP]
    (there,) = await following.digests("late")
    assert there is not None
    server.remove("late")
    assert await following.settle() == [SHOP]
    assert await following.digests("late") == [None]
    assert await following.digests("late") == [None]
    assert server.asked.count("get ConfigMap default/late") == 3


async def test_a_change_while_it_is_read_is_not_missed(server: Server, following: Following) -> None:
    await following.digests("settings")
    await following.settle()

    def change_once() -> None:
        server.while_read = lambda: None
        server.put("settings", data={"LEVEL": "debug"})

    server.while_read = change_once
    (answer,) = await following.digests("settings", fresh=True)
    reported = await following.settle()
    now = data_digest(server.objects[Key("default", "settings")])
    assert answer == now or reported == [SHOP]
    assert await following.digests("settings") == [now]


async def test_what_is_ahead_of_the_watch_is_not_read_again(server: Server, following: Following) -> None:
    await following.digests("settings")
    await following.settle()
    server.put("settings", data={"LEVEL": "debug"})
    (fresh,) = await following.digests("settings", fresh=True)
    asked = len(server.asked)
    await following.settle()
    assert await following.digests("settings") == [fresh]
    assert len(server.asked) == asked


async def test_what_no_watch_reported_is_found_by_the_next_list(server: Server, following: Following) -> None:
    server.put("gone", data={"a": "b"})
    (before, _) = await following.digests("settings", "gone")
    await following.settle()
    server.put("settings", data={"LEVEL": "debug"})
    server.remove("gone")
    server.events = asyncio.Queue()  # and no watch reports it
    await following.watch.relist()
    assert set(await following.settle()) == {SHOP}
    now, gone = await following.digests("settings", "gone")
    assert now != before
    assert gone is None
    asked = len(server.asked)
    await following.watch.relist()
    assert await following.settle() == []
    await following.digests("settings", "gone")
    assert len(server.asked) == asked + 1, "the list alone"


async def test_every_object_that_uses_it_is_notified_until_it_no_longer_does(
    server: Server, following: Following
) -> None:
    await following.digests("settings")
    await following.digests("settings", of=CART)
    await following.settle()
    server.put("settings", data={"LEVEL": "debug"})
    assert sorted(await following.settle()) == [CART, SHOP]
    following.watch.forget(CART)
    server.put("settings", data={"LEVEL": "error"})
    assert await following.settle() == [SHOP]
    await following.digests("another")
    server.put("settings", data={"LEVEL": "info"})
    assert await following.settle() == []
    assert following.watch._contents.keys() == {Key("default", "another")}, "what no object uses is forgotten"


STEPS = ("change", "change back", "remove", "tell", "tell late", "lose", "list", "read", "read anew")


@settings(max_examples=300, deadline=None)
@given(steps=st.lists(st.sampled_from(STEPS), max_size=30))
def test_what_is_reported_late_or_never_is_found_and_reported_by_the_next_list(steps: list[str]) -> None:
    asyncio.run(_play([*steps, "tell", "list"]))


async def _play(steps: list[str]) -> None:  # noqa: C901 - one case for each step
    """Changes, and a watch that lags, loses what it has to tell, or tells it again."""
    server, reported = Server(), list[Key]()
    watch = ConfigInformer(server, "ConfigMap", "", changed=reported.append)
    history: list[tuple[str, Manifest]] = []
    slot, read = Key("default", "settings"), None
    for step in ["read", *steps]:
        while not server.events.empty():
            history.append(server.events.get_nowait())
        match step:
            case "change" | "change back":
                server.put("settings", data={"LEVEL": step})
            case "remove" if slot in server.objects:
                server.remove("settings")
            case "tell":
                for event in history:
                    watch._on_event(*event)
            case "tell late" if history:
                watch._on_event(*history[0])
            case "lose":
                history.clear()
            case "list":
                await watch.relist()
            case "read" | "read anew":
                reported.clear()
                read = (await watch.digests(SHOP, ["settings"], fresh=step == "read anew"))["settings"]
    truth = data_digest(server.objects[slot]) if slot in server.objects else None
    assert read == truth or SHOP in reported
    assert await watch.digests(SHOP, ["settings"], fresh=False) == {"settings": truth}


async def test_a_right_that_is_missing_is_reported(server: Server, following: Following) -> None:
    def forbid() -> None:
        raise Forbidden('cannot get resource "configmaps"')

    server.while_read = forbid
    with pytest.raises(Forbidden):
        await following.digests("settings")


async def test_fault_69_few_are_read_at_a_time_however_many_objects_use_however_many() -> None:
    reading = most = 0

    class Slow(Server):
        async def get(self, kind: str, namespace: str, name: str) -> Manifest | None:
            nonlocal reading, most
            reading += 1
            most = max(most, reading)
            await asyncio.sleep(0)
            reading -= 1
            return await super().get(kind, namespace, name)

    informer = ConfigInformer(Slow(), "ConfigMap", "", changed=lambda _key: None)
    names = [f"config-{number}" for number in range(100)]
    found = await asyncio.gather(*(informer.digests(key, names, fresh=True) for key in (SHOP, CART)))
    assert [len(digests) for digests in found] == [100, 100]
    assert most == READ_AT_A_TIME
