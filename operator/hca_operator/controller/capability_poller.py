"""Reads at intervals which server has the external metrics API: another one may come, or go."""

import asyncio
import logging
from collections.abc import Callable

from hca_operator.core.errors import Forbidden, HcaError
from hca_operator.core.ports import Getter
from hca_operator.scaling.capabilities import REGISTRATION, ExternalMetrics, ServiceName, taken_by_another

logger = logging.getLogger(__name__)

CAPABILITY_POLL_SECONDS = 30.0
CAPABILITY_RETRY_SECONDS = 2.0
"""Between two polls until the first one that succeeds."""


class CapabilityPoller:
    """Keeps `ExternalMetrics` up to date, in an install that serves the external metrics API."""

    def __init__(self, source: Getter, external: ExternalMetrics, ours: ServiceName) -> None:
        self._source = source
        self._external = external
        self._ours = ours
        self.synced = asyncio.Event()
        """Set after the first poll that succeeded. A reconcile before that would write HPAs twice."""

    async def run(self, *, all_changed: Callable[[], None]) -> None:
        """Poll until cancelled; `all_changed` is called when the answer is another one."""
        while True:
            synced, before = self.synced.is_set(), self._external.missing
            await self.poll()
            if synced and before != self._external.missing:
                all_changed()
            await asyncio.sleep(CAPABILITY_POLL_SECONDS if self.synced.is_set() else CAPABILITY_RETRY_SECONDS)

    async def poll(self) -> None:
        """Read the APIService once. A failure changes nothing."""
        try:
            found = await self._source.get("APIService", "", REGISTRATION)
        except Forbidden as error:
            logger.warning("the APIService of the external metrics API cannot be read: %s", error)
        except HcaError as error:
            logger.info("who serves the external metrics API could not be asked: %s", error)
            return
        else:
            self._external.missing = taken_by_another(found, self._ours)
        self.synced.set()
