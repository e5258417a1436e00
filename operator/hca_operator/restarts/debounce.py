"""When a changed configuration is carried out: not in the middle of several changes, and not again and again."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass

QUIET = 5.0
"""Seconds without another change after which a change is carried out: what changes together restarts pods once."""
LONGEST_QUIET = 30.0
"""Seconds after the first change at the latest, however often it changes meanwhile."""
SHORTEST_GAP, LONGEST_GAP = 30.0, 600.0
"""Seconds from one rollout to the next: twice as many each time, and few again after as long a rest."""
EARLY = 1.0
"""Seconds by which a change may be carried out early: a look that comes a moment too soon is not made again."""
SPREAD = 1.0
"""Seconds over which each other change that waits is spread: a ConfigMap of a thousand APIs must not restart all of
them at the same time."""


@dataclass
class _Change:
    digest: str
    due: float
    latest: float
    spread: float


@dataclass(frozen=True)
class _Rollout:
    at: float
    gap: float


class Debounce:
    """Changes that wait, and the rollouts before them.

    Kept in memory: a new leader has every change wait anew, and may restart an API once more than it should.
    """

    def __init__(self, clock: Callable[[], float], chance: Callable[[], float]) -> None:
        """`clock` gives seconds that never go back, `chance` numbers from 0 to 1."""
        self._clock = clock
        self._chance = chance
        self._changes: dict[Hashable, _Change] = {}
        self._rollouts: dict[Hashable, _Rollout] = {}

    def wait(self, key: Hashable, digest: str) -> float:
        """Seconds until a changed configuration may be carried out, 0 for now."""
        now = self._clock()
        change = self._changes.get(key)
        if change is None:
            spread = self._chance() * len(self._changes) * SPREAD
            change = self._changes[key] = _Change("", now, now + LONGEST_QUIET, spread)
        if change.digest != digest:
            change.digest, change.due = digest, min(now + QUIET, change.latest) + change.spread
        rollout = self._rollouts.get(key)
        due = change.due if rollout is None else max(change.due, rollout.at + rollout.gap)
        return due - now if due - now > EARLY else 0.0

    def unchanged(self, key: Hashable) -> None:
        """What is there is what was carried out: nothing waits."""
        self._changes.pop(key, None)

    def carried_out(self, key: Hashable) -> None:
        """The pods are being replaced."""
        now = self._clock()
        before = self._rollouts.get(key)
        gap = SHORTEST_GAP
        if before is not None and now < before.at + 2 * before.gap:
            gap = min(LONGEST_GAP, 2 * before.gap)
        self._rollouts[key] = _Rollout(now, gap)
        self._changes.pop(key, None)

    def forget(self, key: Hashable) -> None:
        """The object is gone."""
        self._changes.pop(key, None)
        self._rollouts.pop(key, None)
