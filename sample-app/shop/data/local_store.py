"""The cache in the memory of the worker: the fastest one, without another service.

It is bounded and evicts the least recently used entry: a cache without a bound is a memory leak. Each worker has its
own, so two workers may give different answers for the lifetime of an entry.

The age of an entry is checked when it is read. An expired entry that is never read again is evicted as the least
recently used one. So no task has to search for expired entries, and a hit costs two operations on a dictionary.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping


class LocalStore:
    """At most `entries` values, each until its lifetime ends."""

    def __init__(self, *, entries: int, timer: Callable[[], float] = time.monotonic) -> None:
        self._entries = entries
        self._timer = timer
        self._stored: OrderedDict[str, tuple[bytes, float]] = OrderedDict()

    async def get(self, keys: Collection[str]) -> dict[str, bytes]:
        """Return the values that are stored and not expired."""
        now, found = self._timer(), {}
        for key in keys:
            value, end = self._stored.get(key, (b"", now))
            if now < end:
                self._stored.move_to_end(key)
                found[key] = value
        return found

    async def set(self, values: Mapping[str, bytes], lifetime: Callable[[], float]) -> None:
        """Store each value; evict the least recently used one above the bound."""
        for key, value in values.items():
            self._stored[key] = value, self._timer() + lifetime()
            self._stored.move_to_end(key)
            if len(self._stored) > self._entries:
                self._stored.popitem(last=False)
