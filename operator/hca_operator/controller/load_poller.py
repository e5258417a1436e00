"""Reads the load of all objects that follow bursts from the metrics API: one request for each poll."""

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import datetime

from hca_operator.core.errors import HcaError
from hca_operator.core.names import Manifest
from hca_operator.core.ports import Key, MetricsLister
from hca_operator.core.quantities import parse_quantity
from hca_operator.scaling.burst import BurstTracker, Load, ObjectName

logger = logging.getLogger(__name__)

LOAD_POLL_SECONDS = 1.0
"""Between two polls: pods are scraped every other second, and an answer costs less than a write of a status."""
LOAD_TIMEOUT_SECONDS = 2.0
"""A later answer would be about the past."""


class LoadPoller:
    """Reads the load while this replica is the leader and an object follows bursts; sends no request otherwise."""

    def __init__(self, source: MetricsLister, bursts: BurstTracker, now: Callable[[], datetime]) -> None:
        self._source = source
        self._bursts = bursts
        self._now = now
        self._trouble: str | None = None

    async def run(self, *, leading: Callable[[], Awaitable[None]], changed: Callable[[Key], None]) -> None:
        """Poll until cancelled; `changed` is called for an object whose number of pods has to be raised."""
        while True:
            await leading()
            if self._bursts:
                for key in await self.read():
                    changed(key)
            await asyncio.sleep(LOAD_POLL_SECONDS)

    async def read(self) -> set[Key]:
        """Poll once. Returns the objects that have to be reconciled for it. Without an answer, the load is unknown."""
        now, found, trouble = self._now(), None, None
        try:
            async with asyncio.timeout(LOAD_TIMEOUT_SECONDS):
                found = await self._source.readings("Signal", "")
        except TimeoutError:
            trouble = f"no answer within {LOAD_TIMEOUT_SECONDS:g} seconds"
        except HcaError as error:
            trouble = str(error)
        if trouble is not None and self._trouble is None:
            logger.warning("the load could not be read, so no jump of it is met: %s", trouble)
        self._trouble = trouble
        return {Key(*name) for name in self._bursts.take(_loads(found or ()), now)}


def _loads(signals: Iterable[Manifest]) -> Mapping[ObjectName, Mapping[str, Load]]:
    loads: dict[ObjectName, dict[str, Load]] = {}
    for signal in signals:
        try:
            name = signal["metadata"]["namespace"], signal["metadata"]["name"]
            load = Load(float(parse_quantity(signal["value"])), float(signal.get("window", 0)))
            if not math.isfinite(load.value) or not math.isfinite(load.window):
                raise ValueError("no finite number")
            loads.setdefault(name, {})[signal["metricName"]] = load
        except (KeyError, TypeError, ValueError):
            logger.debug("a load that cannot be read: %s", signal)  # from another release
    return loads
