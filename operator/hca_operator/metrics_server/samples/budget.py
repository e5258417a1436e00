"""How much may be kept of the objects, of each and of all together: pure."""

from collections import Counter
from collections.abc import Hashable


class Budget:
    """Counts what is kept. What one object has too much of is refused to it alone."""

    def __init__(self, of_each: int, of_all: int) -> None:
        self._of_each = of_each
        self._of_all = of_all
        self._kept: Counter[Hashable] = Counter()
        self.total = 0
        """Of all that is kept."""

    def admits(self, owner: Hashable, amount: int) -> bool:
        """Whether an owner may keep so much more.

        Once all together have reached the limit, an owner with less than an equal share still may, so the limit is
        exceeded by a factor of two at most.
        """
        kept = self._kept[owner] + amount
        all_right = self.total + amount <= self._of_all or kept <= self._of_all // (len(self._kept) or 1)
        return kept <= self._of_each and all_right

    def add(self, owner: Hashable, amount: int) -> None:
        """Count what is kept from now on, or with a negative amount is not kept any more."""
        self.total += amount
        self._kept[owner] += amount
        if not self._kept[owner]:
            del self._kept[owner]
