"""The cache in the worker's own memory: nothing is faster, and nothing else has to be there.

Bounded, least recently used goes first: a cache without a bound is a memory leak with hits. Each
worker has its own, so for the lifetime of an entry two workers may give different answers.

An entry that is too old is found out when it is asked for, or is not asked for and goes as the least
recently used: the bound holds without anybody looking for old ones, so a hit is two steps in a dictionary.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping


class LocalStore:
    """At most `entries` values."""

    def __init__(self, *, entries: int, timer: Callable[[], float] = time.monotonic) -> None:
        self._entries = entries
        self._timer = timer
        self._kept: OrderedDict[str, tuple[bytes, float]] = OrderedDict()

    async def get(self, keys: Collection[str]) -> dict[str, bytes]:
        """Return those that are there."""
        now, found = self._timer(), {}
        for key in keys:
            value, end = self._kept.get(key, (b"", now))
            if now < end:
                self._kept.move_to_end(key)
                found[key] = value
        return found

    async def set(self, values: Mapping[str, bytes], lifetime: Callable[[], float]) -> None:
        """Keep each, at the cost of the least recently used."""
        for key, value in values.items():
            self._kept[key] = value, self._timer() + lifetime()
            self._kept.move_to_end(key)
            if len(self._kept) > self._entries:
                self._kept.popitem(last=False)
