"""More pods at once when the load jumps: pure.

The autoscaler looks each 15 s, at a mean of the last ten. Here the load is judged each second, as it is now; what a
jump needs becomes a floor for a while, and then the autoscaler decides alone. The rule and its reasons:
docs/design/0016-bursts.md.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from hca_operator.api.spec import ApiObject
from hca_operator.core.durations import parse_duration
from hca_operator.core.names import CONCURRENCY_METRIC, Manifest
from hca_operator.core.observed import replicas_of
from hca_operator.core.timestamps import time_of
from hca_operator.desired.scaling import autoscaling_wanted, pod_load
from hca_operator.desired.sizing import Sizing

FORGOTTEN = timedelta(seconds=10)
"""For how long it is remembered that the load was too great: with a longer silence between them, two readings are of
two things."""

Name = tuple[str, str]
"""Namespace and name of an object."""


class Load(NamedTuple):
    """What a metric of an object is."""

    value: float
    window: float
    """Seconds over which it was taken, up to now."""


@dataclass(frozen=True)
class BurstPolicy:
    """What is a jump for an object, and what follows from it."""

    targets: Mapping[str, float]
    """What one pod is to take, by metric."""
    threshold: float
    """How many times the pods that there should be the load must need."""
    most: int
    """Pods at most."""
    window: timedelta
    """How long a floor holds."""


@dataclass(frozen=True)
class Burst:
    """What a jump of the load asks for."""

    pods: int = 0
    """Pods at least; 0 where none is being met."""
    until: datetime | None = None
    """When that ends."""


NO_BURST = Burst()


def burst_policy(api: ApiObject, sizing: Sizing) -> BurstPolicy | None:
    """What holds for an object, None where no jump raises its count."""
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
        most=scaling.max_replicas,
        window=timedelta(seconds=parse_duration(scaling.burst.window)),
    )


class _Sighting(NamedTuple):
    """Readings without a break that are too great."""

    first: datetime
    last: datetime


@dataclass
class _Followed:
    policy: BurstPolicy
    pods: int
    """That there should be."""
    starting: bool
    """Whether some of them do not serve yet."""
    sightings: dict[str, _Sighting] = field(default_factory=dict)
    """By metric."""
    needed: int = 0
    """Pods that a jump needs; 0 where there is none."""

    def judge(self, loads: Mapping[str, Load], now: datetime) -> None:
        """Take in a reading. A metric that is not known is neither a jump nor the end of one."""
        found = [self._judge(metric, loads[metric], now) for metric in self.policy.targets if metric in loads]
        needed = min(max(found, default=0), self.policy.most)
        self.needed = needed if needed > self.pods else 0

    def _judge(self, metric: str, load: Load, now: datetime) -> int:
        share = load.value / self.policy.targets[metric]
        # While pods are missing, requests pile up: that is the jump that they were called for, and no other one.
        piling_up = self.starting and metric == CONCURRENCY_METRIC
        if not self.pods or share < self.policy.threshold * self.pods or piling_up:
            self.sightings.pop(metric, None)
            return 0
        before = self.sightings.get(metric)
        first = before.first if before and now - before.last <= FORGOTTEN else now
        self.sightings[metric] = _Sighting(first, now)
        # Two readings that share a sample are one: whatever that sample was, both would tell of it.
        proven = first < now and first <= now - timedelta(seconds=load.window)
        return math.ceil(round(share, 6)) if proven else 0


class BurstTracker:
    """What is known of the load of all objects that follow bursts, reading by reading."""

    def __init__(self) -> None:
        self._followed: dict[Name, _Followed] = {}
        self._floors: dict[Name, Burst] = {}

    def __len__(self) -> int:
        """How many objects are to be read."""
        return len(self._followed)

    def forget(self, name: Name) -> None:
        """No jump raises the count of an object any more."""
        self._followed.pop(name, None)
        self._floors.pop(name, None)

    def follow(self, name: Name, policy: BurstPolicy, deployment: Manifest) -> None:
        """Judge the load of an object by a policy and by the pods that it has and should have."""
        # The count may have been raised since the Deployment was seen.
        pods = max(replicas_of(deployment), self._floors.get(name, NO_BURST).pods)
        starting = deployment.get("status", {}).get("readyReplicas", 0) < pods
        if (followed := self._followed.get(name)) is None:
            self._followed[name] = _Followed(policy, pods, starting)
        else:
            followed.policy, followed.pods, followed.starting = policy, pods, starting

    def take(self, loads: Mapping[Name, Mapping[str, Load]], now: datetime) -> set[Name]:
        """Take in a reading of all objects; those whose count is to be raised."""
        for name, followed in self._followed.items():
            followed.judge(loads.get(name, {}), now)
        return {name for name, followed in self._followed.items() if followed.needed}

    def floor(self, name: Name, policy: BurstPolicy, status: Manifest, now: datetime) -> Burst:
        """The floor of an object at a moment. What its status tells holds on where another process has begun it."""
        known = (self._floors.get(name, NO_BURST), _told(status))
        burst = max(known, key=lambda burst: burst.until or datetime.min.replace(tzinfo=UTC))
        # Others may write a status, too: what ends later than it could is no floor of ours.
        if burst.until is None or not now < burst.until <= now + policy.window:
            burst = NO_BURST
        followed = self._followed.get(name)
        if followed is not None and followed.needed > burst.pods:
            burst = Burst(followed.needed, (now + policy.window).replace(microsecond=0))
            followed.needed = 0
        burst = Burst(min(burst.pods, policy.most), burst.until)
        self._floors[name] = burst
        return burst


def _told(status: Manifest) -> Burst:
    """The floor that a status tells of."""
    told = status.get("burst") or {}
    until = time_of(told, "until")
    return NO_BURST if until is None else Burst(int(told.get("replicas", 0)), until)
