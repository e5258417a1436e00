"""Cache-aside: read from the cache; on a miss, load the value and store it.

- One load per key: when a popular entry expires, the first request loads it and the others wait for that load. Without
  this, a hundred requests do the same work at once (a "stampede" or "dogpile").
- Many keys are one lookup (multi-get), and the missing ones one load.
- Lifetimes differ by up to a fifth: entries stored together, at start or after a deployment, would otherwise expire
  together and send all their load to the database at once.

Stores are separate modules: `local_store` in the memory of the worker, `redis_store` for all pods.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Protocol

from shop.observation.metrics import Metrics

_JITTER = 0.2


class Store(Protocol):
    """Values by key, each for a limited time. A store may lose values: that costs only a load."""

    async def get(self, keys: Collection[str]) -> dict[str, bytes]:
        """Return the values that are found, by key."""

    async def set(self, values: Mapping[str, bytes], lifetime: Callable[[], float]) -> None:
        """Store each value for the seconds that a call of `lifetime` returns."""


class Cache:
    """Values of a store with a lifetime of about `seconds`, loaded on a miss."""

    def __init__(self, store: Store, metrics: Metrics, *, seconds: float) -> None:
        self._store = store
        self._seconds = seconds
        self._loading: dict[str, asyncio.Future[bytes]] = {}
        self._hits = metrics.cache_hits
        self._misses = metrics.cache_misses

    async def get(self, key: str, load: Callable[[], Awaitable[bytes]]) -> bytes:
        """Return the value of `key`, from the store or from `load`; an error of `load` is raised and not stored."""
        found = await self._store.get([key])
        if key in found:
            self._hits.unwritten += 1
            return found[key]
        self._misses.unwritten += 1
        if key not in self._loading:
            self._loading[key] = asyncio.ensure_future(self._load(key, load))
        # A client that disconnects must not cancel the load that others wait for.
        return await asyncio.shield(self._loading[key])

    async def get_many(
        self, keys: Collection[str], load: Callable[[Collection[str]], Awaitable[Mapping[str, bytes]]]
    ) -> dict[str, bytes]:
        """Return the values of `keys` that the store or `load` has; `load` gets the missing keys."""
        found = await self._store.get(keys)
        missing = [key for key in keys if key not in found]
        self._hits.unwritten += len(found)
        self._misses.unwritten += len(missing)
        if missing:
            loaded = await load(missing)
            await self._store.set(loaded, self._lifetime)
            found.update(loaded)
        return found

    async def _load(self, key: str, load: Callable[[], Awaitable[bytes]]) -> bytes:
        try:
            value = await load()
            await self._store.set({key: value}, self._lifetime)
        finally:
            del self._loading[key]
        return value

    def _lifetime(self) -> float:
        spread = random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311 - spreads load, guards nothing
        return self._seconds * spread
