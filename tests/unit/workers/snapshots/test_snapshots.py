"""What a heap snapshot may cost, and what is left if it would cost more."""

import fcntl
import logging
import os
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hca_workers.settings import MEBIBYTE, settings_from
from hca_workers.snapshots import writer as snapshots
from hca_workers.snapshots.writer import KEPT, REQUEST, Writer, offer_snapshots, write_snapshot
from tests.eventually import eventually

pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
BLOCKS = 200_000


@pytest.fixture
def traced() -> Iterator[list[bytes]]:
    """Many small objects, each of which a snapshot names."""
    tracemalloc.start()
    try:
        yield [bytes(100) for _ in range(BLOCKS)]
    finally:
        tracemalloc.stop()


def writer(directory: Path, **variables: str) -> Writer:
    return Writer(directory, settings_from(variables))


def request(directory: Path) -> None:
    """Touch the file with a new time, even within the same tick of the clock of the file system."""
    (directory / REQUEST).touch()
    os.utime(directory / REQUEST, ns=(time.time_ns(), time.time_ns()))


def checked(heaps: Writer, so: Callable[[], object]) -> None:
    """Have it check until something is so."""

    def check() -> object:
        heaps.check()
        return so()

    eventually(check)


@pytest.mark.usefixtures("traced")
def test_six_requests_leave_the_last_five_and_nothing_else_is_touched(tmp_path: Path) -> None:
    (tmp_path / "something else").touch()
    (tmp_path / "20260101T000000-7.part").touch()
    for number in range(KEPT):
        (tmp_path / f"2026010{number + 1}T000000-1.tracemalloc").touch()
    heaps = writer(tmp_path)
    request(tmp_path)
    checked(heaps, lambda: list(tmp_path.glob(f"*-{os.getpid()}.tracemalloc")) and heaps.idle)
    kept = sorted(tmp_path.glob("*.tracemalloc"))
    assert [path.name[7] for path in kept[:-1]] == ["2", "3", "4", "5"]
    assert len(tracemalloc.Snapshot.load(str(kept[-1])).traces) >= BLOCKS
    assert {path.name for path in tmp_path.iterdir()} - {path.name for path in kept} == {"something else", REQUEST}


@pytest.mark.usefixtures("traced")
def test_two_of_one_worker_within_a_second_are_two(tmp_path: Path) -> None:
    assert write_snapshot(tmp_path, 7) != write_snapshot(tmp_path, 7)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_worker_that_is_too_big_writes_once(tmp_path: Path, traced: list[bytes]) -> None:
    assert traced
    heaps = writer(tmp_path, HCA_WORKER_MAX_RSS="1")
    checked(heaps, lambda: list(tmp_path.glob("*.tracemalloc")))
    checked(heaps, lambda: heaps.idle)
    (first,) = tmp_path.glob("*.tracemalloc")
    first.unlink()
    heaps.check()
    assert heaps.idle


@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize(
    ("left", "variables", "said"),
    [
        (20, {}, "it takes more memory than the 10 MiB that it may, half of what the container has left"),
        (
            4096,
            {"HCA_SNAPSHOT_MAX_SIZE": "1"},
            "or it is larger than HCA_SNAPSHOT_MAX_SIZE (1 MiB)",
        ),
    ],
)
def test_a_snapshot_that_costs_more_than_it_may_is_given_up_and_leaves_nothing(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    *,
    left: int,
    variables: dict[str, str],
    said: str,
) -> None:
    monkeypatch.setattr(snapshots, "available_bytes", lambda: left * MEBIBYTE)
    heaps = writer(tmp_path, **variables)
    # More than what this process may have freed before, which a child of it uses again and nothing limits.
    many = [bytes(100) for _ in range(4 * BLOCKS)]
    request(tmp_path)
    checked(heaps, lambda: caplog.records)
    assert many
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.message.startswith("No heap snapshot: ")
    assert said in record.message
    assert [path.name for path in tmp_path.iterdir()] == [REQUEST]
    assert heaps.idle


@pytest.mark.usefixtures("traced")
def test_one_of_all_workers_writes_at_a_time(tmp_path: Path) -> None:
    heaps = writer(tmp_path)
    other = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(other, fcntl.LOCK_EX)
    request(tmp_path)
    heaps.check()
    assert heaps.idle, "it waits for the lock, and blocks nothing"
    os.close(other)
    checked(heaps, lambda: list(tmp_path.glob("*.tracemalloc")))


def test_a_request_from_before_the_worker_began_is_not_its(tmp_path: Path) -> None:
    request(tmp_path)
    heaps = writer(tmp_path)
    heaps.check()
    assert heaps.idle


def test_nothing_is_traced_without_a_directory() -> None:
    offer_snapshots({})
    assert not tracemalloc.is_tracing()
