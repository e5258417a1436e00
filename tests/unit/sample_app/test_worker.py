import asyncio
import contextlib
import ctypes
import gc
import os
import signal
import time

import httpx
import psutil

from shop.observation.metrics import Metrics
from shop.overload.vitals import Vitals
from shop.workers.heartbeats import Heartbeats
from shop.workers.watchdog import Watchdog
from tests.unit.sample_app.conftest import Connect


async def test_health_shows_the_worker_and_its_memory(client: httpx.AsyncClient) -> None:
    health = (await client.get("/health")).json()

    assert health["status"] == "ok"
    assert health["worker"] == os.getpid()
    assert 0.5 < health["rss_bytes"] / psutil.Process().memory_info().rss < 2
    assert health["uptime_seconds"] >= 0


async def test_health_says_so_after_sigterm_and_the_loop_still_hears_it(connect: Connect) -> None:
    loop = asyncio.get_running_loop()
    heard = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, heard.set)  # as the server does
    try:
        async with connect() as client:
            before = await client.get("/health")
            os.kill(os.getpid(), signal.SIGTERM)
            async with asyncio.timeout(5):
                await heard.wait()
            after = await client.get("/health")
            late = await client.get("/products")
    finally:
        loop.remove_signal_handler(signal.SIGTERM)

    assert (before.status_code, before.json()["status"]) == (200, "ok")
    assert (after.status_code, after.json()["status"]) == (503, "draining")
    assert "connection" not in before.headers
    assert (late.status_code, late.headers["connection"]) == (200, "close")


async def test_a_blocked_loop_is_seen_after_it_is_free_again() -> None:
    metrics = Metrics(None)
    vitals = Vitals(metrics, Heartbeats(None), Watchdog(60))
    watch = asyncio.create_task(vitals.watch())
    await asyncio.sleep(0)
    time.sleep(0.6)  # noqa: ASYNC251 - what a coroutine must not do

    async with asyncio.timeout(5):
        while vitals.loop_lag == 0:  # noqa: ASYNC110 - the app has no event for a test to wait for
            await asyncio.sleep(0.01)
    watch.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await watch
    assert 0.3 < vitals.loop_lag < 5
    assert vitals.standing_lag == 0, "one bad moment is no queue"
    assert f'event_loop_lag_seconds{{worker="{os.getpid()}"}} {vitals.loop_lag}'.encode() in metrics.exposition()


async def test_the_loop_answers_while_the_cpu_is_used(client: httpx.AsyncClient) -> None:
    cpu = asyncio.ensure_future(client.get("/cpu?milliseconds=1000"))
    await asyncio.sleep(0)
    answers = 0
    while not cpu.done():
        assert (await client.get("/health")).status_code == 200
        answers += 1
        await asyncio.sleep(0)

    assert (await cpu).json()["worker"] == os.getpid()
    # One or two if it ran on the loop; the GIL changes hands every 5 ms.
    assert answers >= 10


async def test_cpu_time_is_used_and_not_only_time(client: httpx.AsyncClient) -> None:
    before = time.process_time()
    await client.get("/cpu?milliseconds=200")

    assert time.process_time() - before >= 0.2


async def test_a_leak_stays(connect: Connect) -> None:
    async with connect(leak_enabled=True) as client:
        # What earlier tests of this process have freed is given back now, and not in the middle of this one.
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)
        before = psutil.Process().memory_info().rss
        await client.post("/leak?mebibytes=20")
        response = await client.get("/leak?mebibytes=20")

    assert response.json()["held_mebibytes"] == 40
    assert response.json()["rss_bytes"] - before > 35 * 1024 * 1024
