"""Runs the desired number of worker processes, replaces them as `rules.recycling` decides, and ends them with itself.

Signals are waited for, not handled: no handler interrupts other code, so one thread without locks is enough.
"""

import logging
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence

from hca_workers.processes.heartbeats import DESCRIPTOR_VARIABLE, Heartbeats
from hca_workers.rules.recycling import Action, Verb
from hca_workers.rules.respawning import RestartBackoff
from hca_workers.settings import Settings
from hca_workers.supervision.observer import Observer

_SIGNALS = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD}
_INTERVAL_SECONDS = 0.5


class BrokenAppError(Exception):
    """A worker ended before any worker had served: the server ends as well, so that its caller can try again."""


class Supervisor:
    """Workers that are all started by the same command and share the inherited file descriptors."""

    def __init__(
        self,
        command: Sequence[str],
        settings: Settings,
        *,
        desired: int,
        descriptors: Sequence[int],
        log: logging.Logger,
    ) -> None:
        self._command = command
        self._settings = settings
        self._desired = desired
        self._log = log
        self._heartbeats = Heartbeats.new()
        self._descriptors = (*descriptors, self._heartbeats.descriptor)
        self._environment: Mapping[str, str] = {**os.environ, DESCRIPTOR_VARIABLE: str(self._heartbeats.descriptor)}
        self._observer = Observer(settings, self._heartbeats)
        self._workers: dict[int, subprocess.Popen[bytes]] = {}
        self._started_at: dict[int, float] = {}
        self._backoff = RestartBackoff()
        self._has_served = False

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT; raises `BrokenAppError`."""
        # Blocked signals stay pending, so none is lost. The workers unblock them when they can handle them.
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        try:
            while self._step():
                pass
        finally:
            self._end()

    def _step(self) -> bool:
        ended = self._reap()
        for action in self._observer.observe(self._workers.keys(), desired=self._desired, ended=ended):
            self._perform(action)
        self._has_served = self._has_served or bool(self._heartbeats.times())
        if time.monotonic() >= self._backoff.not_before:
            for _ in range(self._desired + self._observer.state.surplus - len(self._workers)):
                self._start()
        received = signal.sigtimedwait(_SIGNALS, _INTERVAL_SECONDS)
        if received is None:
            return True
        if received.si_signo == signal.SIGHUP:
            self._observer.request_replacement(self._workers)
        return received.si_signo not in (signal.SIGTERM, signal.SIGINT)

    def _start(self) -> None:
        worker = subprocess.Popen(  # noqa: S603 - our own interpreter
            self._command, env=self._environment, pass_fds=self._descriptors, stdin=subprocess.DEVNULL
        )
        self._workers[worker.pid] = worker
        self._started_at[worker.pid] = time.monotonic()

    def _reap(self) -> list[int]:
        now = time.monotonic()
        ended = []
        for pid, worker in list(self._workers.items()):
            code = worker.poll()
            if code is None:
                continue
            del self._workers[pid]
            ended.append(pid)
            age = now - self._started_at.pop(pid)
            if not self._has_served:
                raise BrokenAppError(f"worker {pid} ended with code {code} before any had served")
            # The end of a worker that was drained is no failure, however young it was.
            if not self._is_draining(pid):
                self._log.error("Worker %d ended with code %d after %.0f s", pid, code, age)
                self._backoff = self._backoff.after_death(age_seconds=age, now=now)
        return ended

    def _is_draining(self, pid: int) -> bool:
        current = self._observer.state.replacement
        return current is not None and pid == current.old and current.draining_since is not None

    def _perform(self, action: Action) -> None:
        self._log.warning("Worker %d, %s: %s", action.pid, action.verb, action.reason)
        if action.verb is Verb.DRAIN:
            self._workers[action.pid].send_signal(signal.SIGTERM)
        elif action.verb is Verb.KILL:
            self._workers[action.pid].send_signal(signal.SIGKILL)

    def _end(self) -> None:
        for worker in self._workers.values():
            worker.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + self._settings.policy.kill_timeout_seconds
        for pid, worker in self._workers.items():
            try:
                worker.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                self._log.warning("Worker %d, kill: it has not finished in time", pid)
                worker.kill()
                worker.wait()
