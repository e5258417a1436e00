"""Snapshots of the heap of a worker, on request and once when it reaches the memory limit.

A snapshot is requested by touching the file `request` in the directory. A worker that reaches the limit writes one by
itself, as soon as it gets there: before another worker is started beside it.

The worker itself only forks. The child has the same heap, writes the snapshot at the lowest priority and ends, so no
request waits for it. The kernel bounds its cost: half of the memory that the container has left (the other half is for
pages that the worker changes meanwhile, which then exist twice), a size of the file, and a minute. One worker at a time
writes, of all that share the directory.

Tracing costs memory and time at every allocation: it is on only if a directory is set.
"""

import fcntl
import gc
import logging
import os
import resource
import signal
import threading
import time
import tracemalloc
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from hca_workers.processes.memory import available_bytes, resident_bytes
from hca_workers.settings import MEBIBYTE, Settings, settings_from

KEPT = 5
REQUEST = "request"
_SUFFIX = ".tracemalloc"
_INTERVAL_SECONDS = 0.5
_TIMEOUT_SECONDS = 60
_PAGE = resource.getpagesize()
_LEAST_BYTES = 16 * MEBIBYTE
"""Memory of an interpreter that has loaded almost nothing."""
_WRITTEN, _BROKEN, _NO_MEMORY, _NO_SPACE = range(4)

_log = logging.getLogger("hca_workers")


def offer_snapshots(environment: Mapping[str, str] = os.environ) -> None:
    """Start tracing and a thread that writes snapshots; do nothing if HCA_SNAPSHOT_DIR is not set.

    Call it in each worker. `hca-uvicorn`, and Gunicorn with `hca_workers.gunicorn`, call it by themselves. Raises
    `SettingsError`.
    """
    settings = settings_from(environment)
    if settings.snapshot_directory is None:
        return
    if not tracemalloc.is_tracing():
        tracemalloc.start()
    writer = Writer(settings.snapshot_directory, settings)
    threading.Thread(target=writer.watch, name="heap-snapshots", daemon=True).start()


class Writer:
    """Writes snapshots of this process, one after the other."""

    def __init__(self, directory: Path, settings: Settings) -> None:
        self._worker = os.getpid()
        self._directory = directory
        self._settings = settings
        self._request_mtime = self._current_request_mtime()
        self._due = False
        self._limit_reached = False
        self._child: tuple[int, int, int] | None = None
        """Process id, descriptor of the lock, and bytes that the child may take."""

    @property
    def idle(self) -> bool:
        """Whether no snapshot is being written."""
        return self._child is None

    def watch(self) -> None:
        """Check until the worker ends."""
        pause = threading.Event()
        while not pause.wait(_INTERVAL_SECONDS):
            self.check()

    def check(self) -> None:
        """Reap a finished child, and fork one if a snapshot is due. It never waits."""
        if self._child is not None and not self._reap(*self._child):
            return
        self._due = self._due or self._is_requested() or self._is_too_big()
        if self._due and (lock := _try_lock(self._directory)) is not None:
            self._due = False
            self._fork(lock)

    def _is_requested(self) -> bool:
        before, self._request_mtime = self._request_mtime, self._current_request_mtime()
        return self._request_mtime != before

    def _current_request_mtime(self) -> int | None:
        with suppress(FileNotFoundError):
            return (self._directory / REQUEST).stat().st_mtime_ns
        return None

    def _is_too_big(self) -> bool:
        if self._limit_reached or (resident_bytes(self._worker) or 0) <= self._settings.policy.max_rss_bytes:
            return False
        self._limit_reached = True
        return True

    def _fork(self, lock: int) -> None:
        memory = available_bytes() // 2
        if memory < _LEAST_BYTES:
            os.close(lock)
            _warn_of_memory(memory)
            return
        child = os.fork()
        if child == 0:
            _write_and_exit(self._directory, self._worker, lock, memory, self._settings.snapshot_max_bytes)
        self._child = child, lock, memory

    def _reap(self, child: int, lock: int, memory: int) -> bool:
        with suppress(ChildProcessError):  # the server ignores SIGCHLD, or has reaped it
            ended, status = os.waitpid(child, os.WNOHANG)
            if not ended:
                return False
            self._log_result(os.waitstatus_to_exitcode(status), memory)
        os.close(lock)
        self._child = None
        return True

    def _log_result(self, code: int, memory: int) -> None:
        if code == _WRITTEN:
            _log.info("A heap snapshot is in %s", self._directory)
        elif code == _NO_MEMORY:
            _warn_of_memory(memory)
        elif code == _NO_SPACE:
            limit = self._settings.snapshot_max_bytes // MEBIBYTE
            _log.warning(
                "No heap snapshot: %s has no room for it, or it is larger than HCA_SNAPSHOT_MAX_SIZE (%d MiB)",
                self._directory,
                limit,
            )
        else:
            _log.warning(
                "No heap snapshot: it was not written within %d s, or was killed (code %d)", _TIMEOUT_SECONDS, code
            )


def _warn_of_memory(memory: int) -> None:
    _log.warning(
        "No heap snapshot: it takes more memory than the %d MiB that it may, half of what the container has left; "
        "raise the limit of the container, or have it taken earlier, by a lower HCA_WORKER_MAX_RSS",
        memory // MEBIBYTE,
    )


def _try_lock(directory: Path) -> int | None:
    """Return the descriptor of the locked directory, None while another worker holds the lock."""
    lock = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return lock


def _write_and_exit(directory: Path, worker: int, lock: int, memory: int, max_bytes: int) -> None:
    """Run the child. It reads the memory that it shares with the worker, and closes all else that it inherited."""
    code = _BROKEN
    try:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(_TIMEOUT_SECONDS)
        signal.set_wakeup_fd(-1)
        gc.disable()  # it would write to every object, and so copy the pages of all of them
        # A connection that the worker closes stays open while the child has it. The lock stays until the child ends.
        for descriptor in [int(entry.name) for entry in Path("/proc/self/fd").iterdir()]:
            if descriptor > 2 and descriptor != lock:
                with suppress(OSError):  # the descriptor of the listing itself
                    os.close(descriptor)
        os.nice(19)
        with suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text(
                "1000"
            )  # if memory runs out nevertheless, the kernel kills the child
        _limit(resource.RLIMIT_DATA, _data_bytes() + memory)
        _limit(resource.RLIMIT_FSIZE, max_bytes)
        write_snapshot(directory, worker)
        code = _WRITTEN
    except MemoryError:
        code = _NO_MEMORY
    except OSError:
        code = _NO_SPACE
    finally:
        os._exit(code)


def _data_bytes() -> int:
    """Return the private, writable memory of this process, as the kernel counts it for RLIMIT_DATA."""
    return int(Path("/proc/self/statm").read_text().split()[5]) * _PAGE


def _limit(kind: int, maximum: int) -> None:
    _, hard = resource.getrlimit(kind)
    resource.setrlimit(kind, (maximum if hard == resource.RLIM_INFINITY else min(maximum, hard), hard))


def write_snapshot(directory: Path, worker: int) -> Path:
    """Write a snapshot of this process, named after the worker, and remove all but the last five of the directory."""
    for unfinished in directory.glob("*.part"):
        unfinished.unlink(missing_ok=True)
    now = time.time_ns() // 1_000_000
    # To the millisecond: a requested snapshot and one at the limit may come within the same second.
    name = f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime(now // 1000))}{now % 1000:03}-{worker}"
    path = directory / f"{name}{_SUFFIX}"
    part = path.with_suffix(".part")
    try:
        tracemalloc.take_snapshot().dump(str(part))
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    part.rename(path)
    for old in sorted(directory.glob(f"*{_SUFFIX}"))[:-KEPT]:
        old.unlink(missing_ok=True)
    return path
