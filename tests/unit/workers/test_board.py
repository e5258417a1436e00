import os
import signal
import subprocess
import sys
import time

import pytest

from hca_workers import health
from hca_workers.processes.board import BOARD_VARIABLE, Board, resident_bytes

BEAT = """
import sys
from hca_workers.processes.board import Board
Board(int(sys.argv[1])).beat()
print(flush=True)
sys.stdin.read()
"""


def test_where_no_supervisor_runs_there_is_nothing_to_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(BOARD_VARIABLE, raising=False)
    assert health() == []


def test_workers_that_start_together_have_a_row_each_and_the_dead_ones_are_freed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    board = Board.new()
    monkeypatch.setenv(BOARD_VARIABLE, str(board.descriptor))
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", BEAT, str(board.descriptor)],
            pass_fds=[board.descriptor], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        for _ in range(5)
    ]  # fmt: skip
    for worker in workers:
        assert worker.stdout is not None
        worker.stdout.readline()

    assert sorted(board.beats()) == sorted(worker.pid for worker in workers)
    assert {found.worker for found in health()} == {worker.pid for worker in workers}
    assert all(found.rss_bytes > 2**20 and found.seconds_since_beat < 60 for found in health())

    for worker in workers:
        worker.communicate()
    assert health() == [], "what is dead holds nothing"
    board.keep([])
    board.beat()
    assert list(board.beats()) == [os.getpid()]
    os.close(board.descriptor)


def test_a_beat_moves_on() -> None:
    board = Board.new()
    board.beat()
    first = board.beats()[os.getpid()]
    board.beat()
    assert first < board.beats()[os.getpid()] <= time.monotonic()
    os.close(board.descriptor)


def test_a_process_that_is_gone_holds_nothing() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    assert resident_bytes(process.pid) is None
    assert (resident_bytes(os.getpid()) or 0) > 2**20


def test_a_beat_is_never_seen_half_written() -> None:
    board = Board.new()
    board.beat()
    beating = os.fork()
    if beating == 0:
        while True:
            board.beat()
    try:
        seen = [list(board.beats().values()) for _ in range(20_000)]
    finally:
        os.kill(beating, signal.SIGKILL)
        os.waitpid(beating, 0)
    assert min(map(len, seen)) == 1
    assert min(beaten for beats in seen for beaten in beats) > 0
