import asyncio
from contextlib import suppress

import pytest

from hca_operator.controller.work_queue import COALESCE_SECONDS, WorkQueue
from hca_operator.core.errors import Transient
from tests.unit.operator.controller.queue_worker import Worker, at_once, takes_ten_seconds, work
from tests.unit.operator.virtual_time import run


def test_a_key_that_is_added_often_before_its_turn_is_handled_once() -> None:
    worker = work(at_once, "a", "b", "a", "a", "b")
    assert [key for key, _ in worker.handled] == ["a", "b"]


def test_keys_are_handled_side_by_side_as_far_as_there_are_workers() -> None:
    worker = work(takes_ten_seconds, "a", "b", "c", workers=2)
    assert worker.handled == [("a", 0), ("b", 0), ("c", 10)]


def test_a_key_that_is_added_while_it_is_handled_is_handled_once_more_and_never_twice_at_a_time() -> None:
    async def added_meanwhile(worker: Worker, key: str) -> float | None:
        if len(worker.handled) == 1:
            for _ in range(3):
                worker.queue.add(key)
        return await takes_ten_seconds(worker, key)

    assert work(added_meanwhile, "a").times("a") == [0, 10]


def test_a_key_is_looked_at_again_when_its_handler_wishes() -> None:
    async def again_in_seven(worker: Worker, _key: str) -> float | None:
        return 7 if len(worker.handled) < 3 else None

    assert work(again_in_seven, "a").times("a") == [0, 7, 14]


def test_a_wait_of_hours_survives_events_and_failures_on_the_way() -> None:
    hour = 3600.0

    async def due_after_six_hours(worker: Worker, key: str) -> float | None:
        now = asyncio.get_running_loop().time()
        if not worker.times(key)[1:]:
            asyncio.get_running_loop().call_later(hour, worker.queue.add, key)
        if now == hour:
            raise Transient("no answer")
        return 6 * hour - now if now < 6 * hour else None

    worker = work(due_after_six_hours, "a", seconds=24 * hour)
    assert worker.times("a") == [0, hour, hour + 0.5, 6 * hour]


def test_an_event_comes_before_a_later_look_and_replaces_it() -> None:
    async def again_in_a_hundred(worker: Worker, key: str) -> float | None:
        if len(worker.handled) == 1:
            asyncio.get_running_loop().call_later(3, worker.queue.add, key)
            return 100
        return None

    assert work(again_in_a_hundred, "a").times("a") == [0, 3]


def test_what_happens_within_a_moment_is_handled_together_and_not_put_off_by_what_follows() -> None:
    async def events(worker: Worker, key: str) -> float | None:
        if len(worker.handled) == 1:
            for tenths in range(1, 8):
                asyncio.get_running_loop().call_later(tenths / 10, worker.queue.add_coalesced, key)
        return None

    assert work(events, "a").times("a") == [0, 0.1 + COALESCE_SECONDS, 0.7 + COALESCE_SECONDS]


def test_what_happens_while_a_key_is_handled_comes_before_the_look_that_its_handler_wishes() -> None:
    async def happens_meanwhile(worker: Worker, key: str) -> float | None:
        if len(worker.handled) > 1:
            return None
        worker.queue.add_coalesced(key)
        return 100

    assert work(happens_meanwhile, "a").times("a") == [0, COALESCE_SECONDS]


def test_what_happens_to_a_key_that_waits_for_its_turn_is_seen_then() -> None:
    async def happens_before(worker: Worker, key: str) -> float | None:
        if key == "a":
            worker.queue.add_coalesced("b")
        return None

    assert work(happens_before, "a", "b", workers=1).handled == [("a", 0), ("b", 0)]


def test_a_time_that_the_handler_names_is_kept_to() -> None:
    async def again_in_an_hour(worker: Worker, key: str) -> float | None:
        return 3600 if len(worker.times(key)) == 1 else None

    worker = Worker(again_in_an_hour, WorkQueue(jitter=lambda: 1.2))

    async def main() -> None:
        worker.queue.add("a")
        task = asyncio.create_task(worker.queue.work(worker.handle))
        await asyncio.sleep(5000)
        task.cancel()

    run(main())
    assert worker.times("a") == [0, 3600]


def test_the_depth_is_what_waits_and_not_what_is_handled() -> None:
    depths = []

    async def look(worker: Worker, _key: str) -> float | None:
        depths.append(worker.queue.depth())
        return None

    work(look, "a", "b", "c", workers=1)
    assert depths == [2, 1, 0]


def test_a_thousand_keys_added_at_random_times_are_each_handled_after_their_last_addition() -> None:
    last_added: dict[str, float] = {}

    async def main() -> Worker:
        worker = Worker(takes_ten_seconds)
        loop = asyncio.get_running_loop()

        def add(key: str) -> None:
            last_added[key] = loop.time()
            worker.queue.add(key)

        for number in range(3000):
            loop.call_later((number * 7919) % 500, add, f"key {number * 31 % 1000}")
        tasks = [asyncio.create_task(worker.queue.work(worker.handle)) for _ in range(50)]
        await asyncio.sleep(2000)
        for task in tasks:
            task.cancel()
        return worker

    worker = run(main())
    last_handled = dict(worker.handled)
    assert len(last_added) == 1000
    assert all(last_handled[key] >= added for key, added in last_added.items())
    assert worker.queue.depth() == 0


def test_what_is_urgent_comes_before_what_waits_already_and_is_handled_once() -> None:
    worker = Worker(at_once)

    async def main() -> None:
        for key in "abc":
            worker.queue.add(key)
        worker.queue.add("c", urgent=True)
        worker.queue.add("d", urgent=True)
        task = asyncio.create_task(worker.queue.work(worker.handle))
        await asyncio.sleep(1)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    run(main())
    assert [key for key, _ in worker.handled] == ["c", "d", "a", "b"]
    assert worker.queue.depth() == 0


def test_workers_that_wait_for_their_turn_take_what_is_urgent_by_then() -> None:
    worker = Worker(at_once)

    async def main() -> None:
        for key in "abc":
            worker.queue.add(key)
        turn = asyncio.Event()

        async def on_turn() -> None:
            await turn.wait()

        tasks = [asyncio.create_task(worker.queue.work(worker.handle, may_start=on_turn)) for _ in range(2)]
        await asyncio.sleep(1)
        assert not worker.handled
        worker.queue.add("d", urgent=True)
        turn.set()
        await asyncio.sleep(1)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    run(main())
    assert [key for key, _ in worker.handled] == ["d", "a", "b", "c"]


def test_a_key_that_changes_all_the_time_holds_up_none_that_waits() -> None:
    async def busy(worker: Worker, key: str) -> float | None:
        if key == "busy":
            worker.queue.add("busy")
        await asyncio.sleep(1)
        return None

    worker = work(busy, "busy", "a", "b", seconds=4.5, workers=1)
    assert [key for key, _ in worker.handled][:4] == ["busy", "a", "b", "busy"]


@pytest.mark.parametrize("urgent", [True, False])
def test_fault_65_a_tenant_with_a_thousand_keys_holds_up_no_other(urgent: bool) -> None:
    async def takes_a_second(_worker: Worker, _key: str) -> float | None:
        await asyncio.sleep(1)
        return None

    queue: WorkQueue[str] = WorkQueue(jitter=lambda: 1.0, tenant_of=lambda key: key[0])
    worker = Worker(takes_a_second, queue)

    async def main() -> None:
        for number in range(1000):
            queue.add(f"m{number}", urgent=urgent)
        task = asyncio.create_task(queue.work(worker.handle))
        for key in ("a1", "a2", "b1"):
            await asyncio.sleep(100.5)
            queue.add(key, urgent=urgent)
        queue.add("a3", urgent=urgent)
        await asyncio.sleep(1000)
        task.cancel()

    run(main())
    waits = {
        key: worker.times(key)[0] - added for key, added in (("a1", 100.5), ("a2", 201), ("b1", 301.5), ("a3", 301.5))
    }
    assert max(waits.values()) <= 3.5, waits
    assert len(worker.handled) == 1004
    assert not queue._turns, "nothing is remembered of who waits no more"


def test_fault_65_a_tenant_whose_keys_take_long_has_not_all_workers() -> None:
    async def takes_long_for_one(_worker: Worker, key: str) -> float | None:
        await asyncio.sleep(60 if key.startswith("m") else 1)
        return None

    queue: WorkQueue[str] = WorkQueue(jitter=lambda: 1.0, tenant_of=lambda key: key[0], most_of_a_tenant=3)
    worker = Worker(takes_long_for_one, queue)

    async def main() -> None:
        for number in range(12):
            queue.add(f"m{number}")
        tasks = [asyncio.create_task(queue.work(worker.handle)) for _ in range(4)]
        for key in ("a1", "b1"):
            await asyncio.sleep(10)
            queue.add(key)
        queue.add("m11", urgent=True)  # in the queue twice from now on
        await asyncio.sleep(1000)
        for task in tasks:
            task.cancel()

    run(main())
    assert worker.times("a1") == [10.0]
    assert worker.times("b1") == [20.0]
    assert [worker.times(f"m{number}") for number in (0, 1, 2, 11, 3, 4, 10)] == [
        *([[0.0]] * 3), *([[60.0]] * 3), [180.0],
    ]  # fmt: skip
    assert not queue._turns
    assert not queue._processing
    assert not queue._held_back
