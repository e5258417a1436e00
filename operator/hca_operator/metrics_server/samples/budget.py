"""Limits how many numbers are kept in memory, for each object and in total: pure."""

from collections import Counter
from collections.abc import Hashable


class Budget:
    """Counts the numbers that are kept. An object that exceeds its limit does not affect the others."""

    def __init__(self, of_each: int, of_all: int) -> None:
        self._of_each = of_each
        self._of_all = of_all
        self._kept: Counter[Hashable] = Counter()
        self.total = 0
        """Numbers that are kept, of all owners."""

    def admits(self, owner: Hashable, amount: int) -> bool:
        """Whether an owner may keep `amount` more numbers.

        Once the total has reached its limit, an owner with less than an equal share still may. So the limit is exceeded
        by a factor of two at most.
        """
        kept = self._kept[owner] + amount
        all_right = self.total + amount <= self._of_all or kept <= self._of_all // (len(self._kept) or 1)
        return kept <= self._of_each and all_right

    def add(self, owner: Hashable, amount: int) -> None:
        """Add `amount` to the numbers of an owner; negative for numbers that are no longer kept."""
        self.total += amount
        self._kept[owner] += amount
        if not self._kept[owner]:
            del self._kept[owner]
