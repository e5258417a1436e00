"""Which of several installs may write, and which objects."""

import asyncio
from collections.abc import AsyncIterator

from hca_operator.core.errors import Transient
from hca_operator.core.names import Manifest
from hca_operator.kube.leader_election import Leader
from hca_operator.kube.other_installs import LONGEST_LEASE_SECONDS
from tests.unit.operator.kube.elections import Client, Election, Store, elect, leader


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


def test_fault_74_a_lease_that_lasts_for_decades_and_is_never_renewed_holds_up_no_install_for_long() -> None:
    store = Store()
    spec = {"holderIdentity": "gone", "leaseDurationSeconds": 2**31 - 1}
    store.put({"kind": "Lease", "metadata": {"namespace": "old", "name": "x"}, "spec": spec})
    store.install("old", "gone")

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
        async def pages(self, kind: str, namespace: str, **selectors: str) -> AsyncIterator[tuple[list[Manifest], int]]:  # noqa: ARG002
            raise Transient("no answer")
            yield

    async def scenario(election: Election) -> None:
        election.start("blind", leader(Blind(store), "x"))
        await election.watch(30)

    assert {names for _, names in elect(scenario).seen} == {()}
