"""The latest samples of all pods, and the value of each metric of an object that follows from them: pure.

What is not known is an error that says why, never 0: an autoscaler without a value leaves the number of pods as it is
or raises it for another metric, and one that read 0 during an outage would remove the pods.
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
"""Over which samples are taken: long enough to calm them, short enough to follow a rush. Older samples are dropped, so
a pod that has not answered for that long is not known."""
RESETS_KEPT_SECONDS = 60.0
"""For how long it is known that the counts of a pod fell."""
MOST_RESETS = 2
"""Within that time, for which restarts of workers explain it. With more, each answer is of one worker, another each
time, and the difference of two of them is no number of requests."""

FEWEST_COUNTS = 3
"""Samples of counts that it takes of a pod which was there when its object began to be followed. Of such a pod a second
answer that is another worker's would be all that this one has ever counted; of a new one it is not much."""
SAMPLE_SIZE = 40
"""Of a sample without its buckets, in numbers of eight bytes."""
KEPT_OF_AN_OBJECT, KEPT = 2**19, 2**22
"""Numbers that are kept of the samples of one object, and of all: 4 and 32 MiB. An object of a thousand pods with
twenty buckets keeps 360,000."""
TOO_MUCH = (
    "its samples do not fit into the memory that an object may take: have the pods show histograms with fewer buckets"
)

V = TypeVar("V")


@dataclass(frozen=True)
class SampleSource:
    """Which pods the samples of an object come from, and how an error speaks of them."""

    window_seconds: float
    """Over which every value is taken; older samples are dropped."""
    quorum: float
    """Share of the pods that must be known. The others are assumed to have as much load as these."""
    pods: str
    """The pods in an error message; {} is their number."""
    none_ready: str
    """Why there is no value without any pod, and what to do."""
    not_exposed: str
    """Why a pod that was read has no part in a value, and what to do; {} has the names of the series."""


PODS = SampleSource(
    window_seconds=WINDOW_SECONDS,
    quorum=0.5,
    pods="its {} serving pods",
    none_ready="none of its pods is ready: see its condition Ready",
    not_exposed="its metrics have no {} that could be true: have it show one of them",
)


class _TimedSample(NamedTuple):
    """A sample, packed: a histogram as a mapping would take ten times as much."""

    at: float
    requests: float | None
    in_flight: float | None
    loop_lag: float | None
    bounds: tuple[float, ...] | None
    """Of the buckets; the samples of a pod share one tuple."""
    counts: Sequence[float]

    @property
    def buckets(self) -> Counts | None:
        return None if self.bounds is None else dict(zip(self.bounds, self.counts, strict=True))


@dataclass
class _Pod:
    """The samples of a pod since it became ready. All times are monotonic."""

    samples: deque[_TimedSample] = field(default_factory=deque)
    size: int = 0
    """Of the samples, as the budget counts it."""
    counted: int = 0
    """How many samples with a count of requests there were."""
    resets: deque[float] = field(default_factory=deque)
    """When its counts fell."""
    mixed_at: float = -math.inf
    """When its counts were last seen to be mixed."""
    failure: str = "it has not been asked for its metrics yet: wait a few seconds"
    failed_at: float = -math.inf

    @property
    def tells_of_one(self) -> bool:
        """Whether its counts are those of all of its workers each time, as far as is known."""
        return len(self.resets) <= MOST_RESETS and (not self.samples or self.mixed_at < self.samples[0].at)

    def count(self, requests: float, now: float) -> None:
        """Take in a count of requests."""
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
    """When a pod last stopped being ready."""
    counts: deque[tuple[float, int]]
    """The number of pods, each with the time from which on it held."""
    pods: dict[str, _Pod] = field(default_factory=dict)

    def fewest(self, since: float) -> int:
        """The smallest number of pods from a time on."""
        return min(count for (_, count), (until, _) in pairwise([*self.counts, (math.inf, 0)]) if until > since)


@dataclass(frozen=True)
class _Measure(Generic[V]):
    """How the value of one pod follows from its samples."""

    pick: Callable[[_TimedSample], V | None]
    value: Callable[[TimeSeries[V]], Any]
    """From two samples at least; None if it takes more."""


def _requests(sample: _TimedSample) -> Counts | None:
    return None if sample.requests is None else {math.inf: sample.requests}


_MEASURES: Mapping[MetricType, _Measure[Any]] = {
    REQUESTS_PER_SECOND: _Measure(_requests, rate),
    LATENCY: _Measure(lambda sample: sample.buckets, increase),
    CONCURRENCY: _Measure(lambda sample: sample.in_flight, mean),
    EVENT_LOOP_LAG: _Measure(lambda sample: sample.loop_lag, mean),
}


class SampleStore:
    """Takes in samples, and answers with the values that follow from them."""

    def __init__(self, clock: Callable[[], float], source: SampleSource = PODS, budget: Budget | None = None) -> None:
        """`clock` is monotonic: a wall clock that jumps would make samples old or a rate wrong."""
        self._clock = clock
        self._budget = budget or Budget(KEPT_OF_AN_OBJECT, KEPT)
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
        """The object has no such metric any more."""
        if (kept := self._apis.pop(api, None)) is not None:
            self._budget.add(api, -sum(pod.size for pod in kept.pods.values()))

    def add(self, api: Key, uid: str, sample: PodSample) -> None:
        """Take in a new sample of a pod, if it is still ready."""
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
        """Take in that a pod could not be read."""
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
    # All over the same time, for new pods take load from the others, and those that go leave it to them: what was
    # before would be counted twice, or not at all.
    since = max([api.pod_left_at, *(series[0][0] for series in all_series if len(series) > 1)])
    # Of the pods that were there at the beginning it is not known which of them had just become ready.
    begins = now - api.followed_at < source.window_seconds
    for pod, whole in zip(api.pods.values(), all_series, strict=True):
        series = whole[-max(2, sum(at >= since for at, _ in whole)) :]
        value = measure.value(series) if len(series) > 1 and _believed(pod, metric.type, begins=begins) else None
        if value is None:
            why[_why(pod, metric.type, measure, source, now)] += 1
        else:
            known.append(value)
            oldest = min(oldest, series[0][0])
    # Pods that have just become ready have hardly taken a share of the load from the others. If they counted before
    # they are known, each pod that the autoscaler adds would make the load look greater, for which it would add more.
    serving = max(len(known), api.fewest(now - source.window_seconds))
    if not known or len(known) < (len(api.pods) if begins else source.quorum * serving):
        most = max(sorted(why), key=why.__getitem__)
        raise Unknown(
            f"{what} is unknown: {why.total()} of {source.pods.format(len(api.pods))} do not tell it; most often, "
            f"{most}"
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
    """Whether a value of a pod can be true."""
    return not metric.cumulative or (pod.tells_of_one and (not begins or pod.counted >= FEWEST_COUNTS))


def _why(pod: _Pod, metric: MetricType, measure: _Measure[Any], source: SampleSource, now: float) -> str:
    """Why a pod has no part in a value, and what to do."""
    if not pod.samples or pod.samples[-1].at < now - source.window_seconds:
        return pod.failure
    if measure.pick(pod.samples[-1]) is None:
        return source.not_exposed.format(" or ".join((*metric.histograms, *metric.series)))
    if metric.cumulative and not pod.tells_of_one:
        return "its counts fall and rise again: have it show all of its workers together, not one at a time"
    if pod.failed_at >= now - source.window_seconds:
        return pod.failure
    return "it has not been read often enough since it was ready: wait a few seconds"
