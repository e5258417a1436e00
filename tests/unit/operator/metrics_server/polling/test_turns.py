"""Whose turn it is when more polls are due than may run."""

import asyncio
from collections import Counter
from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from hca_operator.core.ports import Key
from hca_operator.metrics_server.polling.turns import Turns
from tests.unit.operator import virtual_time


class World:
    """Turns that are held for a second each, and the order in which they were given."""

    def __init__(self, at_a_time: int, in_a_namespace: int | None = None) -> None:
        self.turns = Turns(at_a_time, in_a_namespace)
        self.given: list[Key] = []
        self.running: Counter[str] = Counter()
        self.most = self.most_in_a_namespace = 0

    async def hold(self, api: Key) -> None:
        async with self.turns.turn(api):
            self.given.append(api)
            self.running[api.namespace] += 1
            self.most = max(self.most, self.running.total())
            self.most_in_a_namespace = max(self.most_in_a_namespace, *self.running.values())
            try:
                await asyncio.sleep(1)
            finally:
                self.running[api.namespace] -= 1


async def play(world: World, *apis: Key) -> None:
    async with asyncio.TaskGroup() as tasks:
        for api in apis:
            tasks.create_task(world.hold(api))


A, A2, B = Key("a", "one"), Key("a", "two"), Key("b", "one")


def test_turns_go_round_namespaces_and_in_them_round_objects() -> None:
    world = World(1)
    virtual_time.run(play(world, A, A, A, A2, B, B))
    assert world.given == [A, A, B, A2, B, A]


def test_a_namespace_leaves_room_for_others() -> None:
    world = World(4, 2)
    virtual_time.run(play(world, *[A] * 6, B))
    assert world.given[:3] == [A, A, B], "which has not waited"
    assert (world.most, world.most_in_a_namespace) == (3, 2)


@given(
    apis=st.lists(st.sampled_from([A, A2, B]), max_size=12),
    cancelled=st.sets(st.integers(0, 11)),
    after=st.sampled_from([0.0, 0.5, 1.0, 1.5]),
    at_a_time=st.integers(1, 3),
)
def test_a_cancelled_turn_is_not_lost(apis: list[Key], cancelled: set[int], after: float, at_a_time: int) -> None:
    world = World(at_a_time, 1)

    async def main() -> None:
        tasks = [asyncio.create_task(world.hold(api)) for api in apis]
        await asyncio.sleep(after)
        for number, task in enumerate(tasks):
            if number in cancelled:
                task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task
        began = asyncio.get_running_loop().time()
        await play(world, B, *[A] * 2)
        assert asyncio.get_running_loop().time() - began <= 3

    virtual_time.run(main())
    assert world.most <= at_a_time
