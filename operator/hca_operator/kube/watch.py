"""One watch of a kind: lists, follows, goes on after a break, and begins anew where it must. Without an end."""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from random import Random
from typing import Protocol

from hca_operator.core.errors import Expired, HcaError
from hca_operator.core.names import Manifest
from hca_operator.kube.cache import version_of

logger = logging.getLogger(__name__)


LONGEST_WAIT = 30.0
"""Seconds at most between two tries of a watch that fails."""


class ForeverWithJitter:
    """Seconds between tries of a watch, without an end."""

    def __init__(self, longest: float) -> None:
        self._longest = longest
        self._random = Random()  # noqa: S311 - spreads load, keeps no secret

    def __iter__(self) -> Iterator[float]:
        wait = 1.0
        while True:
            yield wait * self._random.uniform(0.8, 1.2)
            wait = min(self._longest, wait * 1.6)


class Source(Protocol):
    """Where lists and watches come from."""

    def pages(self, kind: str, namespace: str, **selectors: str) -> AsyncIterator[tuple[Sequence[Manifest], int]]:
        """A list, page by page, with the version at which it stands."""

    def watch(self, kind: str, namespace: str, version: int, **selectors: str) -> AsyncIterator[tuple[str, Manifest]]:
        """Events after a version, by their type."""


class Watch(ABC):
    """Objects of one kind, in one namespace or ("") in all."""

    def __init__(self, source: Source, kind: str, namespace: str, **selectors: str) -> None:
        self._source = source
        self._kind = kind
        self._namespace = namespace
        self._selectors = selectors
        self.looked = asyncio.Event()
        """Set after the first look, whether or not it succeeded: what is not known is asked for anyway."""

    async def run(self, waits: Iterable[float]) -> None:
        """Watch for ever; `waits` are the seconds between tries while they fail."""
        version: int | None = None
        pauses: Iterator[float] = iter(waits)
        while True:
            try:
                if version is None:
                    version = await self.look()
                heard = False
                async for type_, manifest in self._source.watch(
                    self._kind, self._namespace, version, **self._selectors
                ):
                    version, heard = version_of(manifest), True
                    if type_ != "BOOKMARK":
                        self._happened(type_, manifest)
                if heard:
                    pauses = iter(waits)
                    continue
            except Expired:
                version = None
            except HcaError as error:
                logger.warning("watching %s failed, will retry: %s", self._kind, error)
            self.looked.set()
            await asyncio.sleep(next(pauses))

    async def look(self) -> int:
        """List everything once, whatever the watch has told; the version of the list."""
        listed: list[Manifest] = []
        version = 0
        async for page, at in self._source.pages(self._kind, self._namespace, **self._selectors):
            listed += filter(self._concerns, page)
            version = at
        self._listed(listed, version)
        self.looked.set()
        return version

    def _concerns(self, _manifest: Manifest) -> bool:
        """Whether an object of a list is to be kept until the list is complete."""
        return True

    @abstractmethod
    def _listed(self, manifests: Sequence[Manifest], version: int) -> None:
        """Take in a whole list as it was at a version."""

    @abstractmethod
    def _happened(self, type_: str, manifest: Manifest) -> None:
        """Take in an event: ADDED, MODIFIED or DELETED."""
