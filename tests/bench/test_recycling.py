"""What it costs to replace workers that leak, where the app takes longer to start than a supervisor may think."""

import sys
import threading
import time
from pathlib import Path

import pytest

from dev.control_plane import free_ports
from tests.bench.record import record
from tests.bench.servers import HERE, ROOT, granian, pm2, started
from tests.e2e.load import OpenLoopLoad
from tests.eventually import eventually

WORKERS = 2
SECONDS = 45
RATE = 100.0
LOOK_EVERY = 0.02
HCA = {
    "HCA_WORKER_MAX_RSS": "120",
    "HCA_RSS_SAMPLE_INTERVAL": "1",
    "HCA_RSS_SAMPLES": "1",
    "HCA_WORKER_MIN_INTERVAL": "1",
}
GRANIAN = {"GRANIAN_WORKERS_MAX_RSS": "120", "GRANIAN_RSS_SAMPLE_INTERVAL": "1"}
CONDITIONS = f"""
{WORKERS} workers whose app takes 4 s to start and keeps 128 KiB of each request; a worker may hold 120 MiB, looked at
each second; {RATE:.0f} requests/s for {SECONDS} s over kept connections, no retries. All else is each server's default:
Granian waits 3.5 s for a new worker, PM2 3 s. Ready is a worker whose app has started, until it is asked to go.
The apps handle no signal: what is lost is lost by the server, or by how it asks a worker to go.
""".strip()
TITLE = "Workers replaced by memory, with an app that starts slowly"


class Ready:
    """How long there were fewer ready workers than wanted: of those whose app has started, those not asked to go."""

    def __init__(self, folder: Path, asked_to_go: str) -> None:
        self._folder = folder / "ready"
        self._folder.mkdir(parents=True)
        self._log = folder / "log"
        self._asked_to_go = asked_to_go
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self.seconds_of_fewer = 0.0

    def started(self) -> int:
        return len(list(self._folder.iterdir()))

    def all(self) -> bool:
        return self.started() - self._log.read_text(errors="replace").count(self._asked_to_go) >= WORKERS

    def __enter__(self) -> "Ready":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _look(self) -> None:
        looked = time.monotonic()
        while not self._stop.wait(LOOK_EVERY):
            before, looked = looked, time.monotonic()
            if not self.all():
                self.seconds_of_fewer += looked - before


@pytest.mark.timeout(900)
def test_recycling(tmp_path: Path) -> None:
    rows = []
    for name, variables, asked_to_go in (
        ("Granian", GRANIAN, "Stopping old worker"),
        ("hca-uvicorn", HCA, ", drain:"),
        ("PM2", {"PM2_WORKER_INTERVAL": "1000"}, "Stopping app:"),
        ("hca-node", HCA, ", drain:"),
    ):
        folder = tmp_path / name
        ready = Ready(folder, asked_to_go)
        (port,) = free_ports(1)
        python = ["--port", str(port), "--workers", str(WORKERS), "leaking_slowly:app"]
        command = {
            "Granian": granian("leaking_slowly:app", port, WORKERS),
            "hca-uvicorn": [sys.executable, "-m", "hca_workers.servers.uvicorn_server", "--no-access-log", *python],
            "hca-node": ["node", str(ROOT / "workers" / "node" / "primary.js"), str(HERE / "leaking_slowly.js")],
        }.get(name) or pm2(folder, "leaking_slowly.js", WORKERS, max_memory_restart="120M")
        shared = {"READY": str(folder / "ready"), "PORT": str(port), "WEB_CONCURRENCY": str(WORKERS)}
        load = OpenLoopLoad(f"http://127.0.0.1:{port}", "here", rate=RATE, path="/")
        with started(command, folder, {**shared, **variables}):
            eventually(ready.all, seconds=60)
            with ready, load.running():
                load.go_on(RATE * SECONDS)
        _, p99 = load.report.latencies()
        rows.append(
            (
                name,
                f"{ready.started() - WORKERS}",
                f"{len(load.report.sent):,}",
                f"{len(load.report.failures())}",
                f"{p99 * 1000:.0f} ms",
                f"{ready.seconds_of_fewer:.1f} s",
            )
        )
        print(rows[-1], load.report.summary())
    columns = ("server", "replaced", "requests", "lost", "p99", f"fewer than {WORKERS} ready")
    record(TITLE, "make bench", columns, rows, conditions=CONDITIONS)
