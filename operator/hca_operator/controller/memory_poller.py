"""The memory of all pods, read from metrics.k8s.io: one request for each reading, however many APIs there are."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping

from hca_operator.core.errors import HcaError
from hca_operator.core.ports import Key, Measured
from hca_operator.desired.metadata import MANAGED_SELECTOR
from hca_operator.restarts.memory_trend import CYCLE, MemoryTracker, Trend

logger = logging.getLogger(__name__)


class MemoryPoller:
    """Reads the memory of the pods of one namespace, or ("") of all, while this process is the leader."""

    def __init__(
        self,
        source: Measured,
        memory: MemoryTracker,
        namespace: str,
        *,
        told: Callable[[Mapping[tuple[str, str], Trend]], None],
    ) -> None:
        """`told` is given the trend of each object after each reading."""
        self._source = source
        self._memory = memory
        self._namespace = namespace
        self._told = told
        self.looked = asyncio.Event()
        """Set after the first try, whatever came of it."""

    async def run(
        self,
        *,
        leading: Callable[[], Awaitable[None]],
        changed: Callable[[Key], None],
        all_changed: Callable[[], None],
    ) -> None:
        """Read for ever; `all_changed` is called when memory can be read that could not, or the other way round."""
        while True:
            await leading()
            before = self._memory.available
            for key in await self.read():
                changed(key)
            if self.looked.is_set() and before != self._memory.available:
                all_changed()
            self.looked.set()
            await asyncio.sleep(CYCLE)

    async def read(self) -> set[Key]:
        """Read once; the objects that are to be looked at for it."""
        try:
            found = await self._source.readings("PodMetrics", self._namespace, labelSelector=MANAGED_SELECTOR)
        except HcaError as error:
            logger.info("the memory of the pods could not be read: %s", error)
            self._memory.fail(absent=False)
            return set()
        if found is None:
            self._memory.fail(absent=True)
            return set()
        changed = self._memory.take(found)
        self._told(self._memory.trends())
        return {Key(*name) for name in changed}
