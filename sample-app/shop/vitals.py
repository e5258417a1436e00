"""How late the event loop runs and how much memory the worker holds.

Loop lag is the one number that says "this worker is too busy": every request of the worker waits
for it at each step. It is measured by a timer that notes how much later than asked it is called.
A scrape sees one moment only, so the worst of the last seconds is kept. A loop that is blocked
for good measures nothing: that shows as requests that time out.
"""

import asyncio
import os
import time
from collections import deque
from typing import Never

import psutil

from shop.metrics import Metrics

_INTERVAL = 0.25
_KEPT_SECONDS = 10


class Vitals:
    """Of this process, renewed while `watch` runs."""

    def __init__(self, metrics: Metrics) -> None:
        self.worker = os.getpid()
        self._begin = time.monotonic()
        self._process = psutil.Process()
        self._lags: deque[float] = deque([0.0], maxlen=int(_KEPT_SECONDS / _INTERVAL))
        self._metrics = metrics

    @property
    def loop_lag(self) -> float:
        """The worst of the last seconds."""
        return max(self._lags)

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
        while True:
            # First of all, so that no scrape ever sees a worker of no bytes.
            memory.set(self.resident_memory)
            asked = time.monotonic()
            await asyncio.sleep(_INTERVAL)
            self._lags.append(max(0.0, time.monotonic() - asked - _INTERVAL))
            lag.set(self.loop_lag)
