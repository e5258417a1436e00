"""The app on a real server, as the container runs it."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil

from dev.control_plane import free_ports
from tests.eventually import eventually

ROOT = Path(__file__).parents[3]


class Server:
    def __init__(self, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        self.process = process
        self._log = log
        # A new connection for each request: a kept one would reach the same worker again and again.
        self.http = httpx.Client(
            base_url=f"http://127.0.0.1:{port}", limits=httpx.Limits(max_keepalive_connections=0), timeout=20
        )

    @property
    def log(self) -> str:
        return self._log.read_text()

    def workers(self) -> set[int]:
        return {child.pid for child in psutil.Process(self.process.pid).children()}

    def answering_workers(self) -> set[int]:
        """Those that answer a few connections; the kernel chooses one for each."""
        try:
            return {self.http.get("/health").json()["worker"] for _ in range(8)}
        except httpx.TransportError:
            return set()

    def gauge_workers(self) -> set[int]:
        lines = self.http.get("/metrics").text.splitlines()
        memory = [line for line in lines if line.startswith("process_resident_memory_bytes")]
        return {int(line.split('"')[1]) for line in memory}

    def metric(self, sample: str) -> float:
        lines = self.http.get("/metrics").text.splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(sample))


@contextmanager
def serving(directory: Path, *, workers: int, **environment: str) -> Iterator[Server]:
    (port,) = free_ports(1)
    log = directory / "server.log"
    variables = {
        "GRANIAN_PORT": str(port),
        "GRANIAN_WORKERS": str(workers),
        "GRANIAN_RESPAWN_FAILED_WORKERS": "true",
        # As the operator does: a SIGTERM that reaches a worker while it starts is lost on it.
        "GRANIAN_WORKERS_KILL_TIMEOUT": "10",
        "TMPDIR": str(directory),
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT / "workers"),
        **environment,
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "shop"],
            cwd=ROOT / "sample-app",
            env=variables,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    server = Server(process, port, log)
    try:
        eventually(lambda: process.poll() is not None or len(server.answering_workers()) == workers)
        assert process.poll() is None, server.log
        yield server
    finally:
        server.http.close()
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            for child in psutil.Process(process.pid).children(recursive=True):
                child.kill()
            process.kill()
            process.wait()
