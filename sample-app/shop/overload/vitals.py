"""How late the event loop runs, how much memory the worker holds, and that it lives.

Loop lag is the one number that says "this worker is too busy": every request of the worker waits
for it at each step. It is measured by a timer that notes how much later than asked it is called.
A scrape sees one moment only, so the worst of the last seconds is kept. A loop that is blocked
for good measures nothing: for that there are `heartbeats` and the `watchdog`.
"""

import asyncio
import itertools
import os
import time
from collections import deque
from typing import Never

import psutil

from shop.observation.metrics import Metrics
from shop.workers.heartbeats import Heartbeats
from shop.workers.watchdog import Watchdog

_INTERVAL = 0.25
_KEPT_SECONDS = 10
_STANDING_SECONDS = 1


class Vitals:
    """Of this process, renewed while `watch` runs."""

    def __init__(self, metrics: Metrics, heartbeats: Heartbeats, watchdog: Watchdog) -> None:
        self.worker = os.getpid()
        self._begin = time.monotonic()
        self._process = psutil.Process()
        self._lags: deque[float] = deque([0.0], maxlen=int(_KEPT_SECONDS / _INTERVAL))
        self._standing = 0.0
        self._metrics = metrics
        self._heartbeats = heartbeats
        self._watchdog = watchdog

    @property
    def loop_lag(self) -> float:
        """The worst of the last seconds."""
        return max(self._lags)

    @property
    def standing_lag(self) -> float:
        """The least of the last second: what is left of the lag when a moment's burst is taken out."""
        return self._standing

    @property
    def resident_memory(self) -> int:
        """Bytes, as the server's own memory limit measures them."""
        rss: int = self._process.memory_info().rss
        return rss

    @property
    def uptime(self) -> float:
        """Seconds since the worker was loaded."""
        return time.monotonic() - self._begin

    async def watch(self) -> Never:
        """Measure until cancelled."""
        lag = self._metrics.loop_lag.labels(str(self.worker))
        memory = self._metrics.resident_memory.labels(str(self.worker))
        heartbeat = self._metrics.heartbeat.labels(str(self.worker))
        while True:
            self._heartbeats.beat()
            heartbeat.set_to_current_time()
            self._watchdog.pat()
            # Before the first wait, so that no scrape ever sees a worker of no bytes.
            memory.set(self.resident_memory)
            asked = time.monotonic()
            await asyncio.sleep(_INTERVAL)
            self.note_lag(max(0.0, time.monotonic() - asked - _INTERVAL))
            lag.set(self.loop_lag)

    def note_lag(self, seconds: float) -> None:
        """Take in how late a timer was; every request asks for what follows from it, so it is worked out here."""
        self._lags.append(seconds)
        self._standing = min(itertools.islice(reversed(self._lags), int(_STANDING_SECONDS / _INTERVAL)))
