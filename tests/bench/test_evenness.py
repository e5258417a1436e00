"""How evenly each server's workers share the requests of connections that stay open.

The servers run here, without a cluster, in the environment that the operator would give their pods.
"""

import asyncio
import itertools
import os
import shutil
import socket
import subprocess
import sys
import time
import venv
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from hca_operator.api.servers import Server
from hca_operator.api.spec import HighConcurrencyApiSpec
from hca_operator.desired.servers import environment
from hca_operator.sizing import size
from tests.bench.record import record

HERE = Path(__file__).parent
LOCKS = HERE.parent / "e2e" / "servers"
WORKERS = 2
CONNECTIONS = (32, 256)
RUNS = 5
REQUESTS = 5_000
READY_WITHIN = 60.0
REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


def test_how_evenly_workers_share_the_requests(tmp_path: Path) -> None:
    rows = []
    for server, title, command in commands(tmp_path):
        port = free_port()
        with running(server, command, port):
            asyncio.run(all_workers_answer(port))
            for connections in CONNECTIONS:
                shares = sorted(asyncio.run(largest_share(port, connections)) for _ in range(RUNS))
                rows.append([title, str(connections), f"{median(shares):.0%}", f"{shares[-1]:.0%}"])
    record(
        "How evenly two workers share the requests",
        "make bench",
        ["server", "kept-alive connections", "busier worker's share, median", "at worst"],
        rows,
        conditions=f"{RUNS} runs of {REQUESTS:,} requests, each over new connections that are opened at once; "
        "half and half is 50 %. Server and client share the machine.",
    )


def commands(folder: Path) -> Iterator[tuple[Server, str, list[str]]]:
    """Each server, what it is called in the table, and how it is started."""
    granian = str(Path(sys.executable).with_name("granian"))
    yield "Granian", "Granian", [granian, "--interface=asginl", "process_ids:asgi"]
    gunicorn = installed("gunicorn", folder)
    threads = ["--worker-class=gthread", "--threads=8"]  # the default worker closes each connection
    yield "Gunicorn", "Gunicorn, gthread", [gunicorn, *threads, "process_ids:wsgi"]
    quiet = ["--lifespan=off", "--no-access-log"]
    yield "Uvicorn", "Uvicorn", [installed("uvicorn", folder), *quiet, "process_ids:asgi"]
    node = shutil.which("node")
    assert node, "node is not installed here: install it, then try again"
    yield "Node", "Node, its cluster module", [node, str(HERE / "process_ids.js")]


def installed(server: str, folder: Path) -> str:
    """The program of a server, of the version that its end-to-end test has."""
    folder = folder / server
    venv.create(folder, with_pip=True)
    requirements = LOCKS / server / "requirements.txt"
    pip: list[str | Path] = [
        folder / "bin" / "python",
        "-m",
        "pip",
        "install",
        "--quiet",
        "--require-hashes",
        "-r",
        requirements,
    ]
    subprocess.run(pip, check=True)
    return str(folder / "bin" / server)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(server: Server, command: list[str], port: int) -> Iterator[None]:
    """A server with the variables that the operator sets for two workers."""
    spec = HighConcurrencyApiSpec.model_validate(
        {"image": "none", "port": port, "workers": {"server": server, "count": WORKERS}}
    )
    variables = {variable["name"]: variable["value"] for variable in environment(spec, size(spec))}
    process = subprocess.Popen(
        command, cwd=HERE, env={"PATH": os.environ["PATH"], "PYTHONPATH": str(HERE)} | variables,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield
    finally:
        process.terminate()
        process.wait(timeout=60)


async def all_workers_answer(port: int) -> None:
    """Wait until every worker has started."""
    deadline = time.monotonic() + READY_WITHIN
    seen: set[bytes] = set()
    while len(seen) < WORKERS:
        assert time.monotonic() < deadline, f"only {len(seen)} of {WORKERS} workers answer"
        try:
            seen |= set(await answers(port, connections=64, requests=64))
        except (OSError, EOFError):  # not there yet, or just about to be
            await asyncio.sleep(0.1)


async def largest_share(port: int, connections: int) -> float:
    """The part of the requests that one worker got."""
    counted = await answers(port, connections=connections, requests=REQUESTS)
    return max(counted.values()) / counted.total()


async def answers(port: int, *, connections: int, requests: int) -> Counter[bytes]:
    """How often each process has answered, of so many requests, each sent as soon as its connection is free."""
    counted: Counter[bytes] = Counter()
    left = itertools.count(requests, -1)

    async def use(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while next(left) > 0:
            writer.write(REQUEST)
            counted[await body(reader)] += 1
        writer.close()

    opened = await asyncio.gather(*(asyncio.open_connection("127.0.0.1", port) for _ in range(connections)))
    await asyncio.gather(*(use(reader, writer) for reader, writer in opened))
    return counted


async def body(reader: asyncio.StreamReader) -> bytes:
    """The body of the next answer."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    assert head.startswith(b"http/1.1 200"), head
    length = head.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0]
    return await reader.readexactly(int(length))
