"""Ends a sibling that does not run at all, which its own watchdog cannot.

A process that was stopped, or whose every thread is stuck in the kernel, has no timer left that
could end it, and its server sees a child that lives. Its share of the connections hangs until
somebody notices: the other workers do, by its heartbeat.

Looks are counted, not seconds: when a whole pod is frozen and goes on, every beat is old at once and
nobody is to blame.
"""

import asyncio
import logging
import math
import os
import signal
from collections import Counter

from shop.workers.heartbeats import Heartbeats

_INTERVAL = 1.0
_LATE_SECONDS = 2.0  # a busy loop beats late, too
_AFTER_WATCHDOG_SECONDS = 2  # its own end comes with a stack, which says more

_log = logging.getLogger("shop")


class Siblings:
    """The other workers of the pod, ended when they have not beaten for `seconds` and a little more."""

    def __init__(self, heartbeats: Heartbeats, seconds: float) -> None:
        self._heartbeats = heartbeats
        self._enough = math.ceil((seconds + _AFTER_WATCHDOG_SECONDS) / _INTERVAL)
        self._late: Counter[int] = Counter()

    def stopped(self) -> list[int]:
        """Look once; return the process ids that were late at each of the last looks, for long enough."""
        ages = self._heartbeats.ages()
        self._late = Counter({worker: self._late[worker] + 1 for worker, age in ages.items() if age > _LATE_SECONDS})
        return [worker for worker, looks in self._late.items() if looks >= self._enough and worker != os.getpid()]

    async def watch(self) -> None:
        """Look until cancelled."""
        while True:
            for worker in self.stopped():
                _log.error("worker %d has not run for %d seconds and is ended", worker, self._enough)
                os.kill(worker, signal.SIGKILL)
            await asyncio.sleep(_INTERVAL)
