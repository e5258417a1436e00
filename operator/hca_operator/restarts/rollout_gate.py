"""How many APIs roll at a time for the operator's or the clock's sake, and not because somebody changed them."""

from collections.abc import Callable, Hashable
from typing import Any


class RolloutGate:
    """Places for rollouts that no user asked for: a new operator version, a changed default, a restart by the clock.

    One that fails keeps its place, so a change that breaks APIs stops after the first few. The places are counted in
    memory: a new leader starts with all of them free, which costs that many more rollouts and no outage.
    """

    def __init__(self, places: int, *, free: Callable[[Any], object] = lambda _key: None) -> None:
        """`places`: how many may roll at a time; 0 holds all back until their objects change.

        `free` is told of the key that has waited longest when a place becomes free, so that thousands that wait need
        not ask all the time.
        """
        self._places = places
        self._free = free
        self._taken: set[Hashable] = set()
        self._waiting: dict[Hashable, None] = {}

    def enter(self, key: Hashable) -> bool:
        """Take a place, if there is one or the key has it already."""
        if key not in self._taken and len(self._taken) >= self._places:
            self._waiting[key] = None
            return False
        self._waiting.pop(key, None)
        self._taken.add(key)
        return True

    def leave(self, key: Hashable) -> None:
        """Give the place back: rolled out, or changed by its user, or gone."""
        self._waiting.pop(key, None)
        if key not in self._taken:
            return
        self._taken.discard(key)
        if self._waiting:
            first = next(iter(self._waiting))
            del self._waiting[first]
            self._free(first)
