"""Which pods need to be replaced before the kernel ends them, from samples of their memory: pure.

The formulas and the reasons for them: docs/design/0009-memory-ladder.md.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import NamedTuple

from hca_operator.api.spec import HighConcurrencyApiSpec
from hca_operator.core.names import API_LABEL, CONTAINER, REPLACED_LABEL, Manifest
from hca_operator.core.quantities import parse_quantity
from hca_operator.core.timestamps import parse_time
from hca_operator.desired.sizing import Sizing

CYCLE_SECONDS = 15.0
"""Seconds between two readings, which is how often metrics-server has a new sample."""
KEPT_SAMPLES = 20
"""Samples that are kept of each pod: those of five minutes."""
PATIENCE = 4
"""Failed readings in a row after which memory counts as unknown: those of a minute, so that a restart of metrics-server
does not change the status of every object."""

AHEAD, NOT_AHEAD = 3600.0, 7200.0
"""Seconds to the limit below which a pod counts as growing, and above which it no longer does: two bounds, because the
estimate fluctuates."""

PodName = tuple[str, str]
"""Namespace and name of an object."""


@dataclass(frozen=True)
class MemoryPolicy:
    """When pods of an object are replaced. Memory in bytes."""

    limit: int
    threshold_percent: int
    samples: int
    lead: float
    """Seconds that a replacement may take: from the decision until the new pod is ready."""

    @property
    def threshold(self) -> int:
        """Memory at which a pod is replaced."""
        return self.limit * self.threshold_percent // 100

    def with_limit(self, limit: int | None) -> "MemoryPolicy":
        """The policy with the limit of one pod; None for the limit of the object."""
        return self if limit is None else replace(self, limit=limit)


def memory_policy(spec: HighConcurrencyApiSpec, sizing: Sizing) -> MemoryPolicy | None:
    """The policy of an object; None if spec.memoryRestart.mode is Disabled."""
    wanted = spec.memory_restart
    if wanted.mode == "Disabled":
        return None
    limit = int(parse_quantity(sizing.resources.limits.memory))  # of one pod, which may be a share of the object's
    return MemoryPolicy(
        limit=limit,
        threshold_percent=wanted.pod.threshold_percent,
        samples=wanted.samples,
        lead=sizing.startup_timeout + CYCLE_SECONDS,
    )


class Sample(NamedTuple):
    """The memory of a pod at one time."""

    at: float
    """Seconds since the epoch."""
    used: int


History = tuple[Sample, ...]
"""Samples of one pod, the oldest first."""


def bytes_per_second(history: History) -> float:
    """Growth of a pod in bytes per second: the slope of the least-squares line through its samples."""
    if len(history) < 2:
        return 0.0
    mean_at = sum(sample.at for sample in history) / len(history)
    mean_used = sum(sample.used for sample in history) / len(history)
    spread = sum((sample.at - mean_at) ** 2 for sample in history)
    return sum((sample.at - mean_at) * (sample.used - mean_used) for sample in history) / spread


def over_threshold(history: History, policy: MemoryPolicy) -> bool:
    """Whether each of the last samples is at the threshold or above, so that a single spike does not count."""
    last = history[-policy.samples :]
    return len(last) == policy.samples and all(sample.used >= policy.threshold for sample in last)


def reaches_limit(history: History, policy: MemoryPolicy) -> bool:
    """Whether a pod that grew with each of its last samples would reach its limit before a replacement is ready.

    Growth below half of the threshold does not count: a pod that starts grows, too.
    """
    last = history[-policy.samples - 1 :]
    if len(last) <= policy.samples or last[-1].used < policy.threshold / 2:
        return False
    grows = all(earlier.used < later.used for earlier, later in pairwise(last))
    return grows and policy.limit - last[-1].used < bytes_per_second(last) * policy.lead


def is_due(history: History, policy: MemoryPolicy) -> bool:
    """Whether a pod with these samples is to be replaced."""
    return over_threshold(history, policy) or reaches_limit(history, policy)


def seconds_to_limit(history: History, policy: MemoryPolicy) -> float | None:
    """Seconds until a pod reaches its limit at its present growth; None for one that does not grow."""
    rate = bytes_per_second(history)
    return max(0, policy.limit - history[-1].used) / rate if rate > 0 else None


class Trend(NamedTuple):
    """How the memory of the pods of an object changes."""

    bytes_per_second: float
    """Of the pod that grows fastest."""
    seconds_to_limit: float | None
    """Until the first pod reaches its limit; None if none grows, or if the object has no policy."""


class NearLimit(NamedTuple):
    """Pods of an object that may have to be replaced, by their working set, and the policy that decides it."""

    policy: MemoryPolicy
    histories: Mapping[str, History]
    """By name of the pod, the one with the most memory first."""


class MemoryTracker:
    """The history of the memory of all pods, updated by each reading of metrics.k8s.io."""

    def __init__(self) -> None:
        self.available: bool | None = None
        """Whether metrics.k8s.io can be read; None before the first reading."""
        self._policies: dict[PodName, MemoryPolicy] = {}
        self._histories: dict[PodName, dict[str, History]] = {}
        self._limits: dict[PodName, Mapping[str, int]] = {}
        self._growing: set[PodName] = set()
        self._failed = 0
        self._unread: dict[PodName, int] = {}
        """Number of readings in a row without a pod of an object, for each object that was in one before."""

    def track(self, name: PodName, policy: MemoryPolicy | None) -> None:
        """Set the policy of an object; None if none of its pods is to be replaced."""
        if policy is None:
            self._policies.pop(name, None)
            self._limits.pop(name, None)
        else:
            self._policies[name] = policy

    def keep_limits(self, name: PodName, limits: Mapping[str, int]) -> None:
        """Store the memory limits of the pods of an object, in bytes, by name of the pod."""
        self._limits[name] = limits

    def namespaces(self) -> set[str]:
        """Namespaces of the objects whose pods may have to be replaced."""
        return {namespace for namespace, _ in self._policies}

    def near(self, name: PodName) -> NearLimit | None:
        """The pods of an object that may have to be replaced; None if there are none."""
        if name not in self._policies:
            return None
        found = {
            pod: history
            for pod, history in self._histories.get(name, {}).items()
            if is_due(history, self._policy(name, pod))
        }
        order = sorted(found, key=lambda pod: (found[pod][-1].used, pod), reverse=True)
        return NearLimit(self._policies[name], {pod: found[pod] for pod in order}) if order else None

    def has_reading(self, name: PodName) -> bool:
        """Whether one of the last PATIENCE readings had a pod of the object."""
        return name in self._unread

    def grows(self, name: PodName) -> bool:
        """Whether a pod of an object would reach its limit within about an hour at its present growth."""
        return name in self._growing

    def trends(self) -> Mapping[PodName, Trend]:
        """The trend of the memory of each object's pods."""
        return {
            name: Trend(max(map(bytes_per_second, pods.values())), self._ahead(name, pods))
            for name, pods in self._histories.items()
            if pods
        }

    def take(self, readings: Iterable[Manifest]) -> set[PodName]:
        """Process a reading: PodMetrics of all pods. Returns the objects whose next pass may have another result."""
        before, growing, known = self._due(), self._growing, self._unread.keys()
        histories: dict[PodName, dict[str, History]] = {}
        for reading in readings:
            labels = reading["metadata"].get("labels") or {}
            if (api := labels.get(API_LABEL)) and REPLACED_LABEL not in labels and (sample := _sample(reading)):
                name, pod = (reading["metadata"]["namespace"], api), reading["metadata"]["name"]
                histories.setdefault(name, {})[pod] = _grown(self._histories.get(name, {}).get(pod, ()), sample)
        self._histories = histories
        self._failed, self.available = 0, True
        self._growing = {name for name in self._policies if self._limit_ahead(name)}
        # A rollout leaves an object without a reading until metrics-server knows the new pods.
        unread = {name: missed + 1 for name, missed in self._unread.items() if missed + 1 < PATIENCE}
        self._unread = unread | dict.fromkeys(histories, 0)
        newly_known = (known ^ self._unread.keys()) & self._policies.keys()
        return before | self._due() | (growing ^ self._growing) | newly_known

    def fail(self, *, absent: bool) -> None:
        """Record that a reading failed. `absent`: the cluster does not serve metrics.k8s.io."""
        self._failed += 1
        if absent or self._failed >= PATIENCE:
            self.available, self._histories, self._growing, self._unread = False, {}, set(), {}

    def _policy(self, name: PodName, pod: str) -> MemoryPolicy:
        return self._policies[name].with_limit(self._limits.get(name, {}).get(pod))

    def _ahead(self, name: PodName, histories: Mapping[str, History]) -> float | None:
        if name not in self._policies:
            return None
        found = (seconds_to_limit(history, self._policy(name, pod)) for pod, history in histories.items())
        return min((seconds for seconds in found if seconds is not None), default=None)

    def _limit_ahead(self, name: PodName) -> bool:
        """Whether a pod with KEPT_SAMPLES grows towards its limit, so that the growth of its start does not count."""
        long_and_large = {
            pod: history
            for pod, history in self._histories.get(name, {}).items()
            if len(history) == KEPT_SAMPLES and history[-1].used >= self._policy(name, pod).threshold / 2
        }
        ahead = self._ahead(name, long_and_large)
        return ahead is not None and ahead < (NOT_AHEAD if name in self._growing else AHEAD)

    def _due(self) -> set[PodName]:
        return {name for name in self._policies if self.near(name)}


def _sample(reading: Manifest) -> Sample | None:
    """The memory of the API's container in a PodMetrics; None if it has no such container."""
    try:
        usage = {container["name"]: container.get("usage", {}) for container in reading.get("containers") or []}
        return Sample(parse_time(reading["timestamp"]).timestamp(), int(parse_quantity(usage[CONTAINER]["memory"])))
    except (KeyError, TypeError, ValueError):
        return None


def _grown(history: History, sample: Sample) -> History:
    """A history with one more sample; metrics-server repeats a sample until it has a newer one."""
    if history and sample.at <= history[-1].at:
        return history
    if history and sample.at - history[-1].at > PATIENCE * CYCLE_SECONDS:
        return (sample,)  # after so long a gap these are no consecutive samples
    return (*history, sample)[-KEPT_SAMPLES:]
