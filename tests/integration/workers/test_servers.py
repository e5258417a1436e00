"""Workers of real servers that leak, hang, and cannot be replaced."""

import json
import os
import signal
import sys
import tracemalloc
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from dev.programs import program
from hca_workers.settings import MEBIBYTE
from tests.eventually import eventually
from tests.integration.workers.servers import HERE, ROOT, WORKERS, SteadyClient, serving

UVICORN = [
    sys.executable,
    "-m",
    "hca_workers.servers.uvicorn_server",
    "leaking:asgi",
    "--port",
    "{port}",
    "--no-access-log",
]
GUNICORN = [
    sys.executable, "-m", "gunicorn", "-c", "python:hca_workers.gunicorn", "-b", "127.0.0.1:{port}",
    "--no-control-socket",
]  # fmt: skip
COMMANDS = {
    "uvicorn": UVICORN,
    "gunicorn-sync": [*GUNICORN, "leaking:wsgi"],
    "gunicorn-gthread": [*GUNICORN, "-k", "gthread", "--threads", "4", "leaking:wsgi"],
    "gunicorn-uvicorn": [*GUNICORN, "-k", "hca_workers.gunicorn_worker.UvicornWorker", "leaking:asgi"],
    "node": ["node", str(ROOT / "workers" / "node" / "primary.js"), str(HERE / "leaking.js")],
}


@pytest.fixture(autouse=True, scope="module")
def _node() -> None:
    program("node")


def at_the_same_time(scenario: Callable[[str, Path], None], kinds: Iterable[str], folder: Path) -> None:
    """Most of each scenario is waiting; those of several servers wait together."""
    for kind in kinds:
        (folder / kind).mkdir()
    with ThreadPoolExecutor() as pool:
        for done in [pool.submit(scenario, kind, folder / kind) for kind in kinds]:
            done.result()


def test_a_worker_that_leaks_is_replaced_and_no_request_is_lost(tmp_path: Path) -> None:
    at_the_same_time(leak, COMMANDS, tmp_path)


def leak(kind: str, folder: Path) -> None:
    with serving(COMMANDS[kind], folder) as server, SteadyClient(server) as client:
        before = server.workers()
        leaking = server.get("/leak?mebibytes=100")["worker"]
        eventually(lambda: leaking not in server.workers())
        after = server.workers()
        eventually(lambda: server.ready() == server.workers())

    assert client.failures == []
    assert client.answers > 0
    assert client.fewest_ready == WORKERS
    assert before - after == {leaking}
    assert len(after) == WORKERS
    assert server.log.count("replace: it holds more memory than it may") == 1


def test_workers_may_open_as_many_files_as_the_container_may(tmp_path: Path) -> None:
    at_the_same_time(open_many, COMMANDS, tmp_path)


def open_many(kind: str, folder: Path) -> None:
    with serving(["prlimit", "--nofile=1024:4096", "--", *COMMANDS[kind]], folder) as server:
        limits = {psutil.Process(worker).rlimit(psutil.RLIMIT_NOFILE) for worker in server.workers()}
    assert limits == {(4096, 4096)}


def test_workers_that_hang_or_are_stopped_are_replaced(tmp_path: Path) -> None:
    at_the_same_time(hang, ["uvicorn", "gunicorn-gthread", "gunicorn-uvicorn", "node"], tmp_path)


def hang(kind: str, folder: Path) -> None:
    with serving(COMMANDS[kind], folder, workers=3, HCA_WORKER_MAX_SILENCE="5") as server:
        before = server.workers()
        if "gthread" in kind:  # requests do not run on the loop there
            os.kill(min(before), signal.SIGSTOP)
            os.kill(max(before), signal.SIGSTOP)
        elif kind == "node":  # its primary goes on giving connections to a worker that is stopped
            server.send("/block?seconds=300")
            server.send("/block?seconds=300")
        else:
            os.kill(min(before), signal.SIGSTOP)
            server.send("/block?seconds=300")
        eventually(lambda: len(server.workers() & before) == 1 and len(server.workers()) == 3)
        eventually(lambda: len(server.ready()) == 3 and server.ready() == server.workers())
        assert server.process.poll() is None


def test_the_old_worker_stays_while_no_new_one_becomes_ready(tmp_path: Path) -> None:
    at_the_same_time(lack_a_replacement, ["uvicorn", "gunicorn-sync", "node"], tmp_path)


def lack_a_replacement(kind: str, folder: Path) -> None:
    broken = folder / "broken"
    with serving(COMMANDS[kind], folder, BROKEN_FILE=str(broken)) as server, SteadyClient(server) as client:
        before = server.workers()
        broken.touch()
        leaking = server.get("/leak?mebibytes=100")["worker"]
        eventually(lambda: "so it stays; next try in 2 s" in server.log)
        assert server.workers() == before
        broken.unlink()
        eventually(lambda: leaking not in server.workers() and server.ready() == server.workers())

    assert client.failures == []
    assert client.fewest_ready == WORKERS


def test_a_broken_app_ends_the_server_when_it_starts(tmp_path: Path) -> None:
    at_the_same_time(lack_an_app, ["uvicorn", "node"], tmp_path)


def lack_an_app(kind: str, folder: Path) -> None:
    broken = folder / "broken"
    broken.touch()
    # Many, so that some end while the first one's end is dealt with.
    with serving(COMMANDS[kind], folder, ready=False, BROKEN_FILE=str(broken), WEB_CONCURRENCY="6") as server:
        assert server.process.wait(60) == 3
    assert "this app cannot start any more" in server.log


def test_all_are_replaced_on_sighup(tmp_path: Path) -> None:
    at_the_same_time(be_asked, ["uvicorn", "node"], tmp_path)


def be_asked(kind: str, folder: Path) -> None:
    with serving(COMMANDS[kind], folder) as server, SteadyClient(server) as client:
        before = server.workers()
        server.process.send_signal(signal.SIGHUP)
        eventually(lambda: not before & server.workers() and len(server.workers()) == WORKERS)
        eventually(lambda: server.ready() == server.workers())
    assert client.failures == []
    assert client.fewest_ready == WORKERS
    assert server.process.returncode == 0


def test_workers_with_little_time_to_go_linger_less_and_are_not_killed(tmp_path: Path) -> None:
    at_the_same_time(go_soon, ["uvicorn", "node"], tmp_path)


def go_soon(kind: str, folder: Path) -> None:
    # A busy machine may take the time that is left after lingering; a worker that lingers too long is killed each time.
    assert any(in_time(kind, folder / str(attempt)) for attempt in range(3))


def in_time(kind: str, folder: Path) -> bool:
    """Whether workers that are replaced end before they are killed."""
    with serving(COMMANDS[kind], folder, HCA_WORKER_KILL_TIMEOUT="3") as server, SteadyClient(server) as client:
        before = server.workers()
        server.process.send_signal(signal.SIGHUP)
        eventually(lambda: not before & server.workers() and len(server.workers()) == WORKERS)
    assert client.failures == []
    return "kill: it has not finished" not in server.log


def test_workers_go_with_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    at_the_same_time(lose_the_supervisor, ["uvicorn", "node"], tmp_path)


def lose_the_supervisor(kind: str, folder: Path) -> None:
    with serving(COMMANDS[kind], folder) as server:
        workers = [psutil.Process(pid) for pid in server.workers()]
        server.process.kill()
        server.process.wait()
        _, left = psutil.wait_procs(workers, timeout=60)
        assert left == []


def test_a_heap_is_written_on_request_and_at_the_threshold_and_no_request_is_lost(tmp_path: Path) -> None:
    at_the_same_time(write_heaps, ["uvicorn", "gunicorn-gthread", "gunicorn-uvicorn"], tmp_path)


def write_heaps(kind: str, folder: Path) -> None:
    heaps = folder / "heaps"
    heaps.mkdir()
    with serving(COMMANDS[kind], folder, HCA_SNAPSHOT_DIR=str(heaps)) as server, SteadyClient(server) as client:
        (heaps / "request").touch()
        eventually(lambda: _writers(heaps, "tracemalloc") == server.workers())
        leaking = server.get("/leak?mebibytes=100")["worker"]
        eventually(lambda: leaking not in server.workers())
        eventually(lambda: len(list(heaps.glob("*.tracemalloc"))) == WORKERS + 1)
    (last,) = (path for path in heaps.glob("*.tracemalloc") if _largest(path).size > 100 * MEBIBYTE)
    assert str(leaking) in last.name
    assert Path(_largest(last).traceback[0].filename).name == "leaking.py"
    assert client.failures == []


def _writers(heaps: Path, suffix: str) -> set[int]:
    return {int(path.stem.partition("-")[2]) for path in heaps.glob(f"*.{suffix}")}


def _largest(path: Path) -> tracemalloc.Statistic:
    return tracemalloc.Snapshot.load(str(path)).statistics("lineno")[0]


def test_node_writes_the_heap_of_workers_that_have_left_and_keeps_the_last_five(tmp_path: Path) -> None:
    for number in range(6):
        (tmp_path / f"2026010{number + 1}T000000-1.heapsnapshot").touch()
    with serving(COMMANDS["node"], tmp_path, HCA_SNAPSHOT_DIR=str(tmp_path)) as server, SteadyClient(server) as client:
        before = server.workers()
        (tmp_path / "request").touch()
        eventually(lambda: _writers(tmp_path, "heapsnapshot") >= before)
        eventually(lambda: not before & server.workers() and server.ready() == server.workers())
        leaking = server.get("/leak?mebibytes=100")["worker"]
        eventually(lambda: leaking in _writers(tmp_path, "heapsnapshot"))
    kept = sorted(tmp_path.glob("*.heapsnapshot"))
    assert [path.name[7] for path in kept[:2]] == ["5", "6"]
    assert len(kept) == 5
    assert "snapshot" in json.loads(kept[-1].read_text())
    assert client.failures == []
    assert client.fewest_ready == WORKERS


def test_node_writes_no_heap_that_is_larger_than_it_may_be(tmp_path: Path) -> None:
    with serving(
        COMMANDS["node"], tmp_path, workers=1, HCA_SNAPSHOT_DIR=str(tmp_path), HCA_SNAPSHOT_MAX_SIZE="1"
    ) as server:
        (tmp_path / "request").touch()
        eventually(lambda: "no heap snapshot: it is larger than HCA_SNAPSHOT_MAX_SIZE, 1 MiB" in server.log)
    assert list(tmp_path.glob("*-*")) == []


@pytest.mark.parametrize("kind", ["uvicorn", "gunicorn-sync", "node"])
def test_a_wrong_variable_is_one_sentence(kind: str, tmp_path: Path) -> None:
    with serving(COMMANDS[kind], tmp_path, ready=False, HCA_RSS_SAMPLES="few") as server:
        assert server.process.wait(60) != 0
    assert "HCA_RSS_SAMPLES must be a whole number of samples from 1 to 100, not 'few'." in server.log
    assert "Traceback" not in server.log


@pytest.mark.parametrize(
    ("option", "code", "said"),
    [
        ("--help", 0, "--timeout-keep-alive"),
        ("--wrokers", 2, "No such option"),
        ("--reload", 2, "--reload is for development: run uvicorn with it, not hca-uvicorn."),
    ],
)
def test_the_command_line_is_the_one_of_uvicorn(option: str, code: int, said: str, tmp_path: Path) -> None:
    with serving([*UVICORN, option], tmp_path, ready=False) as server:
        assert server.process.wait(60) == code
    assert said in server.log
    assert "Traceback" not in server.log
