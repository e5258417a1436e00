"""More pods at once when the load jumps (spec.autoscaling.burst): pure.

The HorizontalPodAutoscaler (HPA) decides every 15 s, from the mean load of the last 10 s. Here the load is judged each
second, from the last few seconds; the pods that a jump needs become a floor for `window`, after which the HPA decides
alone. The rule and its reasons: docs/design/0016-bursts.md.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from hca_operator.api.metric_types import CONCURRENCY
from hca_operator.api.spec import ApiObject
from hca_operator.core.durations import parse_duration
from hca_operator.core.names import Manifest
from hca_operator.core.observed import replicas_of
from hca_operator.core.timestamps import time_of
from hca_operator.desired.scaling import autoscaling_wanted, pod_load
from hca_operator.desired.sizing import Sizing
from hca_operator.scaling.floors import Floor, Source

MAX_GAP = timedelta(seconds=10)
"""Two readings above the threshold that are further apart than this do not belong to the same jump."""

ObjectName = tuple[str, str]
"""Namespace and name of an object."""


class Load(NamedTuple):
    """The value of one metric of an object."""

    value: float
    window: float
    """Seconds over which the value was measured, up to now."""


@dataclass(frozen=True)
class BurstPolicy:
    """What counts as a jump for an object, and what follows from it."""

    targets: Mapping[str, float]
    """Target load of one pod, by external metric name."""
    threshold: float
    """A load is a jump if it needs this many times the desired number of pods."""
    max_pods: int
    window: timedelta
    """For how long a floor holds after a jump."""


NO_BURST = Floor(Source.BURST)


def burst_policy(api: ApiObject, sizing: Sizing) -> BurstPolicy | None:
    """The policy of an object; None if bursts are disabled, or neither hold nor metrics allow them."""
    scaling = api.spec.autoscaling
    up = scaling.behavior.scale_up
    forbidden = scaling.hold in {"ScaleUp", "Both"} or (up is not None and up.select_policy == "Disabled")
    targets = dict(found for metric in scaling.metrics if (found := pod_load(metric, sizing)))
    wanted = autoscaling_wanted(api) and scaling.burst.mode == "Enabled" and api.spec.reconciliation == "Active"
    if not wanted or forbidden or not targets:
        return None
    return BurstPolicy(
        {metric: float(target) for metric, target in targets.items()},
        threshold=scaling.burst.threshold_percent / 100,
        max_pods=scaling.max_replicas,
        window=timedelta(seconds=parse_duration(scaling.burst.window)),
    )


class BurstState(NamedTuple):
    """The burst of one object, as `BurstTracker` has it."""

    floor: Floor = NO_BURST
    """The last floor that was stored with `keep`."""
    needed: int = 0
    """Pods that the jump needs, by the latest reading; 0 without a jump."""


def burst_floor(policy: BurstPolicy | None, state: BurstState, status: Manifest, now: datetime) -> Floor:
    """The burst floor of an object at `now`. A floor in its stored status, set by an earlier leader, stays in force."""
    if policy is None:
        return NO_BURST
    known = (state.floor, _floor_in(status))
    floor = max(known, key=lambda floor: floor.until or datetime.min.replace(tzinfo=UTC))
    # Other clients may write the status: a floor that ends later than a window from now was not set by the operator.
    if floor.until is None or not now < floor.until <= now + policy.window:
        floor = NO_BURST
    if state.needed > floor.pods:
        floor = Floor(Source.BURST, state.needed, (now + policy.window).replace(microsecond=0))
    return Floor(Source.BURST, min(floor.pods, policy.max_pods), floor.until)


class _Interval(NamedTuple):
    """Consecutive readings above the threshold."""

    first: datetime
    last: datetime


@dataclass
class _Tracked:
    policy: BurstPolicy
    pods: int
    """The desired number of pods."""
    starting: bool
    """Whether some of them are not ready yet."""
    intervals: dict[str, _Interval] = field(default_factory=dict)
    """By external metric name."""
    needed: int = 0
    """Pods that the jump needs; 0 without a jump."""

    def judge(self, loads: Mapping[str, Load], now: datetime) -> None:
        """Update `needed` from a reading. A metric without a value neither begins nor ends a jump."""
        found = [self._judge(metric, loads[metric], now) for metric in self.policy.targets if metric in loads]
        needed = min(max(found, default=0), self.policy.max_pods)
        self.needed = needed if needed > self.pods else 0

    def _judge(self, metric: str, load: Load, now: datetime) -> int:
        share = load.value / self.policy.targets[metric]
        # While new pods start, requests queue up: they belong to the jump for which the pods were started.
        piling_up = self.starting and metric == CONCURRENCY.external
        if not self.pods or share < self.policy.threshold * self.pods or piling_up:
            self.intervals.pop(metric, None)
            return 0
        before = self.intervals.get(metric)
        first = before.first if before and now - before.last <= MAX_GAP else now
        self.intervals[metric] = _Interval(first, now)
        # Two readings that share a sample count as one: a single wrong sample would be in both.
        proven = first < now and first <= now - timedelta(seconds=load.window)
        return math.ceil(round(share, 6)) if proven else 0


class BurstTracker:
    """Detects jumps in the load of all objects with a `BurstPolicy`."""

    def __init__(self) -> None:
        self._tracked: dict[ObjectName, _Tracked] = {}
        self._floors: dict[ObjectName, Floor] = {}

    def __len__(self) -> int:
        """The number of objects that are tracked."""
        return len(self._tracked)

    def state(self, name: ObjectName) -> BurstState:
        """The state of an object, for `burst_floor`."""
        tracked = self._tracked.get(name)
        return BurstState(self._floors.get(name, NO_BURST), 0 if tracked is None else tracked.needed)

    def keep(self, name: ObjectName, floor: Floor) -> None:
        """Store the floor that `burst_floor` computed from `state`; it covers the jump, so `needed` becomes 0."""
        self._floors[name] = floor
        if (tracked := self._tracked.get(name)) is not None:
            tracked.needed = 0

    def forget(self, name: ObjectName) -> None:
        """Drop the state of an object that was deleted or no longer has a `BurstPolicy`."""
        self._tracked.pop(name, None)
        self._floors.pop(name, None)

    def track(self, name: ObjectName, policy: BurstPolicy, deployment: Manifest) -> None:
        """Set the policy of an object, and its desired and ready pods from its Deployment."""
        # The count may have been raised after this state of the Deployment.
        pods = max(replicas_of(deployment), self._floors.get(name, NO_BURST).pods)
        starting = deployment.get("status", {}).get("readyReplicas", 0) < pods
        if (tracked := self._tracked.get(name)) is None:
            self._tracked[name] = _Tracked(policy, pods, starting)
        else:
            tracked.policy, tracked.pods, tracked.starting = policy, pods, starting

    def take(self, loads: Mapping[ObjectName, Mapping[str, Load]], now: datetime) -> set[ObjectName]:
        """Process a reading of all objects. Returns the objects whose number of pods is to be raised."""
        for name, tracked in self._tracked.items():
            tracked.judge(loads.get(name, {}), now)
        return {name for name, tracked in self._tracked.items() if tracked.needed}


def _floor_in(status: Manifest) -> Floor:
    """The floor that a stored status describes."""
    stored = status.get("burst") or {}
    until = time_of(stored, "until")
    return NO_BURST if until is None else Floor(Source.BURST, int(stored.get("replicas", 0)), until)
