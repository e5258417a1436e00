"""When a changed configuration is rolled out: several changes in a row cause one rollout. Pure."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace

QUIET_SECONDS = 5.0
"""Seconds without another change after which a change is rolled out: changes made together cause one rollout."""
LONGEST_QUIET_SECONDS = 30.0
"""Seconds after the first change when it is rolled out at the latest, however many changes follow."""
SHORTEST_GAP_SECONDS, LONGEST_GAP_SECONDS = 30.0, 600.0
"""Minimum seconds between two rollouts: doubled each time, and reset to the shortest after a pause of that length."""
EARLY_SECONDS = 1.0
"""Seconds by which a change may be rolled out early: a pass that runs slightly too early need not be repeated."""
CHANGE_SPREAD_SECONDS = 1.0
"""Seconds of random delay for each other pending change: a ConfigMap that a thousand APIs use must not restart all of
them at the same time."""


@dataclass(frozen=True)
class Change:
    """A pending change. Times are seconds since the epoch."""

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
    """The pending change and the latest rollout of one object."""

    change: Change | None = None
    rollout: ConfigRollout | None = None


def changed(state: DebounceState, digest: str, now: float, spread: float) -> tuple[DebounceState, float]:
    """The next state when the content differs, and the seconds until it may be rolled out, 0 for now.

    `spread`: random delay in seconds of a new change. A recorded time after `now` is ignored: the clock was set back.
    """
    change, rollout = state.change, state.rollout
    if change is None or change.first > now:
        change = Change("", now, now, spread)
    if change.digest != digest:
        change = replace(
            change, digest=digest, due=min(now + QUIET_SECONDS, change.first + LONGEST_QUIET_SECONDS) + change.spread
        )
    due = change.due if rollout is None or rollout.at > now else max(change.due, rollout.at + rollout.gap)
    return DebounceState(change, rollout), due - now if due - now > EARLY_SECONDS else 0.0


def unchanged(state: DebounceState) -> DebounceState:
    """The next state when the content is the one that was rolled out: nothing is pending."""
    return replace(state, change=None)


def after_rollout(state: DebounceState, now: float) -> DebounceState:
    """The next state after the Deployment was written with the change."""
    before, gap = state.rollout, SHORTEST_GAP_SECONDS
    if before is not None and now < before.at + 2 * before.gap:
        gap = min(LONGEST_GAP_SECONDS, 2 * before.gap)
    return DebounceState(rollout=ConfigRollout(now, gap))


class DebounceTracker:
    """The state of every object with a pending change or a recent rollout.

    Kept in memory: with a new leader the wait of a pending change starts again, and a rollout may come earlier.
    """

    def __init__(self, random: Callable[[], float]) -> None:
        """`random` returns numbers from 0 to 1."""
        self._random = random
        self._states: dict[Hashable, DebounceState] = {}
        self._pending: set[Hashable] = set()

    def state(self, key: Hashable) -> DebounceState:
        """The state of an object."""
        return self._states.get(key, DebounceState())

    def spread(self) -> float:
        """Random delay in seconds for a new change, up to CHANGE_SPREAD_SECONDS for each pending change."""
        return self._random() * len(self._pending) * CHANGE_SPREAD_SECONDS

    def keep(self, key: Hashable, state: DebounceState) -> None:
        """Store the state of an object."""
        self.forget(key)
        if state != DebounceState():
            self._states[key] = state
        if state.change is not None:
            self._pending.add(key)

    def forget(self, key: Hashable) -> None:
        """Drop the state of a deleted object."""
        self._states.pop(key, None)
        self._pending.discard(key)
