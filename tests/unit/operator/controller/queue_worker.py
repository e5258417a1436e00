"""A worker of a queue in a time that passes by itself, which remembers when it handled what."""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field

from hca_operator.controller.work_queue import WorkQueue
from tests.unit.operator.virtual_time import run

Behaviour = Callable[["Worker", str], Coroutine[None, None, float | None]]


@dataclass
class Worker:
    """Handles keys, and remembers when it did."""

    behave: Behaviour
    queue: WorkQueue[str] = field(default_factory=lambda: WorkQueue(jitter=lambda: 1.0))
    handled: list[tuple[str, float]] = field(default_factory=list)
    busy: Counter[str] = field(default_factory=Counter)

    async def handle(self, key: str) -> float | None:
        self.handled.append((key, asyncio.get_running_loop().time()))
        self.busy[key] += 1
        assert self.busy[key] == 1, "two at a time"
        try:
            return await self.behave(self, key)
        finally:
            self.busy[key] -= 1

    def times(self, key: str) -> list[float]:
        return [round(time, 3) for handled, time in self.handled if handled == key]


def work(behave: Behaviour, *keys: str, seconds: float = 1000, workers: int = 4) -> Worker:
    """What comes of keys that are added at 0, with so many workers for so long."""
    worker = Worker(behave)

    async def main() -> None:
        for key in keys:
            worker.queue.add(key)
        tasks = [asyncio.create_task(worker.queue.work(worker.handle)) for _ in range(workers)]
        await asyncio.sleep(seconds)
        for task in tasks:
            assert not task.done(), "a worker ended"
            task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks)

    run(main())
    return worker


async def at_once(_worker: Worker, _key: str) -> float | None:
    return None


async def takes_ten_seconds(_worker: Worker, _key: str) -> float | None:
    await asyncio.sleep(10)
    return None
