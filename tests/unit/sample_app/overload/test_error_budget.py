import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from shop.observation.metrics import Metrics
from shop.overload.error_budget import ErrorBudget, Recycling
from shop.workers.heartbeats import Heartbeats
from shop.workers.slots import WorkerSlot
from tests.unit.sample_app.conftest import Connect

HOLD = "import fcntl, sys; file = open(sys.argv[1], 'ab'); fcntl.lockf(file, fcntl.LOCK_EX); print(1); input()"


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(("seconds_between", "spent"), [(0.0, True), (6.6, True), (6.7, False), (60.0, False)])
def test_it_is_spent_by_ten_errors_within_a_minute(seconds_between: float, spent: bool) -> None:
    clock = Clock()
    budget = ErrorBudget(10, Metrics(None), timer=clock)
    for number in range(100):
        clock.now = number * seconds_between
        assert not budget.spent.is_set() or number >= 10
        budget.note()

    assert budget.spent.is_set() is spent


async def test_a_worker_with_too_many_errors_is_unready_and_asks_to_end(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shop.overload.error_budget._MIN_UPTIME_SECONDS", 0)
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)  # as the server does
    try:
        async with connect(rehearsal_enabled=True, error_budget=3) as client:
            for _ in range(2):
                await client.post("/fail")
            await client.get("/products?limit=0")  # an error of the client, which costs nothing
            before = await client.get("/health")
            assert not ended.is_set()
            await client.post("/fail")
            async with asyncio.timeout(5):
                await ended.wait()
            after, metrics = await client.get("/health"), (await client.get("/metrics")).text
    finally:
        asyncio.get_running_loop().remove_signal_handler(signal.SIGTERM)

    assert before.status_code == 200
    assert (after.status_code, after.json()["status"]) == (503, "recycling")
    assert "unexpected_errors_total 3.0" in metrics
    assert "workers_recycled_total 1.0" in metrics


async def test_it_waits_for_its_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not within the first minute, not while another is being replaced, not while one is missing."""
    monkeypatch.setattr("shop.overload.error_budget._CHECK_SECONDS", 0)
    killed: list[int] = []
    monkeypatch.setattr(os, "kill", lambda _process, number: killed.append(number))
    slot, clock, budget = WorkerSlot(tmp_path), Clock(), ErrorBudget(1, Metrics(None))
    heartbeats = Heartbeats(slot)
    beats = {1: 0.0}
    monkeypatch.setattr(heartbeats, "ages", lambda: beats)
    recycling = Recycling(budget, Metrics(None), heartbeats, slot, workers=2, uptime=clock)
    budget.note()

    async def settled() -> None:
        for _ in range(10):
            await asyncio.sleep(0)
        assert recycling.begun is bool(killed)

    other = subprocess.Popen(  # noqa: ASYNC220 - nothing else runs on this loop
        [sys.executable, "-c", HOLD, str(tmp_path / "recycling.turn")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert other.stdout is not None
    other.stdout.readline()
    task = asyncio.create_task(recycling.when_spent())
    await settled()
    clock.now = 60.0
    await settled()
    beats[2] = 0.0
    await settled()
    assert killed == []
    del beats[2]
    other.communicate(b"\n")
    await settled()
    assert killed == []
    beats[2] = 0.0
    await settled()
    await task

    assert killed == [signal.SIGTERM]
    for lock in (slot._lock, recycling._lock):  # what a process does by ending
        assert lock is not None
        lock.close()
