"""What one item raises ends neither the polls of the others nor the group."""

import asyncio

from hca_operator.core.ports import Key
from hca_operator.metrics_server.polling.pollers import Pollers
from tests.unit.operator.panic import PanicException
from tests.unit.operator.virtual_time import run

SHOP = Key("default", "shop")


def test_fault_40_an_item_that_raises_whatever_it_may_is_polled_again_and_ends_no_other() -> None:
    polled: list[str] = []

    async def poll(_api: Key, item: str) -> None:
        while True:
            polled.append(item)
            await asyncio.sleep(2)
            if item == "bad":
                raise PanicException("a parser gave up")

    async def main() -> None:
        pollers = Pollers(poll)
        async with asyncio.TaskGroup() as group:
            pollers.start(group)
            pollers.keep(SHOP, {"bad", "good"})
            await asyncio.sleep(15)
            pollers.keep(SHOP, set())

    run(main())
    assert (polled.count("good"), polled.count("bad")) == (8, 3)


def test_a_new_group_polls_all_items_again() -> None:
    polled: list[str] = []

    async def poll(_api: Key, item: str) -> None:
        polled.append(item)
        await asyncio.Event().wait()

    async def main() -> None:
        pollers = Pollers(poll)
        for _ in range(2):
            async with asyncio.TaskGroup() as group:
                pollers.start(group)
                pollers.keep(SHOP, {"a"})
                await asyncio.sleep(1)
                pollers._tasks[SHOP]["a"].cancel()  # as the group does at its end

    run(main())
    assert polled == ["a", "a"]
