"""One list and watch of a kind, repeated without an end: the base of everything that is kept up to date from events."""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from random import Random

from hca_operator.core.errors import Expired, HcaError
from hca_operator.core.names import Manifest
from hca_operator.core.ports import ListerWatcher
from hca_operator.kube.cache import version_of
from hca_operator.kube.faults import survived

logger = logging.getLogger(__name__)

FIRST_WATCH_BACKOFF_SECONDS = 1.0
LONGEST_WATCH_BACKOFF_SECONDS = 30.0


class EndlessBackoff:
    """Seconds between the tries of a list or a watch that fails: growing, with jitter, and without an end."""

    def __init__(self) -> None:
        self._random = Random()  # noqa: S311 - spreads load, keeps no secret

    def __iter__(self) -> Iterator[float]:
        seconds = FIRST_WATCH_BACKOFF_SECONDS
        while True:
            yield seconds * self._random.uniform(0.8, 1.2)
            seconds = min(LONGEST_WATCH_BACKOFF_SECONDS, seconds * 1.6)


class Informer(ABC):
    """Lists and watches the objects of one kind, in one namespace or ("") in all. Subclasses keep what they need."""

    def __init__(self, source: ListerWatcher, kind: str, namespace: str, **selectors: str) -> None:
        self._source = source
        self._kind = kind
        self._namespace = namespace
        self._selectors = selectors
        self.tried = asyncio.Event()
        """Set after the first list, even one that failed: what a cache misses is read from the API server."""

    async def run(self, backoff: Iterable[float]) -> None:
        """List and watch until cancelled; `backoff` has the seconds between tries while they fail."""
        version: int | None = None
        pauses: Iterator[float] = iter(backoff)
        while True:
            try:
                if version is None:
                    version = await self.relist()
                received = False
                async for type_, manifest in self._source.watch(
                    self._kind, self._namespace, version, **self._selectors
                ):
                    version, received = version_of(manifest), True
                    if type_ != "BOOKMARK":
                        with survived(f"watch of {self._kind}"):
                            self._on_event(type_, manifest)
                if received:
                    pauses = iter(backoff)
                    continue
            except Expired:
                version = None
            except HcaError as error:
                logger.warning("watching %s failed, will retry: %s", self._kind, error)
            self.tried.set()
            await asyncio.sleep(next(pauses))

    async def relist(self) -> int:
        """List all objects once, also beside the watch. Returns the resource version of the list. Raises HcaError."""
        listed: list[Manifest] = []
        version = 0
        async for page, at in self._source.pages(self._kind, self._namespace, **self._selectors):
            listed += map(self._strip, filter(self._needs, page))
            version = at
        self._on_list(listed, version)
        self.tried.set()
        return version

    def _needs(self, _manifest: Manifest) -> bool:
        """Whether an object of a page is kept in memory until the list is complete."""
        return True

    def _strip(self, manifest: Manifest) -> Manifest:
        """What of an object of a page is kept in memory until the list is complete."""
        return manifest

    @abstractmethod
    def _on_list(self, manifests: Sequence[Manifest], version: int) -> None:
        """Take in a whole list and its resource version."""

    @abstractmethod
    def _on_event(self, type_: str, manifest: Manifest) -> None:
        """Take in an event: ADDED, MODIFIED or DELETED."""
