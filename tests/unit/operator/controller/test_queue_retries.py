"""When a key that failed is handled again, and how that is reported."""

import asyncio
import logging
from itertools import pairwise

import pytest

from hca_operator.controller.work_queue import LONGEST_BACKOFF_SECONDS, WorkQueue
from hca_operator.core.errors import Conflict, Forbidden, Transient
from tests.unit.operator.controller.queue_worker import Worker, work
from tests.unit.operator.panic import PanicException
from tests.unit.operator.virtual_time import run


def test_failures_are_retried_after_twice_the_wait_each_up_to_a_minute() -> None:
    async def fails(_worker: Worker, _key: str) -> float | None:
        raise Transient("no answer")

    times = work(fails, "a").times("a")
    waits = [round(after - before, 3) for before, after in pairwise(times)]
    assert waits[:9] == [0.5, 1, 2, 4, 8, 16, 32, 60, 60]
    assert set(waits[7:]) == {LONGEST_BACKOFF_SECONDS}


@pytest.mark.parametrize("error", [PanicException(), RuntimeError(), RecursionError()])
def test_fault_40_an_unexpected_error_ends_no_worker_and_is_retried_ever_more_slowly(
    error: BaseException,
) -> None:
    async def fails(_worker: Worker, _key: str) -> float | None:
        raise error

    times = work(fails, "a", seconds=2500, workers=1).times("a")
    waits = [round(after - before, 3) for before, after in pairwise(times)]
    assert waits == [0.5, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600]


def test_a_success_forgets_the_failures_before() -> None:
    outcomes = iter([True, True, False, True])

    async def now_and_then(worker: Worker, key: str) -> float | None:
        if next(outcomes, False):
            raise Transient("no answer")
        if len(worker.handled) == 3:
            worker.queue.add(key)
        return None

    assert work(now_and_then, "a").times("a") == [0, 0.5, 1.5, 1.5, 2.0]


def test_fault_31_the_servers_wish_for_a_wait_is_heeded() -> None:
    async def asked_to_wait(worker: Worker, _key: str) -> float | None:
        if len(worker.handled) == 1:
            raise Transient("too many requests", retry_after=30)
        return None

    assert work(asked_to_wait, "a").times("a") == [0, 30]


@pytest.mark.parametrize(
    ("error", "level"),
    [
        (Conflict("the object has been modified"), logging.INFO),
        (Transient("no answer"), logging.WARNING),
    ],
)
def test_fault_31_a_conflict_is_reported_as_the_daily_business_that_it_is(
    error: Transient, level: int, caplog: pytest.LogCaptureFixture
) -> None:
    async def fails_once(worker: Worker, _key: str) -> float | None:
        if len(worker.handled) == 1:
            raise error
        return None

    with caplog.at_level(logging.INFO, logger="hca_operator.controller.work_queue"):
        assert work(fails_once, "a").times("a") == [0, 0.5]
    assert [(record.levelno, record.message) for record in caplog.records] == [(level, f"will try again: {error}")]


def test_fault_28_what_the_operator_may_not_do_is_retried_and_reported_without_a_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def forbidden(worker: Worker, _key: str) -> float | None:
        if len(worker.handled) < 4:
            raise Forbidden('cannot get resource "deployments"')
        return None

    assert work(forbidden, "a").times("a") == [0, 0.5, 1.5, 3.5]
    assert {(record.levelno, record.exc_info) for record in caplog.records} == {(logging.WARNING, None)}


def test_fault_37_a_key_that_always_fails_holds_up_no_other_and_ends_no_worker(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def poisoned(worker: Worker, key: str) -> float | None:
        if key == "poison":
            raise ZeroDivisionError
        if len(worker.times(key)) < 50:
            worker.queue.add_after(key, 1)
        return None

    worker = work(poisoned, "poison", "a", "b", workers=1)
    assert worker.times("a") == worker.times("b") == list(range(50))
    assert 5 < len(worker.times("poison")) < 30, "it is retried, but not at the expense of others"
    assert {record.levelno for record in caplog.records} == {logging.ERROR}


def test_a_key_that_is_added_during_a_failure_is_handled_at_once() -> None:
    async def fails_once(worker: Worker, key: str) -> float | None:
        if len(worker.handled) == 1:
            worker.queue.add(key)
            raise Transient("conflict")
        return None

    assert work(fails_once, "a").times("a") == [0, 0]


def test_retries_are_spread_so_that_keys_that_failed_together_do_not_return_together() -> None:
    factors = iter([0.8, 1.2])

    async def fails_once(worker: Worker, key: str) -> float | None:
        if len(worker.times(key)) == 1:
            raise Transient("no answer")
        return None

    worker = Worker(fails_once, WorkQueue(jitter=lambda: next(factors)))

    async def main() -> None:
        worker.queue.add("a")
        worker.queue.add("b")
        task = asyncio.create_task(worker.queue.work(worker.handle))
        await asyncio.sleep(10)
        task.cancel()

    run(main())
    assert (worker.times("a"), worker.times("b")) == ([0, 0.4], [0, 0.6])
