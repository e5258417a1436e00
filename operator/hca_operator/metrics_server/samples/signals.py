"""What the pods of each object tell, as one number for each metric that an autoscaler asks for: pure.

What is not known is an error that says why, never 0: an autoscaler that is told nothing leaves the number of pods as it
is or raises it for another metric, and one that is told 0 in an outage would take the pods away.
"""

import math
import re
from collections import Counter, deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from itertools import pairwise
from typing import Any, Generic, NamedTuple, TypeVar

from hca_operator.core.errors import HcaError
from hca_operator.core.names import CONCURRENCY_METRIC, KIND, LAG_METRIC, LATENCY_METRIC, REQUESTS_METRIC
from hca_operator.core.ports import Key
from hca_operator.metrics_server.samples.exposition import HISTOGRAMS, IN_FLIGHT, LOOP_LAG, REQUESTS, PodSample

WINDOW = 10.0
"""Seconds over which what pods tell is taken: long enough to calm it, short enough to follow a rush. What a pod told
earlier is forgotten, so one that has not answered for that long is not known."""
SHORTEST = 1.0
"""Seconds that a rate needs at least: over less, one request more or less would make a great difference."""
FALLS_REMEMBERED = 60.0
"""Seconds for which it is remembered that the counts of a pod fell."""
MOST_FALLS = 2
"""Falls within that time that are taken for restarts of workers. With more, each answer is of one worker, another each
time, and the difference of two of them is no number of requests."""

_Counts = Mapping[float, float]
"""Requests by the bounds of buckets; those of infinity are all."""
P = TypeVar("P")
T = TypeVar("T")


class Unknown(HcaError):
    """There is no number; the sentence says why and what to do, and an autoscaler repeats it in its condition."""


@dataclass(frozen=True)
class Reading:
    """What a metric is."""

    value: float
    """Finite and at least 0."""
    at: datetime
    """UTC, of the oldest sample used."""
    window: float
    """Seconds over which it was taken, up to now."""


@dataclass(frozen=True)
class Tellers:
    """Who tells of an object, and how an error speaks of them."""

    window: float
    """Seconds over which every number is taken; what was told earlier is forgotten."""
    quorum: float
    """Share of them that must be known. The rest is taken to have as much load as they."""
    count: str
    none: str
    silent: str
    """Why one that is read has no part in a metric, and what to do; the names of its series may be in it."""


PODS = Tellers(
    window=WINDOW,
    quorum=0.5,
    count="its {} serving pods",
    none="none of its pods is ready: see its condition Ready",
    silent="its metrics have no {} that could be true: have it show one of them",
)


class _Told(NamedTuple):
    at: float
    sample: PodSample


@dataclass
class _Pod:
    """What is known of a pod since it began to serve. All times are monotonic."""

    told: deque[_Told] = field(default_factory=deque)
    falls: deque[float] = field(default_factory=deque)
    failure: str = "it has not been asked for its metrics yet: wait a few seconds"


@dataclass
class _Book:
    """The serving pods of an object by their uids."""

    left: float
    """When a pod last went."""
    counts: deque[tuple[float, int]]
    """How many pods there were, each from when on."""
    pods: dict[str, _Pod] = field(default_factory=dict)

    def fewest(self, since: float) -> int:
        """How many pods there were at the least from then on."""
        return min(count for (_, count), (until, _) in pairwise([*self.counts, (math.inf, 0)]) if until > since)


_Line = Sequence[tuple[float, P]]
"""Values of one pod with their times, the oldest first."""


@dataclass(frozen=True)
class _Metric(Generic[P, T]):
    series: tuple[str, ...]
    pick: Callable[[PodSample], P | None]
    measure: Callable[[_Line[P]], T | None]
    """Of one pod that has told two values at least, None where it takes more."""
    combine: Callable[[Collection[T], float], float | None]
    """Of all pods that are known, of which there are so many times more; None where none can be told."""


class Signals:
    """The latest samples of all pods, and the answers that follow from them."""

    def __init__(self, clock: Callable[[], float], tellers: Tellers = PODS) -> None:
        """`clock` is monotonic: a wall clock that jumps would make samples old or a rate wrong."""
        self._clock = clock
        self._tellers = tellers
        self._books: dict[Key, _Book] = {}

    def follow(self, api: Key, pods: Collection[str]) -> None:
        """From now on these pods serve the object, and no others; what others told is forgotten at once."""
        now = self._clock()
        book = self._books.setdefault(api, _Book(now, deque([(now, len(pods))])))
        if book.pods.keys() - set(pods):
            book.left = now
        book.pods = {pod: book.pods.get(pod) or _Pod() for pod in pods}
        book.counts.append((now, len(book.pods)))
        while book.counts[1][0] <= now - self._tellers.window:
            book.counts.popleft()

    def forget(self, api: Key) -> None:
        """Nobody asks for the object any more."""
        self._books.pop(api, None)

    def add(self, api: Key, uid: str, sample: PodSample) -> None:
        """Take in what a pod has just told, if it still serves."""
        if (pod := self._pod(api, uid)) is None:
            return
        now = self._clock()
        before = pod.told[-1].sample.requests if pod.told else None
        if before is not None and sample.requests is not None and sample.requests < before:
            pod.falls.append(now)
        pod.told.append(_Told(now, sample))
        while pod.told[0].at < now - self._tellers.window:
            pod.told.popleft()
        while pod.falls and pod.falls[0] < now - FALLS_REMEMBERED:
            pod.falls.popleft()

    def fail(self, api: Key, uid: str, why: str) -> None:
        """Take in that a pod has just told nothing."""
        if (pod := self._pod(api, uid)) is not None:
            pod.failure = why

    def read(self, namespace: str, api: str, metric: str, now: datetime, *, window: float = math.inf) -> Reading:
        """The value of a metric of an object, over so many seconds at most. Raises Unknown where there is none."""
        key = Key(namespace, api)
        asked = _metric(metric)
        book = self._books.get(key)
        if book is None:
            raise Unknown(
                f"{metric} of {key} is unknown: no {KIND} of that name has a metric of its pods in "
                "autoscaling.metrics, or it was not seen yet: add one, or wait a few seconds"
            )
        if not book.pods:
            raise Unknown(f"{metric} of {key} is unknown: {self._tellers.none}")
        clock = self._clock()
        window = min(window, self._tellers.window)
        value, oldest = _combined(f"{metric} of {key}", asked, book, self._tellers, clock, window)
        return Reading(value, at=now - timedelta(seconds=clock - oldest), window=clock - oldest)

    def _pod(self, api: Key, uid: str) -> _Pod | None:
        book = self._books.get(api)
        return None if book is None else book.pods.get(uid)


def _combined(  # noqa: PLR0913, PLR0917 - one calculation
    what: str, metric: _Metric[P, T], book: _Book, tellers: Tellers, now: float, window: float
) -> tuple[float, float]:
    """A value and the time of the oldest sample used."""
    known: list[T] = []
    oldest = now
    why: Counter[str] = Counter()
    lines = [_line(pod, metric, now - window) for pod in book.pods.values()]
    # All over the same time, for pods that come take load from the others, and those that go leave it to them: what
    # was before would be counted twice, or not at all.
    since = max([book.left, *(line[0][0] for line in lines if len(line) > 1)])
    for pod, whole in zip(book.pods.values(), lines, strict=True):
        line = whole[-max(2, sum(at >= since for at, _ in whole)) :]
        measured = metric.measure(line) if len(line) > 1 and len(pod.falls) <= MOST_FALLS else None
        if measured is None:
            why[_why(pod, metric, tellers, now)] += 1
        else:
            known.append(measured)
            oldest = min(oldest, line[0][0])
    # Pods that have just joined the others have hardly taken a share of the load from them. If they counted before they
    # are known, each pod that the autoscaler adds would make the load look greater, for which it would add more.
    serving = max(len(known), book.fewest(now - window))
    if not known or len(known) < tellers.quorum * serving:
        most = max(sorted(why), key=why.__getitem__)
        raise Unknown(
            f"{what} is unknown: {why.total()} of {tellers.count.format(len(book.pods))} do not tell it; most often, "
            f"{most}"
        )
    value = metric.combine(known, serving / len(known))
    if value is None:
        raise Unknown(f"{what} is unknown: {metric.series[0]} has no buckets: give it bounds around the target")
    return value, oldest


def _line(pod: _Pod, metric: _Metric[P, T], since: float) -> _Line[P]:
    return [(at, value) for at, sample in pod.told if at >= since and (value := metric.pick(sample)) is not None]


def _why(pod: _Pod, metric: _Metric[P, T], tellers: Tellers, now: float) -> str:
    """Why a pod has no part in a value, and what to do."""
    if not pod.told or pod.told[-1].at < now - tellers.window:
        return pod.failure
    if metric.pick(pod.told[-1].sample) is None:
        return tellers.silent.format(" or ".join(metric.series))
    if len(pod.falls) > MOST_FALLS:
        return "its counts fall again and again: have it show all of its workers together, not one at a time"
    return "it was read only once since it was ready, and it takes two readings: wait a few seconds"


def _metric(name: str) -> _Metric[Any, Any]:
    if latency := re.fullmatch(f"{LATENCY_METRIC}([1-9][0-9]?)", name):
        return _Metric(HISTOGRAMS, lambda sample: sample.buckets, _grown, partial(percentile_of, int(latency[1])))
    if name not in _METRICS:
        raise Unknown(f"{name} is no metric of a {KIND}: ask for {', '.join(_METRICS)} or {LATENCY_METRIC}1 to -p99")
    return _METRICS[name]


def _requests(sample: PodSample) -> _Counts | None:
    return None if sample.requests is None else {math.inf: sample.requests}


def _rate(line: _Line[_Counts]) -> float | None:
    """Requests each second."""
    growth = _growth(line)
    return None if growth is None else growth.counts[math.inf] / growth.seconds


def _grown(line: _Line[_Counts]) -> _Counts | None:
    growth = _growth(line)
    return None if growth is None else growth.counts


class _Growth(NamedTuple):
    counts: _Counts
    seconds: float


def _growth(line: _Line[_Counts]) -> _Growth | None:
    """By how much counts grew, and within how many seconds.

    Where a count fell, a container or a worker has begun anew. What the others have counted since cannot be told from
    what was there before, so that step is left out together with its time: the rate is that of the rest.
    """
    counts: dict[float, float] = {}
    seconds = 0.0
    for (since, before), (until, after) in pairwise(line):
        if all(after.get(bound, 0.0) >= count for bound, count in before.items()):
            seconds += until - since
            for bound, count in after.items():
                counts[bound] = counts.get(bound, 0.0) + count - before.get(bound, 0.0)
    return _Growth(counts, seconds) if seconds >= SHORTEST else None


def _mean_of(line: _Line[float]) -> float:
    """Of one pod. A momentary value is luck, and of many the autoscaler would act on the greatest."""
    return math.fsum(value for _, value in line) / len(line)


def _total(values: Collection[float], scale: float) -> float:
    return math.fsum(values) * scale


def _mean(values: Collection[float], _scale: float) -> float:
    return math.fsum(values) / len(values)


def percentile_of(percentile: int, pods: Collection[_Counts], _scale: float) -> float | None:
    """Seconds within which that share of the requests was answered, as PromQL's histogram_quantile has it.

    Without any request it is 0: nobody waits, and no autoscaler should keep pods for it. Unknown would hold the pods of
    an idle API for ever, for no metric may be unknown when pods are taken away. Requests that all hang are not counted
    either, but only until the first ends, and pods are taken away after minutes (autoscaling/v2's default).
    """
    counts = {bound: math.fsum(pod.get(bound, 0.0) for pod in pods) for bound in set().union(*pods)}
    total = counts.pop(math.inf)
    if total == 0:
        return 0.0
    rank = total * percentile / 100
    lower, below = 0.0, 0.0
    for upper, up_to in sorted(counts.items()):
        if up_to >= rank:
            return max(0.0, lower + (upper - lower) * (rank - below) / (up_to - below))
        lower, below = upper, max(below, up_to)
    return max(0.0, lower) if counts else None


_METRICS: Mapping[str, _Metric[Any, Any]] = {
    REQUESTS_METRIC: _Metric((*HISTOGRAMS, REQUESTS), _requests, _rate, _total),
    CONCURRENCY_METRIC: _Metric(IN_FLIGHT, lambda sample: sample.in_flight, _mean_of, _total),
    LAG_METRIC: _Metric((LOOP_LAG,), lambda sample: sample.loop_lag, _mean_of, _mean),
}
