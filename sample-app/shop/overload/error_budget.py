"""Ten unexpected errors within a minute: the worker is taken out of service and replaced.

An unexpected error may have left something broken behind: a lock that is held, a pool that is
empty. A new process has none of that. Errors that are answers do not count, and neither does a
database that is away: replacing workers heals no dependency.

A bug that anyone can trigger must not take the shop down by this: one worker of a pod at a time,
none within its first minute, and only while all the others are there. The worker says so in
/health, then sends itself SIGTERM: it drains, and the server starts another.
"""

import asyncio
import logging
import os
import signal
import time
from collections import deque
from collections.abc import Callable
from typing import BinaryIO

from shop.observation.metrics import Metrics
from shop.workers.heartbeats import Heartbeats
from shop.workers.slots import WorkerSlot, try_lock

_WINDOW_SECONDS = 60.0
_YOUNGEST_SECONDS = 60.0
_LOOK_SECONDS = 1.0

_log = logging.getLogger("shop.error_budget")


class ErrorBudget:
    """How many unexpected errors a worker may have within the window."""

    def __init__(self, errors: int, metrics: Metrics, *, timer: Callable[[], float] = time.monotonic) -> None:
        self._times: deque[float] = deque(maxlen=errors)
        self._count = metrics.unexpected_errors
        self._timer = timer
        self.spent = asyncio.Event()

    def note(self) -> None:
        """Count an error."""
        self._count.inc()
        self._times.append(self._timer())
        if len(self._times) == self._times.maxlen and self._times[-1] - self._times[0] <= _WINDOW_SECONDS:
            self.spent.set()


class Recycling:
    """Has a worker replaced whose budget is spent, when it is its turn."""

    def __init__(  # noqa: PLR0913 - what it depends on
        self,
        budget: ErrorBudget,
        metrics: Metrics,
        heartbeats: Heartbeats,
        slot: WorkerSlot | None,
        *,
        workers: int,
        uptime: Callable[[], float],
    ) -> None:
        self._budget = budget
        self._metrics = metrics
        self._slot = slot
        self._heartbeats = heartbeats
        self._workers = workers
        self._uptime = uptime
        self._turn: BinaryIO | None = None
        self.begun = False

    async def when_spent(self) -> None:
        """Wait for the budget to be spent and for the turn; then begin to end."""
        await self._budget.spent.wait()
        while not self._is_our_turn():  # noqa: ASYNC110 - other processes have no event to wait for
            await asyncio.sleep(_LOOK_SECONDS)
        self.begun = True
        self._metrics.recycled.inc()
        _log.error("too many unexpected errors, this worker ends and another takes its place")
        os.kill(os.getpid(), signal.SIGTERM)

    def _is_our_turn(self) -> bool:
        if self._uptime() < _YOUNGEST_SECONDS:
            return False
        if self._slot is not None and self._turn is None:
            # Held until this process ends.
            self._turn = try_lock(self._slot.directory / "recycling.turn")
            if self._turn is None:
                return False
        return len(self._heartbeats.ages()) >= self._workers
