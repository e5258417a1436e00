"""One task for each item that is polled."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine, Set
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any, Generic, TypeVar

from hca_operator.core.ports import Key
from hca_operator.kube.faults import endless
from hca_operator.metrics_server.polling.turns import Turns

Item = TypeVar("Item")


class Pollers(Generic[Item]):
    """Runs `poll` for each item of each object, until the object no longer has the item."""

    def __init__(self, poll: Callable[[Key, Item], Coroutine[Any, Any, None]]) -> None:
        """`poll` polls one item until it is cancelled."""
        self._poll = poll
        self._group: asyncio.TaskGroup
        self._tasks: dict[Key, dict[Item, asyncio.Task[None]]] = {}

    def start(self, group: asyncio.TaskGroup) -> None:
        """Set the task group in which all items are polled; call it before `keep`. An earlier group must have ended."""
        self._group = group
        self._tasks.clear()

    def keep(self, api: Key, wanted: Set[Item]) -> Collection[Item]:
        """From now on poll these items of an object and no others. Returns those that are no longer polled."""
        tasks = self._tasks.pop(api, {})
        gone = tasks.keys() - wanted
        for item in gone:
            tasks.pop(item).cancel()
        for item in wanted - tasks.keys():
            # An error of one item must not end the group, which would end the process.
            tasks[item] = self._group.create_task(endless("polling", partial(self._poll, api, item)))
        if tasks:
            self._tasks[api] = tasks
        return gone

    def of(self, api: Key) -> Collection[Item]:
        """The items of an object that are polled."""
        return self._tasks.get(api, {}).keys()

    def __len__(self) -> int:
        """The number of items that are polled."""
        return sum(map(len, self._tasks.values()))


class Lanes:
    """Limits how many polls run at a time, with a separate limit for items whose last poll failed.

    So failing items, which may each take a whole time-out, delay only each other. At most half of a lane is for one
    namespace, so slow pods or queries of one namespace do not delay those of others.
    """

    def __init__(self, healthy: int, failing: int) -> None:
        self._healthy = Turns(healthy, healthy // 2)
        self._failing = Turns(failing, failing // 2)

    def turn(self, api: Key, *, failing: bool) -> AbstractAsyncContextManager[None]:
        """The turn of an item of an object."""
        return (self._failing if failing else self._healthy).turn(api)


async def poll_at_interval(
    seconds: float, poll: Callable[[], Awaitable[float]], *, clock: Callable[[], float], phase: float
) -> None:
    """Poll until cancelled. The first poll starts after the share `phase` (0 to 1) of `seconds`.

    `poll` returns the seconds from its own start to that of the next one.
    """
    await asyncio.sleep(phase * seconds)
    while True:
        began = clock()
        interval = await poll()
        await asyncio.sleep(max(0.0, began + interval - clock()))
