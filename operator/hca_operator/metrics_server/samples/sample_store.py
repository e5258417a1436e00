"""The latest samples of all pods, and the value of each metric of an object that follows from them: pure.

An unknown value is an error that says why, never 0. A HorizontalPodAutoscaler without a value keeps the number of pods
or raises it because of another metric; if it read 0 during an outage, it would remove pods.
"""

import math
from array import array
from collections import Counter, deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, Generic, NamedTuple, TypeVar

from hca_operator.api.metric_types import (
    CONCURRENCY,
    EVENT_LOOP_LAG,
    LATENCY,
    REQUESTS_PER_SECOND,
    ExternalMetric,
    MetricType,
)
from hca_operator.core.names import KIND
from hca_operator.core.ports import Key
from hca_operator.metrics_server.samples.aggregation import aggregate, pod_metric
from hca_operator.metrics_server.samples.budget import Budget
from hca_operator.metrics_server.samples.exposition import PodSample
from hca_operator.metrics_server.samples.growth import Counts, TimeSeries, increase, is_mixed, mean, rate
from hca_operator.metrics_server.samples.reading import Reading, Unknown

WINDOW_SECONDS = 10.0
"""Time range of a value: long enough to smooth it, short enough to follow a rush. Older samples are dropped, so the
value of a pod that has not answered for that long is unknown."""
RESETS_KEPT_SECONDS = 60.0
"""For how long the resets of a pod's counters are remembered."""
MOST_RESETS = 2
"""Most resets within that time that restarts of workers explain. With more, each answer comes from a different worker,
and the difference of two counts is no number of requests."""

FEWEST_COUNTS = 3
"""Fewest samples of a pod that existed before its object was followed. If its second answer came from another worker,
the difference could be all that this worker has ever counted; for a new pod that is not much."""
SAMPLE_SIZE = 40
"""Size of a sample without its buckets, in numbers of eight bytes."""
KEPT_OF_AN_OBJECT, KEPT_IN_TOTAL = 2**19, 2**22
"""Most numbers that are kept for the samples of one object, and of all: 4 and 32 MiB. An object with 1,000 pods and
twenty buckets needs 360,000."""
TOO_MUCH = (
    "its samples do not fit into the memory that an object may take: have the pods show histograms with fewer buckets"
)

V = TypeVar("V")


@dataclass(frozen=True)
class SampleSource:
    """The pods from which the samples of an object come, and the words for them in an error."""

    window_seconds: float
    """Time range of every value; older samples are dropped."""
    quorum: float
    """Share of the pods whose values must be known. The other pods are assumed to have the same load on average."""
    pods: str
    """The pods in an error message; {} is their number."""
    none_ready: str
    """Why there is no ready pod, and what to do."""
    not_exposed: str
    """Why a pod that was read has no value, and what to do; {} has the names of the series."""


PODS = SampleSource(
    window_seconds=WINDOW_SECONDS,
    quorum=0.5,
    pods="its {} serving pods",
    none_ready="none of its pods is ready: see its condition Ready",
    not_exposed="its metrics have no {} that could be true: have it show one of them",
)


class _TimedSample(NamedTuple):
    """A sample in packed form: a histogram as a mapping would take ten times the memory."""

    at: float
    requests: float | None
    in_flight: float | None
    loop_lag: float | None
    bounds: tuple[float, ...] | None
    """Upper bounds of the buckets in seconds; the samples of a pod share one tuple."""
    counts: Sequence[float]

    @property
    def buckets(self) -> Counts | None:
        return None if self.bounds is None else dict(zip(self.bounds, self.counts, strict=True))


@dataclass
class _Pod:
    """The samples of a pod since it became ready. All times are monotonic."""

    samples: deque[_TimedSample] = field(default_factory=deque)
    size: int = 0
    """Size of its samples in numbers, as the budget counts them."""
    counted: int = 0
    """Number of samples with a count of requests so far."""
    resets: deque[float] = field(default_factory=deque)
    """When its counters were reset."""
    mixed_at: float = -math.inf
    """When `is_mixed` was last true for its counts."""
    failure: str = "it has not been scraped yet: wait a few seconds"
    failed_at: float = -math.inf

    @property
    def counts_all_workers(self) -> bool:
        """Whether each of its counts is that of all of its workers, and not of a different worker each time."""
        return len(self.resets) <= MOST_RESETS and (not self.samples or self.mixed_at < self.samples[0].at)

    def count(self, requests: float, now: float) -> None:
        """Record a count of requests."""
        counts = [sample.requests for sample in self.samples if sample.requests is not None]
        counts.append(requests)
        self.counted += 1
        if len(counts) > 1 and requests < counts[-2]:
            self.resets.append(now)
        if is_mixed(counts) and not is_mixed(counts[:-1]):
            self.mixed_at = now
            self.resets.append(now)

    def series(self, measure: "_Measure[V]", since: float) -> TimeSeries[V]:
        """The values of a metric from a time on."""
        return [
            (sample.at, value)
            for sample in self.samples
            if sample.at >= since and (value := measure.pick(sample)) is not None
        ]


@dataclass
class _Api:
    """The ready pods of an object by their uids."""

    followed_at: float
    """Since when its pods are known."""
    pod_left_at: float
    """When a pod was last ready and no longer is."""
    counts: deque[tuple[float, int]]
    """The number of ready pods, with the time since when."""
    pods: dict[str, _Pod] = field(default_factory=dict)

    def fewest(self, since: float) -> int:
        """The smallest number of pods from a time on."""
        return min(count for (_, count), (until, _) in pairwise([*self.counts, (math.inf, 0)]) if until > since)


@dataclass(frozen=True)
class _Measure(Generic[V]):
    """How the value of one pod follows from its samples."""

    pick: Callable[[_TimedSample], V | None]
    value: Callable[[TimeSeries[V]], Any]
    """Called with at least two samples; returns None if it needs more."""


def _requests(sample: _TimedSample) -> Counts | None:
    return None if sample.requests is None else {math.inf: sample.requests}


_MEASURES: Mapping[MetricType, _Measure[Any]] = {
    REQUESTS_PER_SECOND: _Measure(_requests, rate),
    LATENCY: _Measure(lambda sample: sample.buckets, increase),
    CONCURRENCY: _Measure(lambda sample: sample.in_flight, mean),
    EVENT_LOOP_LAG: _Measure(lambda sample: sample.loop_lag, mean),
}


class SampleStore:
    """Stores samples, and computes the values that follow from them."""

    def __init__(self, clock: Callable[[], float], source: SampleSource = PODS, budget: Budget | None = None) -> None:
        """`clock` is monotonic: a wall clock that jumps would make samples old or a rate wrong."""
        self._clock = clock
        self._budget = budget or Budget(KEPT_OF_AN_OBJECT, KEPT_IN_TOTAL)
        self._source = source
        self._apis: dict[Key, _Api] = {}

    def follow(self, api: Key, pods: Collection[str]) -> None:
        """From now on these pods, by uid, serve the object and no others; samples of others are dropped at once."""
        now = self._clock()
        kept = self._apis.setdefault(api, _Api(now, now, deque([(now, len(pods))])))
        gone = [kept.pods[uid] for uid in kept.pods.keys() - set(pods)]
        if gone:
            kept.pod_left_at = now
            self._budget.add(api, -sum(pod.size for pod in gone))
        kept.pods = {pod: kept.pods.get(pod) or _Pod() for pod in pods}
        kept.counts.append((now, len(kept.pods)))
        while kept.counts[1][0] <= now - self._source.window_seconds:
            kept.counts.popleft()

    def forget(self, api: Key) -> None:
        """Drop the samples of an object that no longer has metrics from this source."""
        if (kept := self._apis.pop(api, None)) is not None:
            self._budget.add(api, -sum(pod.size for pod in kept.pods.values()))

    def add(self, api: Key, uid: str, sample: PodSample) -> None:
        """Store a new sample of a pod, if the pod is still ready."""
        if (pod := self._pod(api, uid)) is None:
            return
        now = self._clock()
        while pod.samples and pod.samples[0].at < now - self._source.window_seconds:
            self._resize(api, pod, -_size(pod.samples.popleft()))
        while pod.resets and pod.resets[0] < now - RESETS_KEPT_SECONDS:
            pod.resets.popleft()
        packed = _packed(now, sample, pod.samples[-1].bounds if pod.samples else None)
        if not self._budget.admits(api, _size(packed)):
            self.fail(api, uid, TOO_MUCH)
            return
        if sample.requests is not None:
            pod.count(sample.requests, now)
        pod.samples.append(packed)
        self._resize(api, pod, _size(packed))

    def fail(self, api: Key, uid: str, why: str) -> None:
        """Record why a pod could not be read."""
        if (pod := self._pod(api, uid)) is not None:
            pod.failure, pod.failed_at = why, self._clock()

    def read(
        self, namespace: str, api: str, metric: str, now: datetime, *, window_seconds: float = math.inf
    ) -> Reading:
        """The value of a metric of an object, over at most `window_seconds`. Raises Unknown if there is none."""
        key = Key(namespace, api)
        asked = pod_metric(metric)
        kept = self._apis.get(key)
        if kept is None:
            raise Unknown(
                f"{metric} of {key} is unknown: no {KIND} of that name has a metric of its pods in "
                "autoscaling.metrics, or it was not seen yet: add one, or wait a few seconds"
            )
        if not kept.pods:
            raise Unknown(f"{metric} of {key} is unknown: {self._source.none_ready}")
        clock = self._clock()
        window = min(window_seconds, self._source.window_seconds)
        value, oldest = _value(f"{metric} of {key}", asked, kept, self._source, clock, window)
        return Reading(value, at=now - timedelta(seconds=clock - oldest), window=clock - oldest)

    def _resize(self, api: Key, pod: _Pod, by: int) -> None:
        pod.size += by
        self._budget.add(api, by)

    def _pod(self, api: Key, uid: str) -> _Pod | None:
        kept = self._apis.get(api)
        return None if kept is None else kept.pods.get(uid)


def _packed(at: float, sample: PodSample, bounds_before: tuple[float, ...] | None) -> _TimedSample:
    buckets = sample.buckets
    bounds = None if buckets is None else tuple(buckets)
    counts = array("d", () if buckets is None else buckets.values())
    shared = bounds_before if bounds == bounds_before else bounds
    return _TimedSample(at, sample.requests, sample.in_flight, sample.loop_lag, shared, counts)


def _size(sample: _TimedSample) -> int:
    return SAMPLE_SIZE + len(sample.counts)


def _value(  # noqa: PLR0913, PLR0917 - one calculation
    what: str, metric: ExternalMetric, api: _Api, source: SampleSource, now: float, window: float
) -> tuple[float, float]:
    """A value and the time of the oldest sample used."""
    measure = _MEASURES[metric.type]
    known: list[Any] = []
    oldest = now
    why: Counter[str] = Counter()
    all_series = [pod.series(measure, now - window) for pod in api.pods.values()]
    # The same time range for all pods: a new pod takes load from the others, and a pod that goes leaves its load to
    # them. With different ranges that load would be counted twice, or not at all.
    since = max([api.pod_left_at, *(series[0][0] for series in all_series if len(series) > 1)])
    # It is unknown which of the pods that existed at the beginning had just become ready.
    begins = now - api.followed_at < source.window_seconds
    for pod, whole in zip(api.pods.values(), all_series, strict=True):
        series = whole[-max(2, sum(at >= since for at, _ in whole)) :]
        value = measure.value(series) if len(series) > 1 and _believed(pod, metric.type, begins=begins) else None
        if value is None:
            why[_why(pod, metric.type, measure, source, now)] += 1
        else:
            known.append(value)
            oldest = min(oldest, series[0][0])
    # Pods that have just become ready have hardly any load yet. If they counted as unknown pods with average load, each
    # pod that the HorizontalPodAutoscaler adds would raise the value, for which it would add more.
    serving = max(len(known), api.fewest(now - source.window_seconds))
    if not known or len(known) < (len(api.pods) if begins else source.quorum * serving):
        most = max(sorted(why), key=why.__getitem__)
        raise Unknown(
            f"{what} is unknown: {why.total()} of {source.pods.format(len(api.pods))} have no value for it; most "
            f"often, {most}"
        )
    result = aggregate(metric, known, serving / len(known))
    if result is None:
        first = (*metric.type.histograms, *metric.type.series)[0]
        raise Unknown(
            f"{what} is unknown: {first} has no buckets that all pods have: give it bounds around the target, the same "
            "in all pods"
        )
    return result, oldest


def _believed(pod: _Pod, metric: MetricType, *, begins: bool) -> bool:
    """Whether the value of a pod can be used."""
    return not metric.cumulative or (pod.counts_all_workers and (not begins or pod.counted >= FEWEST_COUNTS))


def _why(pod: _Pod, metric: MetricType, measure: _Measure[Any], source: SampleSource, now: float) -> str:
    """Why a pod has no value, and what to do."""
    if not pod.samples or pod.samples[-1].at < now - source.window_seconds:
        return pod.failure
    if measure.pick(pod.samples[-1]) is None:
        return source.not_exposed.format(" or ".join((*metric.histograms, *metric.series)))
    if metric.cumulative and not pod.counts_all_workers:
        return "its counts fall and rise again: have it show all of its workers together, not one at a time"
    if pod.failed_at >= now - source.window_seconds:
        return pod.failure
    return "it has not been read often enough since it was ready: wait a few seconds"
