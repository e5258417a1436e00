"""Keeps worker processes: as many as wanted, replaced as `recycling` decides, ended with their supervisor.

Signals are waited for, not handled: nothing runs in between, so one thread and no lock are enough.
"""

import logging
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence

from hca_workers.processes.board import BOARD_VARIABLE, Board
from hca_workers.rules.recycling import Act, Verb
from hca_workers.rules.respawning import Deaths
from hca_workers.settings import Settings
from hca_workers.supervision.watch import Watch

_SIGNALS = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD}
_LOOK_EVERY = 0.5


class BrokenAppError(Exception):
    """A worker has ended before any has ever served: whoever started the server is to know, and to try again."""


class Supervisor:
    """Of workers that are all started by the same command and share the inherited descriptors."""

    def __init__(
        self,
        command: Sequence[str],
        settings: Settings,
        *,
        wanted: int,
        descriptors: Sequence[int],
        log: logging.Logger,
    ) -> None:
        self._command = command
        self._settings = settings
        self._wanted = wanted
        self._log = log
        self._board = Board.new()
        self._descriptors = (*descriptors, self._board.descriptor)
        self._environment: Mapping[str, str] = {**os.environ, BOARD_VARIABLE: str(self._board.descriptor)}
        self._watch = Watch(settings, self._board)
        self._workers: dict[int, subprocess.Popen[bytes]] = {}
        self._born: dict[int, float] = {}
        self._deaths = Deaths()
        self._served = False

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT; raises `BrokenAppError`."""
        # Blocked, they stay pending: none is lost. The workers unblock them when they are ready to hear.
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        try:
            while self._turn():
                pass
        finally:
            self._end()

    def _turn(self) -> bool:
        ended = self._reap()
        for act in self._watch.look(self._workers.keys(), wanted=self._wanted, ended=ended):
            self._do(act)
        self._served = self._served or bool(self._board.beats())
        if time.monotonic() >= self._deaths.not_before:
            for _ in range(self._wanted + self._watch.state.surplus - len(self._workers)):
                self._start()
        heard = signal.sigtimedwait(_SIGNALS, _LOOK_EVERY)
        if heard is None:
            return True
        if heard.si_signo == signal.SIGHUP:
            self._watch.ask(self._workers)
        return heard.si_signo not in (signal.SIGTERM, signal.SIGINT)

    def _start(self) -> None:
        worker = subprocess.Popen(  # noqa: S603 - our own interpreter
            self._command, env=self._environment, pass_fds=self._descriptors, stdin=subprocess.DEVNULL
        )
        self._workers[worker.pid] = worker
        self._born[worker.pid] = time.monotonic()

    def _reap(self) -> list[int]:
        now = time.monotonic()
        ended = []
        for pid, worker in list(self._workers.items()):
            code = worker.poll()
            if code is None:
                continue
            del self._workers[pid]
            ended.append(pid)
            age = now - self._born.pop(pid)
            if not self._served:
                raise BrokenAppError(f"worker {pid} ended with code {code} before any had served")
            # One that was told to go is no sign of trouble, however young it was.
            if not self._leaves(pid):
                self._log.error("Worker %d ended with code %d after %.0f s", pid, code, age)
                self._deaths = self._deaths.after(age=age, now=now)
        return ended

    def _leaves(self, pid: int) -> bool:
        change = self._watch.state.replacement
        return change is not None and pid == change.old and change.draining_since is not None

    def _do(self, act: Act) -> None:
        self._log.warning("Worker %d, %s: %s", act.pid, act.verb, act.why)
        if act.verb is Verb.DRAIN:
            self._send(act.pid, signal.SIGTERM)
        elif act.verb is Verb.KILL:
            self._send(act.pid, signal.SIGKILL)

    def _send(self, pid: int, number: signal.Signals) -> None:
        self._workers[pid].send_signal(number)

    def _end(self) -> None:
        for worker in self._workers.values():
            worker.send_signal(signal.SIGTERM)
        end = time.monotonic() + self._settings.policy.kill_timeout
        for pid, worker in self._workers.items():
            try:
                worker.wait(max(0.0, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                self._log.warning("Worker %d, kill: it has not finished in time", pid)
                worker.kill()
                worker.wait()
