"""The part of Gunicorn's master that replaces workers which hold too much memory.

Gunicorn finds silent workers by itself (`timeout`) and starts dead ones anew. What it lacks is a
limit of memory, with a new worker that is ready before the old one goes. Its SIGTTIN would start
one more, but SIGTTOU ends the oldest, whichever leaks: so the count is raised, the leaking one is
told to finish, and the count is lowered at the moment at which that one is gone.

A thread of the master looks; it holds a lock whenever it does, and the master forks only without it.
"""

import math
import os
import signal
import threading
from collections.abc import Collection
from contextlib import suppress
from dataclasses import replace
from typing import Any

from hca_workers.processes.board import BOARD_VARIABLE, Board
from hca_workers.rules.recycling import Act, Verb
from hca_workers.settings import Settings
from hca_workers.supervision.watch import Watch

_LOOK_EVERY = 0.5


class Master:
    """Gunicorn's, as far as this package changes what it does."""

    def __init__(self, server: Any, settings: Settings) -> None:  # noqa: ANN401 - Gunicorn has no types
        self._server = server
        self._lock = threading.Lock()
        self._raised = 0
        self.board = Board.new()
        # Gunicorn looks for silent workers itself, by a `timeout` that its command line may set to another one.
        self._settings = replace(settings, policy=replace(settings.policy, max_silence=math.inf))
        self._watch = Watch(self._settings, self.board)
        os.environ[BOARD_VARIABLE] = str(self.board.descriptor)
        os.register_at_fork(
            before=self._lock.acquire, after_in_parent=self._lock.release, after_in_child=self._lock.release
        )

    @property
    def replaces(self) -> bool:
        """Whether there is one worker more than wanted; in a worker, whether there was when it was started."""
        return self._watch.state.surplus > 0

    def watch(self) -> None:
        """Look at the workers for as long as the master lives."""
        pause = threading.Event()
        while not pause.wait(_LOOK_EVERY):
            with self._lock:
                self._look()

    def exited(self, pid: int) -> None:
        """A worker is gone: before Gunicorn starts another one in its place, say whether there is to be one."""
        with self._lock:
            self._look(ended=[pid])
            if self._raised and not self._watch.state.surplus and len(self._server.WORKERS) < self._server.num_workers:
                self._server.num_workers -= 1
                self._raised = 0

    def reloaded(self) -> None:
        """Gunicorn counts anew, and replaces every worker itself."""
        with self._lock:
            self._raised = 0
            self._watch = Watch(self._settings, self.board)

    def _look(self, *, ended: Collection[int] = ()) -> None:
        wanted = self._server.num_workers - self._raised
        for act in self._watch.look(list(self._server.WORKERS), wanted=wanted, ended=ended):
            self._server.log.warning("Worker %d, %s: %s", act.pid, act.verb, act.why)
            self._do(act)

    def _do(self, act: Act) -> None:
        if act.verb is Verb.REPLACE:
            self._server.num_workers += 1
            self._raised = 1
        elif act.verb is Verb.DRAIN:
            _send(act.pid, signal.SIGTERM)
        elif act.verb is Verb.KILL:
            _send(act.pid, signal.SIGKILL)


def _send(pid: int, number: signal.Signals) -> None:
    # Gunicorn may have reaped it since it was looked at.
    with suppress(ProcessLookupError):
        os.kill(pid, number)
