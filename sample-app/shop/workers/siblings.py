"""Kills another worker of the pod that does not run at all, which its own watchdog cannot do.

A process that is stopped (SIGSTOP), or whose threads all hang in the kernel, runs no timer that could end it, and the
server sees a live child. Its share of the connections hangs until the other workers notice its old heartbeat.

Checks are counted instead of seconds: when a whole pod was frozen and continues, every heartbeat is old at once, and no
worker is at fault.
"""

import asyncio
import logging
import math
import os
import signal
from collections import Counter

from shop.workers.heartbeats import Heartbeats

_CHECK_SECONDS = 1.0
_LATE_SECONDS = 2.0  # a busy loop also beats late
_AFTER_WATCHDOG_SECONDS = 2  # the watchdog also logs the stack, so it goes first

_log = logging.getLogger("shop")


class Siblings:
    """The other workers of the pod; one without a heartbeat for `seconds` and two more is killed."""

    def __init__(self, heartbeats: Heartbeats, seconds: float) -> None:
        self._heartbeats = heartbeats
        self._max_checks = math.ceil((seconds + _AFTER_WATCHDOG_SECONDS) / _CHECK_SECONDS)
        self._late: Counter[int] = Counter()

    def stopped(self) -> list[int]:
        """Check once; return the process ids whose heartbeat was late in each of enough checks in a row."""
        ages = self._heartbeats.ages()
        self._late = Counter({worker: self._late[worker] + 1 for worker, age in ages.items() if age > _LATE_SECONDS})
        return [worker for worker, checks in self._late.items() if checks >= self._max_checks and worker != os.getpid()]

    async def watch(self) -> None:
        """Check and kill until cancelled."""
        while True:
            for worker in self.stopped():
                _log.error("worker %d has not run for %d seconds and is killed", worker, self._max_checks)
                os.kill(worker, signal.SIGKILL)
            await asyncio.sleep(_CHECK_SECONDS)
