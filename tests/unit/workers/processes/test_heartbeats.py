import os
import signal
import subprocess
import sys
import time

import pytest

from hca_workers import health
from hca_workers.processes.heartbeats import DESCRIPTOR_VARIABLE, Heartbeats

BEAT = """
import sys
from hca_workers.processes.heartbeats import Heartbeats
Heartbeats(int(sys.argv[1])).beat()
print(flush=True)
sys.stdin.read()
"""


def test_without_a_supervisor_the_health_of_all_is_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(DESCRIPTOR_VARIABLE, raising=False)
    assert health() == []


def test_workers_that_start_together_have_a_row_each_and_the_dead_ones_are_freed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    heartbeats = Heartbeats.new()
    monkeypatch.setenv(DESCRIPTOR_VARIABLE, str(heartbeats.descriptor))
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", BEAT, str(heartbeats.descriptor)],
            pass_fds=[heartbeats.descriptor], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        for _ in range(5)
    ]  # fmt: skip
    for worker in workers:
        assert worker.stdout is not None
        worker.stdout.readline()

    assert sorted(heartbeats.times()) == sorted(worker.pid for worker in workers)
    assert {found.worker for found in health()} == {worker.pid for worker in workers}
    assert all(found.rss_bytes > 2**20 and found.seconds_since_beat < 60 for found in health())

    for worker in workers:
        worker.communicate()
    assert health() == [], "what is dead holds nothing"
    heartbeats.free_all_but([])
    heartbeats.beat()
    assert list(heartbeats.times()) == [os.getpid()]
    os.close(heartbeats.descriptor)


def test_a_beat_moves_on() -> None:
    heartbeats = Heartbeats.new()
    heartbeats.beat()
    first = heartbeats.times()[os.getpid()]
    heartbeats.beat()
    assert first < heartbeats.times()[os.getpid()] <= time.monotonic()
    os.close(heartbeats.descriptor)


def test_a_beat_is_never_seen_half_written() -> None:
    heartbeats = Heartbeats.new()
    heartbeats.beat()
    beating = os.fork()
    if beating == 0:
        while True:
            heartbeats.beat()
    try:
        seen = [list(heartbeats.times().values()) for _ in range(20_000)]
    finally:
        os.kill(beating, signal.SIGKILL)
        os.waitpid(beating, 0)
    assert min(map(len, seen)) == 1
    assert min(beaten for beats in seen for beaten in beats) > 0
