"""When a changed configuration is rolled out: not in the middle of several changes, and not again and again. Pure."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace

QUIET = 5.0
"""Seconds without another change after which a change is rolled out: what changes together restarts pods once."""
LONGEST_QUIET = 30.0
"""Seconds after the first change at the latest, however often it changes meanwhile."""
SHORTEST_GAP, LONGEST_GAP = 30.0, 600.0
"""Seconds from one rollout to the next: twice as many each time, and few again after as long a rest."""
EARLY = 1.0
"""Seconds by which a change may be rolled out early, so that a pass that comes slightly too soon needs no other one."""
SPREAD = 1.0
"""Seconds over which each further pending change is spread: a ConfigMap of a thousand APIs must not restart all of
them at the same time."""


@dataclass(frozen=True)
class Change:
    """A change that is pending. Times are seconds since the epoch."""

    digest: str
    """Of the latest content."""
    first: float
    due: float
    spread: float
    """Seconds that are added to `due`."""


@dataclass(frozen=True)
class ConfigRollout:
    """The latest rollout for a change."""

    at: float
    """Seconds since the epoch."""
    gap: float
    """Seconds until the next one may begin."""


@dataclass(frozen=True)
class DebounceState:
    """What is known of one object."""

    change: Change | None = None
    rollout: ConfigRollout | None = None


def changed(state: DebounceState, digest: str, now: float, spread: float) -> tuple[DebounceState, float]:
    """Take in that the content differs; returns the seconds until it may be rolled out, 0 for now.

    A record that is later than `now` is of a clock that was set back since, and counts as none.
    """
    change, rollout = state.change, state.rollout
    if change is None or change.first > now:
        change = Change("", now, now, spread)
    if change.digest != digest:
        change = replace(change, digest=digest, due=min(now + QUIET, change.first + LONGEST_QUIET) + change.spread)
    due = change.due if rollout is None or rollout.at > now else max(change.due, rollout.at + rollout.gap)
    return DebounceState(change, rollout), due - now if due - now > EARLY else 0.0


def unchanged(state: DebounceState) -> DebounceState:
    """The content is the one that was rolled out: nothing is pending."""
    return replace(state, change=None)


def after_rollout(state: DebounceState, now: float) -> DebounceState:
    """The pods are being replaced for the change."""
    before, gap = state.rollout, SHORTEST_GAP
    if before is not None and now < before.at + 2 * before.gap:
        gap = min(LONGEST_GAP, 2 * before.gap)
    return DebounceState(rollout=ConfigRollout(now, gap))


class DebounceTracker:
    """The state of every object with a pending change or a rollout.

    Kept in memory: with a new leader every pending change waits anew, and an API may be restarted once more.
    """

    def __init__(self, random: Callable[[], float]) -> None:
        """`random` gives numbers from 0 to 1."""
        self._random = random
        self._states: dict[Hashable, DebounceState] = {}
        self._pending: set[Hashable] = set()

    def state(self, key: Hashable) -> DebounceState:
        """The state of an object."""
        return self._states.get(key, DebounceState())

    def spread(self) -> float:
        """Seconds over which a further change is spread: more, the more changes are pending."""
        return self._random() * len(self._pending) * SPREAD

    def keep(self, key: Hashable, state: DebounceState) -> None:
        """Store the state of an object."""
        self.forget(key)
        if state != DebounceState():
            self._states[key] = state
        if state.change is not None:
            self._pending.add(key)

    def forget(self, key: Hashable) -> None:
        """The object is gone."""
        self._states.pop(key, None)
        self._pending.discard(key)
