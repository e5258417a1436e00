"""What the heap of a worker consists of, written down when somebody asks for it, and when it grows too big.

Whoever wants to know touches the file `request` in the directory; a worker that reaches the size at which it is to be
replaced does it unasked, once: well before it goes, and before another one is started beside it.

The worker itself only forks. Its child has the same heap, writes it down at the lowest priority and ends, so no request
waits for it. What it costs is bounded by the kernel: half of the memory that the container has left (the other half is
for what the worker changes meanwhile, which is then there twice), a part of the directory, a minute, and one at a time
of all workers that share the directory.

Tracing costs memory and time at every allocation: it is on only where a directory is named.
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

from hca_workers.processes.board import resident_bytes
from hca_workers.processes.memory import room
from hca_workers.settings import MEBIBYTE, Settings, settings_from

KEPT = 5
REQUEST = "request"
_SUFFIX = ".tracemalloc"
_LOOK_EVERY = 0.5
_LONGEST = 60
_PAGE = resource.getpagesize()
_TOO_LITTLE = 16 * MEBIBYTE
"""An interpreter with next to nothing in it takes that much."""
_WRITTEN, _BROKEN, _NO_MEMORY, _NO_SPACE = range(4)

_log = logging.getLogger("hca_workers")


def offer_snapshots(environment: Mapping[str, str] = os.environ) -> None:
    """Begin to trace, and to look whether a snapshot is wanted; nothing where HCA_SNAPSHOT_DIR names no directory.

    To be called in each worker; `hca-uvicorn` and Gunicorn with `hca_workers.gunicorn` do it. Raises `SettingsError`.
    """
    settings = settings_from(environment)
    if settings.snapshot_directory is None:
        return
    if not tracemalloc.is_tracing():
        tracemalloc.start()
    writer = Writer(settings.snapshot_directory, settings)
    threading.Thread(target=writer.watch, name="heap-snapshots", daemon=True).start()


class Writer:
    """Has the heap of this process written down, one snapshot after the other."""

    def __init__(self, directory: Path, settings: Settings) -> None:
        self._worker = os.getpid()
        self._directory = directory
        self._settings = settings
        self._request = self._requested()
        self._wanted = False
        self._was_too_big = False
        self._child: tuple[int, int, int] | None = None
        """Its process id, the descriptor of the lock, and the memory that it may take."""

    @property
    def idle(self) -> bool:
        """Whether nothing is being written."""
        return self._child is None

    def watch(self) -> None:
        """Look for as long as the worker lives."""
        pause = threading.Event()
        while not pause.wait(_LOOK_EVERY):
            self.look()

    def look(self) -> None:
        """Look once: end what is done, and begin what is wanted. It never waits."""
        if self._child is not None and not self._ended(*self._child):
            return
        self._wanted = self._wanted or self._asked() or self._too_big()
        if self._wanted and (lock := _locked(self._directory)) is not None:
            self._wanted = False
            self._begin(lock)

    def _asked(self) -> bool:
        before, self._request = self._request, self._requested()
        return self._request != before

    def _requested(self) -> int | None:
        with suppress(FileNotFoundError):
            return (self._directory / REQUEST).stat().st_mtime_ns
        return None

    def _too_big(self) -> bool:
        if self._was_too_big or (resident_bytes(self._worker) or 0) <= self._settings.policy.max_rss:
            return False
        self._was_too_big = True
        return True

    def _begin(self, lock: int) -> None:
        memory = room() // 2
        if memory < _TOO_LITTLE:
            os.close(lock)
            _refuse(memory)
            return
        child = os.fork()
        if child == 0:
            _write_and_exit(self._directory, self._worker, lock, memory, self._settings.snapshot_max_size)
        self._child = child, lock, memory

    def _ended(self, child: int, lock: int, memory: int) -> bool:
        with suppress(ChildProcessError):  # whoever started the worker ignores SIGCHLD, or waits for every child
            ended, status = os.waitpid(child, os.WNOHANG)
            if not ended:
                return False
            self._tell(os.waitstatus_to_exitcode(status), memory)
        os.close(lock)
        self._child = None
        return True

    def _tell(self, code: int, memory: int) -> None:
        if code == _WRITTEN:
            _log.info("A heap snapshot is in %s", self._directory)
        elif code == _NO_MEMORY:
            _refuse(memory)
        elif code == _NO_SPACE:
            most = self._settings.snapshot_max_size // MEBIBYTE
            _log.warning(
                "No heap snapshot: %s has no room for it, or it is larger than HCA_SNAPSHOT_MAX_SIZE (%d MiB)",
                self._directory,
                most,
            )
        else:
            _log.warning("No heap snapshot: it was not written within %d s, or was killed (code %d)", _LONGEST, code)


def _refuse(memory: int) -> None:
    _log.warning(
        "No heap snapshot: it takes more memory than the %d MiB that it may, half of what the container has left; "
        "raise the limit of the container, or have it taken earlier, by a lower HCA_WORKER_MAX_RSS",
        memory // MEBIBYTE,
    )


def _locked(directory: Path) -> int | None:
    """Return the descriptor that is the right to write, None while another worker has it."""
    lock = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return lock


def _write_and_exit(directory: Path, worker: int, lock: int, memory: int, max_size: int) -> None:
    """What the child does: nothing of the worker's but its memory may be touched."""
    code = _BROKEN
    try:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(_LONGEST)
        signal.set_wakeup_fd(-1)
        gc.disable()  # it would write to every object, and so take the memory of all of them
        # Connections that the worker closes meanwhile must be closed; the lock is held for as long as this process is.
        for descriptor in [int(entry.name) for entry in Path("/proc/self/fd").iterdir()]:
            if descriptor > 2 and descriptor != lock:
                with suppress(OSError):  # the one by which they were listed
                    os.close(descriptor)
        os.nice(19)
        with suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text("1000")  # where memory ends all the same, this one goes
        _limit(resource.RLIMIT_DATA, _data() + memory)
        _limit(resource.RLIMIT_FSIZE, max_size)
        write_snapshot(directory, worker)
        code = _WRITTEN
    except MemoryError:
        code = _NO_MEMORY
    except OSError:
        code = _NO_SPACE
    finally:
        os._exit(code)


def _data() -> int:
    """Return the memory of this process that is its own and can be written, as the kernel counts it for its limit."""
    return int(Path("/proc/self/statm").read_text().split()[5]) * _PAGE


def _limit(what: int, most: int) -> None:
    _, hard = resource.getrlimit(what)
    resource.setrlimit(what, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


def write_snapshot(directory: Path, worker: int) -> Path:
    """Write that of this process under the name of the worker, and remove all but the last few of this directory."""
    for broken_off in directory.glob("*.part"):
        broken_off.unlink(missing_ok=True)
    now = time.time_ns() // 1_000_000
    # To the millisecond: one that was asked for and one at the threshold may come within a second.
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
