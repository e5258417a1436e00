"""The load of the objects that follow bursts, read from the metrics API: one request for each reading, for all."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import datetime

from hca_operator.core.errors import HcaError
from hca_operator.core.names import Manifest
from hca_operator.core.ports import Key, Measured
from hca_operator.core.quantities import parse_quantity
from hca_operator.scaling.burst import BurstTracker, Load, Name

logger = logging.getLogger(__name__)

CYCLE = 1.0
"""Seconds between two readings: pods are asked every other second, and an answer costs less than a status."""
PATIENCE = 2.0
"""Seconds after which an answer tells of the past."""


class LoadPoller:
    """Reads the load while this process is the leader and an object follows bursts; asks nobody otherwise."""

    def __init__(self, source: Measured, bursts: BurstTracker, now: Callable[[], datetime]) -> None:
        self._source = source
        self._bursts = bursts
        self._now = now
        self._trouble: str | None = None

    async def run(self, *, leading: Callable[[], Awaitable[None]], changed: Callable[[Key], None]) -> None:
        """Read for ever; `changed` is called for an object whose count is to be raised."""
        while True:
            await leading()
            if self._bursts:
                for key in await self.read():
                    changed(key)
            await asyncio.sleep(CYCLE)

    async def read(self) -> set[Key]:
        """Read once; the objects that are to be looked at for it. Without an answer nothing is known."""
        now, found, trouble = self._now(), None, None
        try:
            async with asyncio.timeout(PATIENCE):
                found = await self._source.readings("Signal", "")
        except TimeoutError:
            trouble = f"no answer within {PATIENCE:g} seconds"
        except HcaError as error:
            trouble = str(error)
        if trouble is not None and self._trouble is None:
            logger.warning("the load could not be read, so no jump of it is met: %s", trouble)
        self._trouble = trouble
        return {Key(*name) for name in self._bursts.take(_loads(found or ()), now)}


def _loads(signals: Iterable[Manifest]) -> Mapping[Name, Mapping[str, Load]]:
    loads: dict[Name, dict[str, Load]] = {}
    for signal in signals:
        try:
            name = signal["metadata"]["namespace"], signal["metadata"]["name"]
            load = Load(float(parse_quantity(signal["value"])), float(signal.get("window", 0)))
            loads.setdefault(name, {})[signal["metricName"]] = load
        except (KeyError, TypeError, ValueError):
            logger.debug("a load that cannot be read: %s", signal)  # of a release with other words
    return loads
