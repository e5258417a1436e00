"""Cache-aside: look into the cache, else load and keep what was loaded.

- One load per key: when a popular entry expires, the first request loads it and the others wait
  for that load (the "stampede" or "dogpile" is a hundred requests doing the same work at once).
- Many keys are one question (multi-get), and the missing ones one load.
- Each lifetime is a little different: entries written together, at start or after a deployment,
  would otherwise expire together and send all their load to the database in the same moment.

Where entries are kept is another module's: `local_store` in the worker, `redis_store` for all pods.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Protocol

from shop.observation.metrics import Metrics

_JITTER = 0.2


class Store(Protocol):
    """Values by key, for a while; losing one costs a load and nothing else."""

    async def get(self, keys: Collection[str]) -> dict[str, bytes]:
        """Return those that are there."""

    async def set(self, values: Mapping[str, bytes], lifetime: Callable[[], float]) -> None:
        """Keep each for the seconds that `lifetime` says."""


class Cache:
    """What was loaded, kept for about `seconds`."""

    def __init__(self, store: Store, metrics: Metrics, *, seconds: float) -> None:
        self._store = store
        self._seconds = seconds
        self._loading: dict[str, asyncio.Future[bytes]] = {}
        self._hits = metrics.cache_hits
        self._misses = metrics.cache_misses

    async def get(self, key: str, load: Callable[[], Awaitable[bytes]]) -> bytes:
        """Return the value kept for `key`, else what `load` returns; an error of `load` is not kept."""
        found = await self._store.get([key])
        if key in found:
            self._hits.unwritten += 1
            return found[key]
        self._misses.unwritten += 1
        if key not in self._loading:
            self._loading[key] = asyncio.ensure_future(self._load(key, load))
        # A client that goes away must not cancel the load that others wait for.
        return await asyncio.shield(self._loading[key])

    async def get_many(
        self, keys: Collection[str], load: Callable[[Collection[str]], Awaitable[Mapping[str, bytes]]]
    ) -> dict[str, bytes]:
        """Return the values kept for `keys`, and of the others those that `load` finds."""
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
