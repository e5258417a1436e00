"""The cache in the worker's own memory: nothing is faster, and nothing else has to be there.

Bounded, least recently used goes first: a cache without a bound is a memory leak with hits. Each
worker has its own, so for the lifetime of an entry two workers may give different answers.
"""

import time
from collections.abc import Callable, Collection, Mapping

from cachetools import TLRUCache


class LocalStore:
    """At most `entries` values."""

    def __init__(self, *, entries: int, timer: Callable[[], float] = time.monotonic) -> None:
        self._kept: TLRUCache[str, tuple[bytes, float], float] = TLRUCache(
            entries, lambda _key, value, now: now + value[1], timer
        )

    async def get(self, keys: Collection[str]) -> dict[str, bytes]:
        """Return those that are there."""
        found = ((key, self._kept.get(key)) for key in keys)
        return {key: kept[0] for key, kept in found if kept is not None}

    async def set(self, values: Mapping[str, bytes], lifetime: Callable[[], float]) -> None:
        """Keep each, at the cost of the least recently used."""
        for key, value in values.items():
            self._kept[key] = (value, lifetime())
