"""Leases and those who want them, in a time that passes by itself."""

import asyncio
from collections.abc import AsyncIterator, Callable
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
        self.accounts: dict[tuple[str, str], str] = {}
        """The service account of each pod."""
        self.rights: set[tuple[str, str]] = set()
        """Accounts that may write the status of objects, each with the namespace where; an empty one is all."""
        self.pages_read: list[int] = []
        """How many Leases each page had."""
        self.reviews = 0

    def client(self, *, cut_off: Callable[[], bool] = lambda: False) -> "Client":
        return Client(self, cut_off)

    def put(self, manifest: Manifest) -> Manifest:
        self.version += 1
        stored = deepcopy(manifest)
        stored["metadata"]["resourceVersion"] = str(self.version)
        stored["metadata"].setdefault("creationTimestamp", str(self.version).zfill(6))
        self.leases[stored["metadata"]["namespace"], stored["metadata"]["name"]] = stored
        return deepcopy(stored)

    def may(self, review: Manifest) -> bool:
        self.reviews += 1
        namespace = review["resourceAttributes"]["namespace"]
        return bool({(review["user"], ""), (review["user"], namespace)} & self.rights)

    def install(self, namespace: str, pod: str, *, namespaced: bool = False) -> None:
        """The pod of an operator, with the rights that the chart gives."""
        self.accounts[namespace, pod] = "operator"
        self.rights.add((f"system:serviceaccount:{namespace}:operator", namespace if namespaced else ""))


class Client:
    """One process's connection; while it is cut off, requests hang."""

    def __init__(self, store: Store, cut_off: Callable[[], bool] = lambda: False) -> None:
        self.store, self._cut_off = store, cut_off

    async def _travel(self) -> None:
        await asyncio.sleep(0.01)
        while self._cut_off():  # noqa: ASYNC110 - time decides
            await asyncio.sleep(0.5)

    async def get(self, _kind: str, namespace: str, name: str) -> Manifest | None:
        await self._travel()
        return deepcopy(self.store.leases.get((namespace, name)))

    async def pages(self, kind: str, namespace: str, **selectors: str) -> AsyncIterator[tuple[list[Manifest], int]]:
        """Three to a page."""
        assert kind == "Lease"
        left_out = [part.split("!=")[1] for part in selectors.get("fieldSelector", "").split(",") if part]
        wanted = [lease for (of, _), lease in self.store.leases.items() if namespace in {"", of} and of not in left_out]
        for start in range(0, max(len(wanted), 1), 3):
            await self._travel()
            page = deepcopy(wanted[start : start + 3])
            self.store.pages_read.append(len(page))
            yield page, 1

    async def list(self, kind: str, namespace: str, **selectors: str) -> list[Manifest]:
        await self._travel()
        assert kind == "Pod"
        name = selectors["fieldSelector"].removeprefix("metadata.name=")
        account = self.store.accounts.get((namespace, name))
        return [] if account is None else [{"spec": {"serviceAccountName": account}}]

    async def create(self, manifest: Manifest) -> Manifest:
        await self._travel()
        if manifest["kind"] == "SubjectAccessReview":
            return {"status": {"allowed": self.store.may(manifest["spec"])}}
        if (manifest["metadata"]["namespace"], manifest["metadata"]["name"]) in self.store.leases:
            raise Transient("exists")
        return self.store.put(manifest)

    async def replace(self, manifest: Manifest) -> Manifest:
        await self._travel()
        live = self.store.leases[manifest["metadata"]["namespace"], manifest["metadata"]["name"]]
        if live["metadata"]["resourceVersion"] != manifest["metadata"]["resourceVersion"]:
            raise Transient("changed meanwhile")
        if "holderIdentity" not in manifest["spec"]:
            self.store.releases.append(asyncio.get_running_loop().time())
        return self.store.put(manifest)


def leader(
    client: Client,
    identity: str,
    *,
    namespace: str = "one",
    name: str = "hca-operator",
    skew: float = 0,
    namespaced: bool = False,
) -> Leader:
    client.store.install(namespace, identity, namespaced=namespaced)

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
