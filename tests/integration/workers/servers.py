"""Real servers with the leaking app, and a steady client that counts what fails."""

import http.client
import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from dev.control_plane import free_ports
from tests.eventually import eventually

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
WORKERS = 2
A_SECOND = 50

# One worker may hold 80 MiB, which is found out within two seconds; the next one may go a second later.
LIMITS = {
    "HCA_WORKER_MAX_RSS": "80",
    "HCA_RSS_SAMPLE_INTERVAL": "1",
    "HCA_RSS_SAMPLES": "2",
    "HCA_WORKER_MIN_INTERVAL": "1",
    "HCA_WORKER_KILL_TIMEOUT": "10",
    # A machine with other things to do keeps a healthy loop waiting; who tests silence says how much.
    "HCA_WORKER_MAX_SILENCE": "60",
}


class Server:
    def __init__(self, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        self.process = process
        self.port = port
        self._log = log

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def get(self, path: str, *, seconds: float = 30) -> Any:
        """The answer, over a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=seconds)
        try:
            connection.request("GET", path, headers={"Connection": "close"})
            answer = connection.getresponse()
            body = answer.read()
            assert answer.status == 200, f"{answer.status}: {body[:200]!r}"
            return json.loads(body)
        finally:
            connection.close()

    def ready(self) -> set[int]:
        """The workers as any of them knows them; none while no worker answers."""
        try:
            return {worker["worker"] for worker in self.get("/health", seconds=2)}
        except (OSError, http.client.HTTPException):
            return set()

    def workers(self) -> set[int]:
        """The processes that there are."""
        return {child.pid for child in psutil.Process(self.process.pid).children()}

    def send(self, path: str) -> None:
        """Ask, and do not wait for an answer that may never come."""
        with socket.create_connection(("127.0.0.1", self.port)) as connection:
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: here\r\n\r\n".encode())

    def end(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


@contextmanager
def serving(
    command: Sequence[str], directory: Path, *, workers: int = WORKERS, ready: bool = True, **environment: str
) -> Iterator[Server]:
    """A server that is started by this command; {port} in it is the port."""
    directory.mkdir(parents=True, exist_ok=True)
    (port,) = free_ports(1)
    log = directory / "server.log"
    variables = {
        **LIMITS,
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join([str(ROOT / "workers"), str(HERE)]),
        "WEB_CONCURRENCY": str(workers),
        "PORT": str(port),
        **environment,
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            [part.format(port=port) for part in command],
            cwd=directory, env=variables, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    server = Server(process, port, log)
    try:
        if ready:
            eventually(lambda: process.poll() is not None or len(server.ready()) == workers)
            assert process.poll() is None, server.log
        yield server
    finally:
        if process.poll() is None:
            try:
                server.end()
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


class SteadyClient:
    """Asks /health at a steady pace, half of the requests over fresh connections, half over kept ones.

    A kept connection that is closed without a byte of the answer is opened anew once, as RFC 9112 (9.3.1, 9.5)
    says of idle connections; everything else that is no complete 200 is a failure.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(number,)) for number in range(_THREADS)]
        self.failures: list[str] = []
        self.answers = 0
        self.fewest_ready = WORKERS

    def __enter__(self) -> "SteadyClient":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, number: int) -> None:
        pause = _THREADS / A_SECOND
        due = time.monotonic() + number * pause / _THREADS
        kept: http.client.HTTPConnection | None = None
        while not self._stop.wait(max(0.0, due - time.monotonic())):
            due += pause
            try:
                if number % 2:
                    ready = len(self._server.get("/health"))
                else:
                    kept, ready = self._over(kept)
                self.fewest_ready = min(self.fewest_ready, ready)
                self.answers += 1
            except (OSError, http.client.HTTPException, AssertionError) as error:
                self.failures.append(repr(error))
                kept = None
        if kept is not None:
            kept.close()

    def _over(self, kept: http.client.HTTPConnection | None) -> tuple[http.client.HTTPConnection, int]:
        if kept is not None and kept.sock is not None:
            try:
                return kept, _asked(kept)
            except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
                kept.close()
        fresh = http.client.HTTPConnection("127.0.0.1", self._server.port, timeout=30)
        return fresh, _asked(fresh)


_THREADS = 10


def _asked(connection: http.client.HTTPConnection) -> int:
    connection.request("GET", "/health")
    answer = connection.getresponse()
    body = answer.read()
    assert answer.status == 200, answer.status
    return len(json.loads(body))
