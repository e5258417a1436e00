"""The base class of the readers of pods: polls each pod of the inventory every two seconds."""

import asyncio
import logging
import math
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from hca_operator.core.names import KIND
from hca_operator.core.ports import Key
from hca_operator.metrics_server.inventory.inventory import Inventory
from hca_operator.metrics_server.pods.scrape import SCRAPE_TIMEOUT_SECONDS, PodClient, ScrapeFailure, pod_client
from hca_operator.metrics_server.polling.pollers import Pollers, poll_at_interval
from hca_operator.metrics_server.samples.sample_store import FEWEST_COUNTS

logger = logging.getLogger(__name__)

POD_POLL_SECONDS = 2.0
"""Between two scrapes of a pod: a few for each window of samples."""
LONGEST_POD_POLL_SECONDS = 30.0
"""The interval doubles for as long as a pod sends COSTLY_BYTES that cannot be read: they are parsed each time.

Not for a pod that could be read within this time: its scrapes may time out because others keep the process busy.
"""
COSTLY_BYTES = 2**16
FIRST_SAMPLES_SECONDS = FEWEST_COUNTS * POD_POLL_SECONDS + SCRAPE_TIMEOUT_SECONDS
"""From the first lists until each pod was read often enough."""

T = TypeVar("T")
Item = TypeVar("Item")


class PodReader(ABC, Generic[T, Item]):
    """Polls pods. Subclasses choose the pods and process their answers."""

    def __init__(
        self, inventory: Inventory[T], pods: str, *, clock: Callable[[], float], phase: Callable[[], float]
    ) -> None:
        """`pods`: the noun for these pods in the reasons of `not_ready`.

        `clock` is monotonic; `phase` returns a number from 0 to 1, and spreads the polls over the interval.
        """
        self._inventory = inventory
        self._pods = pods
        self._clock = clock
        self._phase = phase
        self._client: PodClient
        self._pollers = Pollers(self._poll)
        self._synced_at: float | None = None

    def not_ready(self) -> str | None:
        """Why the values are not complete yet; None once they are."""
        if self._synced_at is None:
            return f"the objects of kind {KIND} and {self._pods} are not listed yet"
        if self._clock() < self._synced_at + FIRST_SAMPLES_SECONDS:
            return f"{self._pods} are being read for the first time"
        return None

    async def run(self) -> None:
        """Read until cancelled."""
        async with pod_client() as self._client, asyncio.TaskGroup() as tasks:
            self._pollers.start(tasks)
            self._inventory.follow(self._changed)
            await asyncio.Event().wait()

    def _changed(self, keys: set[Key]) -> None:
        if self._synced_at is None:
            self._synced_at = self._clock()
        self._update(keys)

    @abstractmethod
    def _update(self, keys: set[Key]) -> None:
        """Poll the pods of these keys as the inventory has them now, and no others."""

    @abstractmethod
    async def _poll(self, api: Key, item: Item, /) -> None:
        """Poll one item until cancelled, by `_poll_pod`."""

    async def _poll_pod(
        self, pod: str, read: Callable[[ScrapeFailure | None], Awaitable[ScrapeFailure | None]]
    ) -> None:
        """Poll until cancelled. `read` gets its previous result; a change of the result is logged once."""
        failure: ScrapeFailure | None = None
        costly, read_at = 0, -math.inf

        async def poll() -> float:
            nonlocal failure, costly, read_at
            before, failure = failure, await read(failure)
            if failure is None:
                read_at = self._clock()
            unread = self._clock() - read_at > LONGEST_POD_POLL_SECONDS
            costly = costly + 1 if failure is not None and unread and failure.received >= COSTLY_BYTES else 0
            if failure is not None and before is None:
                logger.warning("pod %s cannot be read: %s", pod, failure)
            elif failure is None and before is not None:
                logger.info("pod %s can be read again", pod)
            return min(LONGEST_POD_POLL_SECONDS, POD_POLL_SECONDS * 2.0 ** min(costly, 16))

        await poll_at_interval(POD_POLL_SECONDS, poll, clock=self._clock, phase=self._phase())
