"""Reads the memory of all pods from metrics.k8s.io: one request for each poll, however many APIs there are."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence

from hca_operator.core.errors import HcaError, TooLarge
from hca_operator.core.names import API_LABEL, REPLACED_LABEL, Manifest
from hca_operator.core.ports import Key, MetricsLister
from hca_operator.desired.metadata import MANAGED_SELECTOR
from hca_operator.restarts.memory_trend import CYCLE_SECONDS, MemoryTracker, Trend

logger = logging.getLogger(__name__)


class MemoryPoller:
    """Reads the memory of the pods of one namespace, or ("") of all, while this replica is the leader."""

    def __init__(
        self,
        source: MetricsLister,
        memory: MemoryTracker,
        namespace: str,
        *,
        observe_trends: Callable[[Mapping[tuple[str, str], Trend]], None],
    ) -> None:
        """`observe_trends` is called after each poll with the trends by namespace and name of the object."""
        self._source = source
        self._memory = memory
        self._namespace = namespace
        self._observe_trends = observe_trends
        self.tried = asyncio.Event()
        """Set after the first poll, even one that failed."""

    async def run(
        self,
        *,
        leading: Callable[[], Awaitable[None]],
        changed: Callable[[Key], None],
        all_changed: Callable[[], None],
    ) -> None:
        """Poll until cancelled. `leading` returns as soon as this replica is the leader.

        `changed` is called for an object whose pods need something; `all_changed` when memory can be read that could
        not be read before, or the other way round.
        """
        while True:
            await leading()
            before = self._memory.available
            for key in await self.read():
                changed(key)
            if self.tried.is_set() and before != self._memory.available:
                all_changed()
            self.tried.set()
            await asyncio.sleep(CYCLE_SECONDS)

    async def read(self) -> set[Key]:
        """Poll once. Returns the objects that have to be reconciled for it."""
        try:
            found = await self._readings()
        except HcaError as error:
            logger.info("the memory of the pods could not be read: %s", error)
            self._memory.fail(absent=False)
            return set()
        if found is None:
            self._memory.fail(absent=True)
            return set()
        changed = self._memory.take(found)
        self._observe_trends(self._memory.trends())
        return {Key(*name) for name in changed}

    async def _readings(self) -> Sequence[Manifest] | None:
        """The PodMetrics of all pods; by namespace if they are too large together: pods may have a mebibyte of labels.

        Those of a namespace that are too large by themselves are left out.
        """
        try:
            return await self._source.readings("PodMetrics", self._namespace, labelSelector=MANAGED_SELECTOR)
        except TooLarge as error:
            logger.info("the memory of the pods is read by namespace: %s", error)
        found: list[Manifest] = []
        for namespace in sorted(self._memory.namespaces()):
            try:
                read = await self._source.readings("PodMetrics", namespace, labelSelector=MANAGED_SELECTOR)
                found += map(_with_few_labels, read or ())
            except TooLarge as error:
                logger.info("the memory of the pods of a namespace could not be read: %s", error)
        return found


def _with_few_labels(reading: Manifest) -> Manifest:
    """The same PodMetrics with the labels that are read."""
    labels = reading["metadata"].get("labels") or {}
    kept = {name: labels[name] for name in (API_LABEL, REPLACED_LABEL) if name in labels}
    return {**reading, "metadata": {**reading["metadata"], "labels": kept}}
