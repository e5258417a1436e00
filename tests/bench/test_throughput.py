"""What two workers are worth, and what the sample app's techniques cost beside an app without any."""

import re
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from statistics import median

import httpx
import pytest

from dev.control_plane import free_ports
from dev.programs import program
from tests.bench.record import record
from tests.bench.servers import ROOT, answering, granian, pm2
from tests.integration.sample_app.server import serving

PRODUCTS = ROOT / "sample-app" / "shop" / "domain" / "products.json"
KOA = "koa@3.0.1"
ROUNDS = 7
SECONDS = 6
CONNECTIONS = 32
WORKERS = 2
CONDITIONS = (
    f"{CONNECTIONS} connections, the client on the same two cores; medians of {ROUNDS} rounds of {SECONDS} s in turn,\n"
    "ratios from one round each: the machine's speed changes from one minute to the next."
)

Server = Callable[[Path], AbstractContextManager[str]]
"""Starts a server in a folder; while the context lasts it answers at the URL."""


def requests_per_second(url: str) -> float:
    """What a client that always has so many requests under way gets answered, each with a 200."""
    wrk = program("wrk")
    command = [wrk, "--threads", "1", "--connections", str(CONNECTIONS), "--duration", f"{SECONDS}s", url]
    report = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
    assert "Non-2xx" not in report, report
    assert "Socket errors" not in report, report
    found = re.search(r"Requests/sec:\s+([0-9.]+)", report)
    assert found, report
    return float(found[1])


def sample_app(workers: int) -> Server:
    @contextmanager
    def start(folder: Path) -> Iterator[str]:
        with serving(folder, workers=workers) as server:
            yield str(server.http.base_url)

    return start


@contextmanager
def plain_starlette(folder: Path) -> Iterator[str]:
    (port,) = free_ports(1)
    command = granian("plain_shop:app", port, WORKERS, "--no-ws", "--respawn-failed-workers")
    with answering(command, folder, port, {}) as url:
        yield url


@contextmanager
def koa_with_pm2(folder: Path) -> Iterator[str]:
    (port,) = free_ports(1)
    command = pm2(folder, "plain_shop.js", WORKERS, KOA)
    variables = {"PORT": str(port), "PRODUCTS": str(PRODUCTS), "NODE_PATH": str(folder / "node_modules")}
    with answering(command, folder, port, variables) as url:
        yield url


def answer(server: Server, path: str, folder: Path) -> bytes:
    folder.mkdir(parents=True)
    with server(folder) as url:
        return httpx.get(url + path, trust_env=False).content


def measure(servers: Mapping[str, Server], path: str, folder: Path, beside: str) -> dict[str, tuple[float, float]]:
    """Requests per second of each, and how many times those of one: medians of rounds in which all take turns."""
    rounds: list[dict[str, float]] = []
    for number in range(ROUNDS):
        found = {}
        for name, server in servers.items():
            own = folder / f"{name}-{number}"
            own.mkdir(parents=True)
            with server(own) as url:
                found[name] = requests_per_second(url + path)
        rounds.append(found)
    return {
        name: (median(found[name] for found in rounds), median(found[name] / found[beside] for found in rounds))
        for name in servers
    }


@pytest.mark.timeout(600)
def test_two_workers_beside_one(tmp_path: Path) -> None:
    found = measure({"1": sample_app(1), "2": sample_app(2)}, "/cpu?milliseconds=20", tmp_path, "1")
    record(
        "CPU-bound requests with two workers and with one",
        "make bench",
        ("workers", "requests/s", "times one worker", "goal"),
        [
            (workers, f"{rate:.1f}", f"{times:.2f}", "" if workers == "1" else ">= 1.7")
            for workers, (rate, times) in found.items()
        ],
        conditions=f"The sample app, 20 ms of CPU time a request. {CONDITIONS}",
    )


@pytest.mark.timeout(900)
def test_what_the_techniques_cost(tmp_path: Path) -> None:
    servers: dict[str, Server] = {
        "plain Starlette on Granian": plain_starlette,
        "sample app": sample_app(WORKERS),
        "Koa with PM2": koa_with_pm2,
    }
    rows = []
    for path in ("/products", "/products/apron-linen"):
        folder = tmp_path / path.replace("/", "-")
        answers = {answer(server, path, folder / name) for name, server in servers.items()}
        assert len(answers) == 1, answers
        found = measure(servers, path, folder, "plain Starlette on Granian")
        rows += [(path, name, f"{rate:,.0f}", f"{times:.2f}") for name, (rate, times) in found.items()]
    record(
        "The sample app's hot routes beside apps without its techniques",
        "make bench",
        ("route", "app", "requests/s", "of plain Starlette"),
        rows,
        conditions=f"{WORKERS} workers each. {CONDITIONS}\nThe plain apps answer the same and do nothing else: "
        "no request id, log line, metrics, compression,\nload shedding, draining or error pages.",
    )
