"""Event-loop lag, resident memory and heartbeat of this worker, measured four times a second.

Loop lag is the one number that shows a worker with too much work: every request waits for it at each step. It is
measured with a timer, as the delay of its call. A scrape sees one moment only, so the largest lag of the last ten
seconds is reported. A loop that is blocked measures nothing: `heartbeats` and `watchdog` find it.
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

_INTERVAL_SECONDS = 0.25
_KEPT_SECONDS = 10
_STANDING_SECONDS = 1


class Vitals:
    """The measurements of this process, updated while `watch` runs."""

    def __init__(self, metrics: Metrics, heartbeats: Heartbeats, watchdog: Watchdog) -> None:
        self.worker = os.getpid()
        self._begin = time.monotonic()
        self._process = psutil.Process()
        self._lags: deque[float] = deque([0.0], maxlen=int(_KEPT_SECONDS / _INTERVAL_SECONDS))
        self._standing = 0.0
        self._metrics = metrics
        self._heartbeats = heartbeats
        self._watchdog = watchdog

    @property
    def loop_lag(self) -> float:
        """Largest lag of the last ten seconds, in seconds."""
        return max(self._lags)

    @property
    def standing_lag(self) -> float:
        """Smallest lag of the last second, in seconds: short bursts do not show in it."""
        return self._standing

    @property
    def resident_memory(self) -> int:
        """Resident memory in bytes, as the memory limit of the server measures it."""
        rss: int = self._process.memory_info().rss
        return rss

    @property
    def uptime(self) -> float:
        """Seconds since the worker was loaded."""
        return time.monotonic() - self._begin

    async def watch(self) -> Never:
        """Measure and write the metrics until cancelled."""
        lag = self._metrics.loop_lag.labels(str(self.worker))
        memory = self._metrics.resident_memory.labels(str(self.worker))
        heartbeat = self._metrics.heartbeat.labels(str(self.worker))
        while True:
            self._heartbeats.beat()
            heartbeat.set_to_current_time()
            self._watchdog.reset()
            # Before the first wait, so that no scrape sees a worker with zero bytes.
            memory.set(self.resident_memory)
            started = time.monotonic()
            await asyncio.sleep(_INTERVAL_SECONDS)
            self.note_lag(max(0.0, time.monotonic() - started - _INTERVAL_SECONDS))
            lag.set(self.loop_lag)

    def note_lag(self, seconds: float) -> None:
        """Add a measured lag. The standing lag is computed here, since every request reads it."""
        self._lags.append(seconds)
        self._standing = min(itertools.islice(reversed(self._lags), int(_STANDING_SECONDS / _INTERVAL_SECONDS)))
