"""An in-process cache that stays small, expires gently and loads once.

- Bounded, least recently used goes first: a cache without a bound is a memory leak with hits.
- Each lifetime is a little different: entries written together, at start or after a deployment,
  would otherwise expire together and send all their load to the database in the same moment.
- One load per key: when a popular entry expires, the first request loads it and the others wait
  for that load (the "stampede" or "dogpile" is a hundred requests doing the same work at once).

Each worker process has its own. What must be the same everywhere does not belong here.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from cachetools import TLRUCache

from shop.metrics import Metrics

K = TypeVar("K")
V = TypeVar("V")

_JITTER = 0.2


class Cache(Generic[K, V]):
    """Values by key, at most `entries` of them, each for about `seconds`."""

    def __init__(
        self, metrics: Metrics, *, entries: int, seconds: float, timer: Callable[[], float] = time.monotonic
    ) -> None:
        def expiry(_key: K, _value: V, now: float) -> float:
            spread = random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311 - spreads load, guards nothing
            return now + seconds * spread

        self._kept: TLRUCache[K, V, float] = TLRUCache(entries, expiry, timer)
        self._loading: dict[K, asyncio.Future[V]] = {}
        self._hits = metrics.cache_lookups.labels("hit")
        self._misses = metrics.cache_lookups.labels("miss")

    async def get(self, key: K, load: Callable[[], Awaitable[V]]) -> V:
        """Return the value kept for `key`, else what `load` returns; an error of `load` is not kept."""
        try:
            value = self._kept[key]
        except KeyError:
            self._misses.inc()
        else:
            self._hits.inc()
            return value
        if key not in self._loading:
            self._loading[key] = asyncio.ensure_future(self._load(key, load))
        # A client that goes away must not cancel the load that others wait for.
        return await asyncio.shield(self._loading[key])

    async def _load(self, key: K, load: Callable[[], Awaitable[V]]) -> V:
        try:
            value = await load()
            self._kept[key] = value
        finally:
            del self._loading[key]
        return value
