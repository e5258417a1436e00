"""State that is kept from one pass to the next, in memory only: it is empty after a restart of the operator."""

from dataclasses import dataclass, field
from typing import NamedTuple

from hca_operator.core.ports import Key
from hca_operator.reconcile.repairs import Repairs
from hca_operator.reconcile.retries import RetryTracker, Slot
from hca_operator.restarts.debounce import DebounceTracker
from hca_operator.restarts.memory_trend import MemoryTracker
from hca_operator.restarts.pod_replacement import ReplacementTracker
from hca_operator.restarts.rollout_gate import RolloutGate
from hca_operator.scaling.burst import BurstTracker


class Applied(NamedTuple):
    """Digests by which a pass sees that a child needs no write."""

    desired: bytes
    """Of what was applied."""
    live: bytes
    """Of the API server's answer."""


@dataclass(frozen=True)
class Trackers:
    """The state of all objects. `observe` reads it, `act` changes it."""

    gate: RolloutGate
    memory: MemoryTracker
    bursts: BurstTracker
    config_changes: DebounceTracker
    replacements: ReplacementTracker = field(default_factory=ReplacementTracker)
    retries: RetryTracker = field(default_factory=RetryTracker)
    repairs: dict[Key, dict[Slot, Repairs]] = field(default_factory=dict)
    user_changes: set[Key] = field(default_factory=set)
    """Objects with a change of a user that could not be written to the Deployment so far."""
    polled: dict[str, set[str]] = field(default_factory=dict)
    """Names of the objects that wait for what no watch reports, by namespace."""
    applied: dict[Key, dict[Slot, Applied]] = field(default_factory=dict)
    """Digests of the last application of each child. Without an entry it is applied again, which changes nothing."""

    def keep_polled(self, key: Key, *, polled: bool) -> None:
        """Store whether an object waits for what no watch reports."""
        if polled:
            self.polled.setdefault(key.namespace, set()).add(key.name)
        elif names := self.polled.get(key.namespace):
            names.discard(key.name)
            if not names:
                del self.polled[key.namespace]

    def forget(self, key: Key) -> None:
        """Drop the state of a deleted object, whose children the garbage collector deletes."""
        self.applied.pop(key, None)
        self.gate.leave(key)
        self.memory.track(key, None)
        self.bursts.forget(key)
        self.config_changes.forget(key)
        self.replacements.keep(key, under_way=False)
        self.retries.forget(key)
        self.repairs.pop(key, None)
        self.user_changes.discard(key)
        self.keep_polled(key, polled=False)
