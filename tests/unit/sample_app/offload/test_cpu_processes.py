import asyncio
import os
import signal

import psutil

from shop.offload.cpu_pool import CpuPool
from tests.unit.sample_app.conftest import Connect


async def test_the_work_is_done_in_as_many_other_processes_as_asked(connect: Connect) -> None:
    async with connect(cpu_processes=2) as client:
        answers = await asyncio.gather(*(client.get("/cpu?milliseconds=50") for _ in range(8)))
        processes = {answer.json()["process"] for answer in answers}
        health = await client.get("/health")

    assert [answer.status_code for answer in answers] == [200] * 8
    assert {answer.json()["worker"] for answer in answers} == {os.getpid()} == {health.json()["worker"]}
    assert os.getpid() not in processes
    assert len(processes) <= 2
    assert not any(psutil.pid_exists(process) for process in processes)


async def test_a_killed_process_costs_its_work_and_no_more(connect: Connect) -> None:
    async with connect(cpu_processes=1) as client:
        process = (await client.get("/cpu?milliseconds=1")).json()["process"]
        before = psutil.Process(process).cpu_times().user
        lost = asyncio.create_task(client.get("/cpu?milliseconds=1000"))
        async with asyncio.timeout(10):
            while psutil.Process(process).cpu_times().user < before + 0.1:  # noqa: ASYNC110 - it is another process
                await asyncio.sleep(0.02)
        os.kill(process, signal.SIGKILL)
        refused = await lost
        later = await client.get("/cpu?milliseconds=1")
        metrics = (await client.get("/metrics")).text

    assert refused.status_code == 503
    assert "was killed; try again" in refused.json()["detail"]
    assert later.status_code == 200
    assert later.json()["process"] != process
    assert "unexpected_errors_total 0.0" in metrics


async def test_without_work_there_are_no_processes() -> None:
    before = psutil.Process().children()
    with CpuPool(4).closed_at_end():
        assert psutil.Process().children() == before
