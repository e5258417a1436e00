"""Steps of a run: each prints one line, keeps its commands' output in a log, and may run beside the others."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from concurrent.futures import TimeoutError as StillRunning
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Self, TypeVar

from dev import cache

T = TypeVar("T")
Argument = str | Path

LAST_LINES = 12  # of a failed command's output, shown with the error
ANSWERS_WITHIN = 240.0  # seconds: longer than what kubectl is asked to wait for
ENDS_WITHIN_SECONDS = 5.0  # of SIGTERM; then a command is killed
REPORT_EVERY = 60.0  # seconds between two lines that say what is still running


class ClusterError(Exception):
    """What is wrong and what to do about it, in one plain sentence."""


class CancelledStepError(Exception):
    """A step that another one's failure made pointless."""


def say(line: str) -> None:
    print(line, flush=True)


class Commands:
    """The sub-processes that run at this moment, so that a failure beside them ends them too."""

    def __init__(self) -> None:
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._closed = False

    def run(self, command: Sequence[Argument], **options: Any) -> tuple[int, bytes]:
        timeout = options.pop("timeout", None)
        with self._lock:
            if self._closed:
                raise CancelledStepError
            # A session of its own makes a process group of its own: a build's compilers end with it.
            try:
                process = subprocess.Popen([str(part) for part in command], start_new_session=True, **options)
            except FileNotFoundError as error:
                raise ClusterError(f"{command[0]} is not installed here: install it, then try again") from error
            except OSError as error:  # a folder of that name, a file that may not be run, one for other processors
                raise ClusterError(f"{command[0]} cannot be run here ({error.strerror}): install it anew") from error
            self._running.add(process)
        try:
            out, _ = process.communicate(timeout=timeout)
            return process.returncode, out or b""
        finally:
            self._end(process)
            if process.stdout:
                process.stdout.close()
            with self._lock:
                self._running.discard(process)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            running = list(self._running)
        for process in running:
            self._end(process)

    @staticmethod
    def _end(process: subprocess.Popen[bytes]) -> None:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(ENDS_WITHIN_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


@dataclass
class Step:
    """One named piece of work and the log of the commands that it runs."""

    name: str
    log: Path
    commands: Commands = field(default_factory=Commands)
    note: str = ""

    def run(self, *command: Argument, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> None:
        """Run a command for its effect, however long that takes."""
        with self._logged(command) as log:
            self._finish(command, log, stdout=log, env=os.environ | dict(env or {}), cwd=cwd)

    def read(self, *command: Argument, timeout: float = ANSWERS_WITHIN) -> str:
        """Run a command and return what it wrote to its standard output."""
        with self._logged(command) as log:
            out = self._finish(command, log, stdout=subprocess.PIPE, timeout=timeout)
        return out.decode(errors="replace").strip()

    def _finish(self, command: Sequence[Argument], log: IO[bytes], **options: Any) -> bytes:
        try:
            code, out = self.commands.run(command, stdin=subprocess.DEVNULL, stderr=log, **options)
        except subprocess.TimeoutExpired as error:
            raise self.failure(f"`{command_line(command)}` gave no answer in {error.timeout:.0f} s") from error
        if code:
            raise self.failure(f"`{command_line(command)}` failed")
        return out

    def succeeds(self, *command: Argument, timeout: float) -> bool:
        """Tell whether a command ends well in time."""
        with self._logged(command) as log:
            try:
                code, _ = self.commands.run(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, timeout=timeout)
            except (subprocess.TimeoutExpired, ClusterError):
                return False
        return code == 0

    def failure(self, sentence: str) -> ClusterError:
        """Return the error for this step: the sentence, where its log is and how that ends."""
        lines = self.log.read_text(errors="replace").splitlines()[-LAST_LINES:]
        title = f"{self.name}: {sentence}; the whole log is {self.log}"
        return ClusterError("\n".join([title, *(f"  | {line}" for line in lines)]))

    def _logged(self, command: Sequence[Argument]) -> IO[bytes]:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        log = self.log.open("ab", buffering=0)
        log.write(f"$ {command_line(command)}\n".encode(errors="replace"))
        return log


def answer(command: Sequence[Argument], *, timeout: float, **options: Any) -> str | None:
    """Return what a command prints, or nothing where it fails, cannot be run or is not done in time."""
    quiet: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    try:
        code, out = Commands().run(command, timeout=timeout, **quiet, **options)
    except (ClusterError, subprocess.TimeoutExpired):
        return None
    return None if code else out.decode(errors="replace")


def command_line(command: Sequence[Argument]) -> str:
    """Return a command as one short line."""
    line = " ".join(map(str, command)).split("\n")[0]
    return line if len(line) <= 100 else line[:97] + "..."


class Steps:
    """Runs steps beside each other; the first failure ends all of them."""

    def __init__(self) -> None:
        self._commands = Commands()
        self._threads = ThreadPoolExecutor(max_workers=32)
        self._running: dict[str, float] = {}
        self._futures: list[Future[Any]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if error:
            self._commands.close()
        self._threads.shutdown(wait=True, cancel_futures=error is not None)

    def start(self, name: str, work: Callable[[Step], T], *, after: Sequence[Future[Any]] = ()) -> Future[T]:
        """Start a step as soon as the ones that it needs are done."""
        future = self._threads.submit(self._work, name, work, tuple(after))
        self._futures.append(future)
        return future

    def join(self) -> None:
        """Wait for every step started so far; the first failure is raised at once."""
        self.result(*self._futures)

    def result(self, *futures: Future[T]) -> T:
        """Wait for these steps, failing as soon as any step fails, and return the last one's result."""
        while True:
            for future in self._futures:
                if future.done() and (error := future.exception()) and not isinstance(error, CancelledStepError):
                    raise error
            if all(future.done() for future in futures):
                return futures[-1].result()
            self._wait()

    def _wait(self) -> None:
        pending = [future for future in self._futures if not future.done()]
        done, _ = wait(pending, timeout=REPORT_EVERY, return_when="FIRST_COMPLETED")
        if not done:
            now = time.monotonic()
            say("  ... " + ", ".join(f"{name} ({now - since:.0f} s)" for name, since in list(self._running.items())))

    def _work(self, name: str, work: Callable[[Step], T], after: Sequence[Future[Any]]) -> T:
        for needed in after:
            try:
                failed = needed.exception()
            except StillRunning:
                raise CancelledStepError from None
            if failed:
                raise CancelledStepError
        step = Step(name, cache.LOGS / f"{name.replace(' ', '-')}.log", self._commands)
        step.log.unlink(missing_ok=True)
        self._running[name] = began = time.monotonic()
        try:
            result = work(step)
        finally:
            del self._running[name]
        seconds = time.monotonic() - began
        say(f"{seconds:6.1f} s  {name}{': ' if step.note else ''}{step.note}")
        return result
