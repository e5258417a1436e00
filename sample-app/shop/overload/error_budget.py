"""Error budget: after ten unexpected errors within a minute, the worker is replaced.

An unexpected error may leave a broken state behind, such as a held lock or an empty pool. A new process has a clean
state. Errors that are regular answers do not count, and neither does an unavailable database: new workers do not
repair a dependency.

A bug that clients can trigger must not take the shop down this way. One worker of a pod is replaced at a time, none
within its first minute, and only while all others are alive. The worker reports `recycling` in /health and sends itself
SIGTERM: it drains, and the server starts another one.
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
_MIN_UPTIME_SECONDS = 60.0
_CHECK_SECONDS = 1.0

_log = logging.getLogger("shop.error_budget")


class ErrorBudget:
    """The unexpected errors of the last minute; the event `spent` is set when there are `errors` of them."""

    def __init__(self, errors: int, metrics: Metrics, *, timer: Callable[[], float] = time.monotonic) -> None:
        self._times: deque[float] = deque(maxlen=errors)
        self._count = metrics.unexpected_errors
        self._timer = timer
        self.spent = asyncio.Event()

    def note(self) -> None:
        """Count an unexpected error."""
        self._count.inc()
        self._times.append(self._timer())
        if len(self._times) == self._times.maxlen and self._times[-1] - self._times[0] <= _WINDOW_SECONDS:
            self.spent.set()


class Recycling:
    """Ends this worker after its budget is spent, so that the server replaces it."""

    def __init__(  # noqa: PLR0913 - its dependencies
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
        self._lock: BinaryIO | None = None
        self.begun = False

    async def when_spent(self) -> None:
        """Wait until the budget is spent and the worker may end; then send SIGTERM to this process."""
        await self._budget.spent.wait()
        while not self._may_end():  # noqa: ASYNC110 - other processes set no event
            await asyncio.sleep(_CHECK_SECONDS)
        self.begun = True
        self._metrics.recycled.inc()
        _log.error("too many unexpected errors: this worker ends and is replaced")
        os.kill(os.getpid(), signal.SIGTERM)

    def _may_end(self) -> bool:
        if self._uptime() < _MIN_UPTIME_SECONDS:
            return False
        if self._slot is not None and self._lock is None:
            # One worker of the pod at a time: the lock is held until this process ends.
            self._lock = try_lock(self._slot.directory / "recycling.turn")
            if self._lock is None:
                return False
        return len(self._heartbeats.ages()) >= self._workers
