"""The part of Gunicorn's master that replaces workers which hold too much memory.

Gunicorn itself kills silent workers (`timeout`) and restarts dead ones. It has no limit of memory, and does not wait
for a new worker to be ready before it ends the old one. Its SIGTTIN starts one more worker, but SIGTTOU ends the oldest
one instead of the one that leaks. So this module raises the number of workers, drains the worker that leaks, and lowers
the number again when that worker has ended.

A thread of the master observes the workers. It holds a lock meanwhile, and the master forks only without that lock.
"""

import math
import os
import signal
import threading
from collections.abc import Collection
from contextlib import suppress
from dataclasses import replace
from typing import Any

from hca_workers.processes.heartbeats import DESCRIPTOR_VARIABLE, Heartbeats
from hca_workers.rules.recycling import Action, Verb
from hca_workers.settings import Settings
from hca_workers.supervision.observer import Observer

_INTERVAL_SECONDS = 0.5


class Master:
    """Adds replacement by memory to the arbiter of Gunicorn."""

    def __init__(self, server: Any, settings: Settings) -> None:  # noqa: ANN401 - Gunicorn has no types
        self._server = server
        self._lock = threading.Lock()
        self._raised = 0
        self.heartbeats = Heartbeats.new()
        # Gunicorn kills silent workers itself, after a `timeout` that its command line may change.
        self._settings = replace(settings, policy=replace(settings.policy, max_silence_seconds=math.inf))
        self._observer = Observer(self._settings, self.heartbeats)
        os.environ[DESCRIPTOR_VARIABLE] = str(self.heartbeats.descriptor)
        os.register_at_fork(
            before=self._lock.acquire, after_in_parent=self._lock.release, after_in_child=self._lock.release
        )

    @property
    def is_replacing(self) -> bool:
        """Whether a replacement is in progress; in a worker, whether one was when the worker was started."""
        return self._observer.state.surplus > 0

    def watch(self) -> None:
        """Observe the workers until the master ends."""
        pause = threading.Event()
        while not pause.wait(_INTERVAL_SECONDS):
            with self._lock:
                self._observe()

    def exited(self, pid: int) -> None:
        """Handle the end of a worker before Gunicorn starts another: lower the number if none is due."""
        with self._lock:
            self._observe(ended=[pid])
            if (
                self._raised
                and not self._observer.state.surplus
                and len(self._server.WORKERS) < self._server.num_workers
            ):
                self._server.num_workers -= 1
                self._raised = 0

    def reloaded(self) -> None:
        """Forget all state: Gunicorn has reset the number of workers, and replaces every worker itself."""
        with self._lock:
            self._raised = 0
            self._observer = Observer(self._settings, self.heartbeats)

    def _observe(self, *, ended: Collection[int] = ()) -> None:
        desired = self._server.num_workers - self._raised
        for action in self._observer.observe(list(self._server.WORKERS), desired=desired, ended=ended):
            self._server.log.warning("Worker %d, %s: %s", action.pid, action.verb, action.reason)
            self._perform(action)

    def _perform(self, action: Action) -> None:
        if action.verb is Verb.REPLACE:
            self._server.num_workers += 1
            self._raised = 1
        elif action.verb is Verb.DRAIN:
            _send(action.pid, signal.SIGTERM)
        elif action.verb is Verb.KILL:
            _send(action.pid, signal.SIGKILL)


def _send(pid: int, number: signal.Signals) -> None:
    # Gunicorn may have reaped it since it was observed.
    with suppress(ProcessLookupError):
        os.kill(pid, number)
