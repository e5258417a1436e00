"""Limits how many APIs roll out at a time because of the operator or a schedule, not because a user changed them."""

from collections.abc import Callable, Hashable
from typing import Any


class RolloutGate:
    """Places for rollouts that no user requested: a new operator version, a changed default, a scheduled restart.

    A rollout that fails keeps its place, so a change that breaks APIs stops after the first few. The places are kept
    in memory: with a new leader all of them are free, so at most that many more rollouts run at a time.
    """

    def __init__(self, places: int, *, on_free: Callable[[Any], object] = lambda _key: None) -> None:
        """`places`: how many APIs may roll out at a time; with 0, each waits until a user changes its object.

        `on_free` is called when a place becomes free, with the key that has waited longest, so that thousands of
        waiting objects need not be reconciled repeatedly.
        """
        self._places = places
        self._on_free = on_free
        self._taken: set[Hashable] = set()
        self._waiting: dict[Hashable, None] = {}

    def has_place(self, key: Hashable) -> bool:
        """Whether the key has a place or a place is free."""
        return key in self._taken or len(self._taken) < self._places

    def enter(self, key: Hashable) -> bool:
        """Take a place. Returns False if none is free: then the key waits for one."""
        if not self.has_place(key):
            self._waiting[key] = None
            return False
        self._waiting.pop(key, None)
        self._taken.add(key)
        return True

    def leave(self, key: Hashable) -> None:
        """Free the place of an API that is rolled out, was changed by its user, or was deleted."""
        self._waiting.pop(key, None)
        if key not in self._taken:
            return
        self._taken.discard(key)
        if self._waiting:
            first = next(iter(self._waiting))
            del self._waiting[first]
            self._on_free(first)
