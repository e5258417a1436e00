"""How many APIs roll at a time because of the operator or a schedule, and not because a user changed them."""

from collections.abc import Callable, Hashable
from typing import Any


class RolloutGate:
    """Places for rollouts that no user asked for: a new operator version, a changed default, a scheduled restart.

    A rollout that fails keeps its place, so a change that breaks APIs stops after the first few. The places are counted
    in memory: a new leader starts with all of them free, which costs that many more rollouts and no outage.
    """

    def __init__(self, places: int, *, on_free: Callable[[Any], object] = lambda _key: None) -> None:
        """`places`: how many may roll at a time; 0 holds all back until their objects change.

        `on_free` is called with the key that has waited longest when a place becomes free, so that thousands of waiting
        objects need not be reconciled again and again.
        """
        self._places = places
        self._on_free = on_free
        self._taken: set[Hashable] = set()
        self._waiting: dict[Hashable, None] = {}

    def has_place(self, key: Hashable) -> bool:
        """Whether the key has a place or could take one."""
        return key in self._taken or len(self._taken) < self._places

    def enter(self, key: Hashable) -> bool:
        """Take a place; without one the key waits, and the answer is False."""
        if not self.has_place(key):
            self._waiting[key] = None
            return False
        self._waiting.pop(key, None)
        self._taken.add(key)
        return True

    def leave(self, key: Hashable) -> None:
        """Give the place back: the API is rolled out, or was changed by its user, or is gone."""
        self._waiting.pop(key, None)
        if key not in self._taken:
            return
        self._taken.discard(key)
        if self._waiting:
            first = next(iter(self._waiting))
            del self._waiting[first]
            self._on_free(first)
