import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest.mock import patch

import httpx
import pytest

from shop.workers.heartbeats import Heartbeats
from shop.workers.siblings import Siblings
from shop.workers.slots import WorkerSlot
from tests.eventually import eventually
from tests.integration.sample_app.server import Server, serving


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with serving(tmp_path, workers=2, SHOP_WEDGED_SECONDS="3", SHOP_REHEARSAL_ENABLED="true") as server:
        yield server


def ages(server: Server) -> dict[int, float]:
    """Seconds since the heartbeat of each worker, from any worker that answers soon."""
    for _ in range(50):
        try:
            workers = server.http.get("/health", timeout=0.5).json()["workers"]
        except httpx.TransportError:  # it reached the blocked one
            continue
        return {beat["worker"]: beat["seconds_since_beat"] for beat in workers}
    raise AssertionError("no worker answers")


def test_every_worker_beats(server: Server) -> None:
    assert eventually(lambda: set(ages(server)) == server.workers())
    assert eventually(lambda: max(ages(server).values()) < 1)
    # Prometheus sees them too, whichever worker it scrapes.
    samples = [f'worker_heartbeat_timestamp_seconds{{worker="{worker}"}}' for worker in server.workers()]
    before = [server.metric(sample) for sample in samples]
    assert 0 not in before
    assert eventually(lambda: all(server.metric(sample) > then for sample, then in zip(samples, before, strict=True)))


def test_a_stopped_worker_is_named_by_its_sibling_and_replaced(server: Server) -> None:
    before = server.workers()
    stopped = min(before)
    os.kill(stopped, signal.SIGSTOP)
    assert eventually(lambda: ages(server).get(stopped, 0) > 1)
    eventually(lambda: stopped not in server.workers() and len(server.workers()) == 2)
    eventually(lambda: server.answering_workers() == server.workers())
    assert f"worker {stopped} has not run" in server.log
    assert before - {stopped} < server.workers(), "the sibling is left alone"


def test_a_pod_that_goes_on_after_it_was_frozen_as_a_whole_loses_no_worker() -> None:
    beats = Heartbeats(None)
    siblings = Siblings(beats, seconds=1)
    thawed = [{1: 60.0, 2: 60.0}, {1: 0.0, 2: 61.0}]
    stopped = [{1: 0.0, 2: 62.0}]
    with patch.object(beats, "ages", side_effect=thawed + stopped):
        assert [siblings.stopped() for _ in range(3)] == [[], [], [2]]


def test_a_blocked_loop_is_named_then_ended_with_its_stack_in_the_log(server: Server) -> None:
    before = server.workers()
    with ThreadPoolExecutor(1) as thread:
        lost = thread.submit(server.http.post, "/wedge?seconds=100")
        eventually(lambda: max(ages(server).values()) > 1)
        assert isinstance(lost.exception(timeout=20), httpx.TransportError)

    eventually(lambda: len(server.workers() - before) == 1 and len(server.workers()) == 2)
    eventually(lambda: server.answering_workers() == server.workers())
    assert set(ages(server)) == server.workers()
    assert server.process.poll() is None
    assert "Timeout (0:00:03)!" in server.log
    assert 'shop/routes/rehearsal.py", line' in server.log


def test_what_a_dead_worker_leaves_behind_is_not_taken_for_a_wedged_one(tmp_path: Path) -> None:
    (tmp_path / "3.lock").touch()
    (tmp_path / "3.beat").write_bytes(b"\x01" * 16)
    (tmp_path / "0.beat").write_bytes(b"\x01" * 16)

    slot = WorkerSlot(tmp_path)

    assert list(Heartbeats(slot).ages()) == [os.getpid()]
    slot._lock.close()  # what a process does by ending
