import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from tests.eventually import eventually
from tests.integration.sample_app.server import Server, serving

PRODUCTS = 'http_requests_total{method="GET",route="/products"'


def kill(server: Server, worker: int) -> None:
    """Kill a worker and see another in its place."""
    os.kill(worker, signal.SIGKILL)
    eventually(lambda: worker not in server.workers() and len(server.workers()) == 2)
    eventually(lambda: server.answering_workers() == server.workers())


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with serving(tmp_path, workers=2) as server:
        yield server


def test_two_workers_answer_and_one_scrape_speaks_for_both(server: Server) -> None:
    eventually(lambda: server.answering_workers() == server.workers())
    answered = [server.http.get("/products").status_code for _ in range(40)]

    assert answered == [200] * 40
    eventually(lambda: server.metric(PRODUCTS) == 40)
    # Each scrape, whichever worker it reaches, counts what both have answered.
    assert [server.metric(PRODUCTS) for _ in range(5)] == [40] * 5
    assert eventually(lambda: server.gauge_workers() == server.workers())
    assert eventually(lambda: server.metric("event_loop_lag_seconds")) < 10
    assert server.metric("worker_starts_total") == 2


def test_a_killed_worker_is_replaced_and_its_gauges_go_but_not_its_counters(server: Server) -> None:
    assert eventually(lambda: server.gauge_workers() == server.workers())
    for _ in range(20):
        server.http.get("/products")
    eventually(lambda: server.metric(PRODUCTS) == 20)
    kill(server, min(server.workers()))

    assert eventually(lambda: server.gauge_workers() == server.workers())
    assert server.metric(PRODUCTS) == 20
    assert server.metric("worker_starts_total") == 3
    assert server.process.poll() is None


def test_requests_that_died_with_their_worker_are_not_in_flight_for_ever(server: Server) -> None:
    with ThreadPoolExecutor(1) as thread:
        lost = thread.submit(server.http.get, "/slow?seconds=15")
        eventually(lambda: server.metric("http_requests_in_flight") == 1)
        for worker in server.workers():
            os.kill(worker, signal.SIGKILL)
        assert lost.exception(timeout=20) is not None

    eventually(lambda: len(server.workers()) == 2 and server.answering_workers() == server.workers())
    eventually(lambda: server.metric("http_requests_in_flight") == 0)


def test_sigterm_lets_a_request_finish_and_takes_no_new_one(server: Server) -> None:
    no_longer_serving = threading.Event()

    def body() -> Iterator[bytes]:
        yield b"before"
        no_longer_serving.wait(60)
        yield b"after"

    with ThreadPoolExecutor(1) as thread:
        upload = thread.submit(server.http.post, "/uploads", content=body())
        eventually(lambda: server.metric("http_requests_in_flight") == 1)
        server.process.send_signal(signal.SIGTERM)
        eventually(lambda: not server.answering_workers())
        assert not upload.done()
        no_longer_serving.set()
        response = upload.result(timeout=20)

    assert response.status_code == 201
    assert response.json()["bytes"] == len(b"beforeafter")
    assert response.headers["connection"] == "close"
    assert server.process.wait(20) == 0


def test_a_worker_over_its_memory_is_replaced_without_a_lost_request(tmp_path: Path) -> None:
    settings = {
        "GRANIAN_WORKERS_MAX_RSS": "150",
        "GRANIAN_RSS_SAMPLE_INTERVAL": "1",
        "GRANIAN_RESPAWN_INTERVAL": "2",
        "SHOP_LEAK_ENABLED": "true",
    }
    with serving(tmp_path, workers=2, **settings) as server:
        leaking = server.http.post("/leak?mebibytes=200").json()["worker"]
        statuses = set()

        def replaced() -> bool:
            statuses.add(server.http.get("/products").status_code)
            return leaking not in server.workers()

        assert eventually(replaced)
        assert statuses == {200}
        assert eventually(lambda: server.gauge_workers() == server.workers())


def test_every_line_of_the_log_is_json_with_the_worker(server: Server) -> None:
    server.http.get("/products", headers={"X-Request-ID": "look-for-me"})

    eventually(lambda: "look-for-me" in server.log)
    lines = [json.loads(line) for line in server.log.splitlines()]
    (access,) = [line for line in lines if line.get("request_id") == "look-for-me"]
    assert access["worker"] in server.workers()
    assert (access["method"], access["route"], access["status"]) == ("GET", "/products", 200)
    assert any(line["logger"] == "_granian" for line in lines)


def test_metrics_take_no_more_files_however_many_workers_die(server: Server, tmp_path: Path) -> None:
    def files() -> set[str]:
        return {path.name for path in tmp_path.rglob("*.db")}

    eventually(lambda: len(files()) == 8)
    before = files()
    for _ in range(4):
        # The oldest, so never one place twice within 5.5 s: Granian takes that for a crash loop and ends.
        kill(server, min(server.workers(), key=lambda worker: psutil.Process(worker).create_time()))

    eventually(lambda: server.gauge_workers() == server.workers())
    assert files() == before


def test_a_wrong_setting_ends_it_with_one_sentence() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "shop"],
        cwd=Path(__file__).parents[3] / "sample-app",
        env={"SHOP_CACHE_SECONDS": "soon"},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert result.returncode == 1
    assert result.stderr == "shop: SHOP_CACHE_SECONDS must be a whole number from 1 to 86400, not 'soon'.\n"
