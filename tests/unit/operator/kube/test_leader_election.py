import asyncio

import pytest

from hca_operator.kube.leader_election import RENEW_DEADLINE_SECONDS, RETRY_PERIOD_SECONDS
from hca_operator.kube.other_installs import LEASE_SECONDS
from tests.unit.operator.kube.elections import Election, Store, elect, leader


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


def test_a_new_leader_reads_everything_again() -> None:
    store, gained = Store(), []

    async def scenario(_election: Election) -> None:
        one = leader(store.client(), "a")
        asyncio.create_task(one.run(lambda: gained.append("a"), lambda: 1.0))  # noqa: RUF006 - ended by elect
        await asyncio.sleep(60)

    elect(scenario)
    assert gained == ["a"], "once, not at each renewal"


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
