import asyncio
from collections.abc import Callable
from contextlib import suppress
from copy import deepcopy
from datetime import UTC, datetime, timedelta

import pytest

from hca_operator.core.errors import Transient
from hca_operator.core.names import Manifest
from hca_operator.kube.leader_election import (
    LEASE_SECONDS,
    LONGEST_LEASE_SECONDS,
    RENEW_DEADLINE_SECONDS,
    RETRY_PERIOD_SECONDS,
    Candidate,
    Leader,
)
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


def test_one_of_three_leads() -> None:
    store = Store()

    async def scenario(election: Election) -> None:
        for name in "abc":
            election.start(name, leader(store.client(), name))
        await election.watch(120)

    election = elect(scenario)
    assert election.never_two()
    assert {names for time, names in election.seen if time > 1} == {("a",)}


@pytest.mark.parametrize("skew", [-3600, 0, 3600], ids=["slow clock", "same clock", "fast clock"])
def test_dead_leader_is_followed_within_twenty_seconds_whatever_the_clocks_say(skew: float) -> None:
    store = Store()

    async def scenario(election: Election) -> None:
        task = election.start("a", leader(store.client(), "a"))
        await election.watch(5)
        election.start("b", leader(store.client(), "b", skew=skew))
        await election.watch(30)
        task.cancel()
        await election.watch(60)

    election = elect(scenario)
    assert election.never_two()
    assert LEASE_SECONDS - RENEW_DEADLINE_SECONDS <= election.gap("a", "b") <= 20


def test_leader_that_is_cut_off_stops_before_the_next_one_starts() -> None:
    """Its requests hang for a minute; it comes back as a follower."""
    store = Store()

    def cut_off() -> bool:
        return 20 < asyncio.get_running_loop().time() < 80

    async def scenario(election: Election) -> None:
        election.start("a", leader(store.client(cut_off=cut_off), "a"))
        await election.watch(1)
        election.start("b", leader(store.client(), "b"))
        await election.watch(150)

    election = elect(scenario)
    assert election.never_two()
    stopped = max(time for time, names in election.seen if names == ("a",))
    assert stopped <= 20 + RENEW_DEADLINE_SECONDS + RETRY_PERIOD_SECONDS
    assert {names for time, names in election.seen if time > 50} == {("b",)}


def test_leader_that_is_frozen_may_not_write_when_it_wakes() -> None:
    store = Store()

    async def scenario(_election: Election) -> None:
        one = leader(store.client(), "a")
        task = asyncio.create_task(one.run(lambda: None, lambda: 1.0))
        await one.leading()
        task.cancel()  # nothing of the process runs
        await asyncio.sleep(60)
        assert one.remaining() == 0

    elect(scenario)


def test_resigning_hands_over_at_once() -> None:
    store = Store()

    async def scenario(election: Election) -> None:
        first = leader(store.client(), "a")
        election.start("a", first)
        await election.watch(1)
        election.start("b", leader(store.client(), "b"))
        await election.watch(30)
        await first.resign()
        assert first.remaining() == 0
        await election.watch(10)

    election = elect(scenario)
    assert election.never_two()
    assert len(store.releases) == 1
    assert election.gap("a", "b") <= 3


def test_second_install_holds_back_and_says_whose_turn_it_is() -> None:
    store = Store()
    second: list[Leader] = []

    async def scenario(election: Election) -> None:
        task = election.start("first", leader(store.client(), "x", namespace="one"))
        await election.watch(5)
        second.append(leader(store.client(), "x", namespace="two"))
        election.start("second", second[0])
        await election.watch(60)
        assert second[0].rival == "one"
        assert ("two", "hca-operator") not in store.leases, "nothing is written by the one that holds back"
        task.cancel()
        await election.watch(60)
        assert second[0].rival is None

    election = elect(scenario)
    assert election.never_two()
    assert election.seen[-1][1] == ("second",)


def test_fault_74_a_lease_that_lasts_for_decades_and_is_never_renewed_holds_up_nobody_for_long() -> None:
    store = Store()
    spec = {"holderIdentity": "nobody", "leaseDurationSeconds": 2**31 - 1}
    store.put({"kind": "Lease", "metadata": {"namespace": "tenant", "name": "x"}, "spec": spec})

    async def scenario(election: Election) -> None:
        election.start("own", leader(store.client(), "x"))
        await election.watch(LONGEST_LEASE_SECONDS + 5)

    assert elect(scenario).seen[-1][1] == ("own",)


def test_every_replica_sees_that_the_other_install_has_gone() -> None:
    store = Store()

    async def scenario(election: Election) -> None:
        task = election.start("first", leader(store.client(), "x", namespace="one"))
        await election.watch(5)
        replicas = [leader(store.client(), name, namespace="two") for name in "yz"]
        for replica, name in zip(replicas, "yz", strict=True):
            election.start(name, replica)
            await election.watch(1)  # so that one sees the other's Lease where both saw the first install's
        assert [replica.rival for replica in replicas] == ["one", "one"]
        task.cancel()
        await election.watch(60)
        assert [replica.rival for replica in replicas] == [None, None], "the one that stands by is ready, too"

    elect(scenario)


def test_two_installs_that_start_at_once_do_not_both_lead() -> None:
    store = Store()

    async def scenario(election: Election) -> None:
        for name in ("one", "two"):
            election.start(name, leader(store.client(), name, namespace=name))
        await election.watch(60)

    election = elect(scenario)
    assert election.never_two()
    assert {names for time, names in election.seen if time > 5} == {("one",)}


def test_a_new_leader_reads_everything_again() -> None:
    store, gained = Store(), []

    async def scenario(_election: Election) -> None:
        one = leader(store.client(), "a")
        asyncio.create_task(one.run(lambda: gained.append("a"), lambda: 1.0))  # noqa: RUF006 - ended by elect
        await asyncio.sleep(60)

    elect(scenario)
    assert gained == ["a"], "once, not at each renewal"


def test_a_namespace_with_an_install_of_its_own_is_left_to_it_and_taken_back() -> None:
    store = Store()
    looked: list[float] = []

    async def scenario(_election: Election) -> None:
        everywhere = leader(store.client(), "x", namespace="system")
        asyncio.create_task(  # noqa: RUF006 - ended by elect
            everywhere.run(lambda: looked.append(asyncio.get_running_loop().time()), lambda: 1.0)
        )
        await asyncio.sleep(30)
        assert everywhere.elsewhere == frozenset()
        own = leader(store.client(), "y", namespace="shop", namespaced=True)
        task = asyncio.create_task(own.run(lambda: None, lambda: 1.0))
        await asyncio.sleep(15)
        assert own.remaining()
        assert everywhere.remaining()
        assert own.rival is None
        assert everywhere.elsewhere == {"shop"}
        task.cancel()
        await asyncio.sleep(45)
        assert everywhere.elsewhere == frozenset()

    elect(scenario)
    assert len(looked) == 2, "when it began to lead, and when the namespace was its own again"


def test_a_second_install_for_the_same_namespace_holds_back() -> None:
    store = Store()

    async def scenario(election: Election) -> None:
        for name in ("first", "second"):
            election.start(name, leader(store.client(), name, namespace="shop", name=name, namespaced=True))
            await election.watch(5)
        await election.watch(30)
        assert election.leaders["second"].rival == "shop"

    election = elect(scenario)
    assert election.never_two()


def test_who_cannot_see_other_installs_does_not_begin_to_lead() -> None:
    store = Store()

    class Blind(Client):
        async def list(self, kind: str, namespace: str, **selectors: str) -> list[Manifest]:  # noqa: ARG002
            raise Transient("no answer")

    async def scenario(election: Election) -> None:
        election.start("blind", leader(Blind(store, lambda: False), "x"))
        await election.watch(30)

    assert {names for _, names in elect(scenario).seen} == {()}


def test_work_that_waits_goes_on_when_a_renewal_comes_late() -> None:
    """The Lease runs out by this process' own clock while a renewal is under way, which then succeeds."""
    store = Store()

    async def scenario(election: Election) -> None:
        loop = asyncio.get_running_loop()
        one = leader(store.client(cut_off=lambda: 4.5 < loop.time() < 16), "a")
        election.start("a", one)
        await asyncio.sleep(15)
        assert not one.remaining()
        async with asyncio.timeout(5):
            await one.leading()
        assert one.remaining()

    elect(scenario)
