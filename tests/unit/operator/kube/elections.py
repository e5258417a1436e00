"""Leases and those who want them, in a time that passes by itself."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from copy import deepcopy
from datetime import UTC, datetime, timedelta

from hca_operator.core.errors import Transient
from hca_operator.core.names import Manifest
from hca_operator.kube.leader_election import Candidate, Leader
from tests.unit.operator.virtual_time import run

START = datetime(2026, 1, 1, tzinfo=UTC)


class Store:
    """Leases as an API server keeps them: a replace with an old version is refused."""

    def __init__(self) -> None:
        self.leases: dict[tuple[str, str], Manifest] = {}
        self.version = 0
        self.releases: list[float] = []

    def client(self, *, cut_off: Callable[[], bool] = lambda: False) -> "Client":
        return Client(self, cut_off)

    def put(self, manifest: Manifest) -> Manifest:
        self.version += 1
        stored = deepcopy(manifest)
        stored["metadata"]["resourceVersion"] = str(self.version)
        stored["metadata"].setdefault("creationTimestamp", str(self.version).zfill(6))
        self.leases[stored["metadata"]["namespace"], stored["metadata"]["name"]] = stored
        return deepcopy(stored)


class Client:
    """One process's connection; while it is cut off, requests hang."""

    def __init__(self, store: Store, cut_off: Callable[[], bool]) -> None:
        self._store, self._cut_off = store, cut_off

    async def _travel(self) -> None:
        await asyncio.sleep(0.01)
        while self._cut_off():  # noqa: ASYNC110 - time decides
            await asyncio.sleep(0.5)

    async def get(self, _kind: str, namespace: str, name: str) -> Manifest | None:
        await self._travel()
        return deepcopy(self._store.leases.get((namespace, name)))

    async def list(self, kind: str, namespace: str, **selectors: str) -> list[Manifest]:  # noqa: ARG002
        await self._travel()
        return deepcopy([lease for (of, _), lease in self._store.leases.items() if namespace in {"", of}])

    async def create(self, manifest: Manifest) -> Manifest:
        await self._travel()
        if (manifest["metadata"]["namespace"], manifest["metadata"]["name"]) in self._store.leases:
            raise Transient("exists")
        return self._store.put(manifest)

    async def replace(self, manifest: Manifest) -> Manifest:
        await self._travel()
        live = self._store.leases[manifest["metadata"]["namespace"], manifest["metadata"]["name"]]
        if live["metadata"]["resourceVersion"] != manifest["metadata"]["resourceVersion"]:
            raise Transient("changed meanwhile")
        if "holderIdentity" not in manifest["spec"]:
            self._store.releases.append(asyncio.get_running_loop().time())
        return self._store.put(manifest)


def leader(
    client: Client,
    identity: str,
    *,
    namespace: str = "one",
    name: str = "hca-operator",
    skew: float = 0,
    namespaced: bool = False,
) -> Leader:
    def now() -> datetime:
        return START + timedelta(seconds=asyncio.get_running_loop().time() + skew)

    return Leader(client, Candidate(namespace, name, identity, namespaced), now=now)


class Election:
    """Who may write, looked at ten times a second."""

    def __init__(self) -> None:
        self.seen: list[tuple[float, tuple[str, ...]]] = []
        self.leaders: dict[str, Leader] = {}

    def start(self, name: str, one: Leader) -> asyncio.Task[None]:
        self.leaders[name] = one
        return asyncio.create_task(one.run(lambda: None, lambda: 1.0))

    async def watch(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while loop.time() < end:
            self.seen.append((loop.time(), tuple(name for name, one in self.leaders.items() if one.remaining())))
            await asyncio.sleep(0.1)

    def never_two(self) -> bool:
        return all(len(names) <= 1 for _, names in self.seen)

    def gap(self, first: str, then: str) -> float:
        """Seconds from the last moment of one leader to the first of the next."""
        last = max(time for time, names in self.seen if names == (first,))
        return min(time for time, names in self.seen if names == (then,)) - last


def elect(scenario: Callable[[Election], "asyncio.Future[None] | object"]) -> Election:
    election = Election()

    async def main() -> None:
        await scenario(election)  # type: ignore[misc]
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks, return_exceptions=True)

    run(main())
    return election
