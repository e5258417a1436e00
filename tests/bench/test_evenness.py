"""How evenly connections are spread over the workers of a pod, by the kernel or by the server."""

import asyncio
import sys
from collections import Counter
from pathlib import Path

import aiohttp
import pytest

from dev.control_plane import free_ports
from tests.bench.record import record
from tests.bench.servers import HERE, ROOT, answering

WORKERS = 4
SHORT = 2000
KEPT = 64
PYTHON = [sys.executable, "-m"]


def commands(port: int) -> dict[str, tuple[list[str], str]]:
    """For each server how it is started and who spreads the connections."""
    at = ["--host", "127.0.0.1", "--port", str(port), "--workers", str(WORKERS)]
    bound = ["--bind", f"127.0.0.1:{port}", "--workers", str(WORKERS), "--worker-class", "uvicorn_worker.UvicornWorker"]
    node = ["node", str(ROOT / "workers" / "node" / "primary.js"), str(HERE / "whoami.js")]
    return {
        "Granian": ([*PYTHON, "granian", "--interface", "asginl", *at, "whoami:app"], "SO_REUSEPORT, a socket each"),
        "Uvicorn": ([*PYTHON, "uvicorn", "--no-access-log", *at, "whoami:app"], "one socket, any worker that is awake"),
        "Gunicorn": ([*PYTHON, "gunicorn", *bound, "whoami:app"], "one socket, any worker that is awake"),
        "hca-node": (node, "the primary, in turn"),
    }


async def spread(url: str) -> tuple[Counter[str], Counter[str]]:
    """Requests by worker: of many short connections, 64 at a time, and of 64 that are kept, ten on each."""
    slots = asyncio.Semaphore(KEPT)

    async def once() -> str:
        connector = aiohttp.TCPConnector(force_close=True)
        async with slots, aiohttp.ClientSession(connector=connector) as client, client.get(url) as answer:
            return await answer.text()

    async def kept() -> list[str]:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as client:
            return [await (await client.get(url)).text() for _ in range(10)]

    short = Counter(await asyncio.gather(*(once() for _ in range(SHORT))))
    long = Counter(worker for answers in await asyncio.gather(*(kept() for _ in range(KEPT))) for worker in answers)
    return short, long


def shares(requests: Counter[str]) -> str:
    """From the share of the worker that got least to that of the one that got most, in percent."""
    counts = [*requests.values(), *[0] * (WORKERS - len(requests))]
    return f"{100 * min(counts) / requests.total():.0f} to {100 * max(counts) / requests.total():.0f} %"


@pytest.mark.timeout(300)
async def test_evenness(tmp_path: Path) -> None:
    rows = []
    for name in commands(0):
        (port,) = free_ports(1)
        command, by = commands(port)[name]
        folder = tmp_path / name
        folder.mkdir()
        variables = {"PYTHONPATH": str(HERE), "PORT": str(port), "WEB_CONCURRENCY": str(WORKERS)}
        with answering(command, folder, port, variables) as url:
            short, long = await spread(url)
        assert short.total() == SHORT
        rows.append((name, by, shares(short), shares(long)))
    record(
        "How evenly connections reach the workers",
        "make bench",
        ("server", "spread by", f"{SHORT:,} short connections", f"{KEPT} kept ones"),
        rows,
        conditions=f"{WORKERS} workers, so 25 % is even; an app that does next to nothing, {KEPT} requests under way.\n"
        "Each column: the share of the worker with the fewest requests, and of that with the most.",
    )
