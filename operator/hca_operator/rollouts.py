"""How many APIs roll at a time because the operator changed, not because somebody changed them."""

from collections.abc import Hashable


class RolloutGate:
    """Places for rollouts that no user asked for: a new operator version, a changed default.

    One that fails keeps its place, so a change that breaks APIs stops after the first few. The places are counted in
    memory: a new leader starts with all of them free, which costs that many more rollouts and no outage.
    """

    def __init__(self, places: int) -> None:
        """`places`: how many may roll at a time; 0 holds all back until their objects change."""
        self._places = places
        self._taken: set[Hashable] = set()

    def enter(self, key: Hashable) -> bool:
        """Take a place, if there is one or the key has it already."""
        if key not in self._taken and len(self._taken) >= self._places:
            return False
        self._taken.add(key)
        return True

    def leave(self, key: Hashable) -> None:
        """Give the place back: rolled out, or changed by its user, or gone."""
        self._taken.discard(key)
