"""Counting for each request without writing for each: in memory, and ten times a second into the metrics.

A metric that all workers share is a place in a mapped file behind a lock: six writes to it for each
request, and finding them by their labels, took longer than to answer a request that hits the cache.
Here a request adds to plain numbers, and what they sum up to is written in one go, as `views` does
with the database.

Whoever is asked for /metrics writes its own first, so that only what the other workers counted in the
last tenth of a second is still to come. A worker that is killed loses that much.

All of it belongs to the event loop: adding to a number is no single step, so no thread may.
"""

from bisect import bisect_left
from collections.abc import Sequence
from typing import Final

from prometheus_client import Counter, Gauge, Histogram

BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Durations(Histogram):
    """A histogram that takes many observations at once."""

    def add(self, counts: Sequence[int], seconds: float) -> None:
        """Add so many observations to each bucket, which took so long together."""
        for bucket, count in zip(self._buckets, counts, strict=True):
            if count:
                bucket.inc(count)
        self._sum.inc(seconds)


class Tally:
    """A number that is added to here and shows in its counter later."""

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self.unwritten = 0

    def write(self) -> None:
        """Have the counter show it."""
        if self.unwritten:
            self._counter.inc(self.unwritten)
            self.unwritten = 0


class _Answers:
    """Those of one method, route and status."""

    __slots__ = ("counts", "seconds")

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS) + 1)
        self.seconds = 0.0


class RequestTally:
    """The requests of this worker: how many are under way, and what has become of the others."""

    def __init__(self, requests: Counter, durations: Durations, in_flight: Gauge) -> None:
        self._requests = requests
        self._durations = durations
        self._gauge = in_flight
        self._unwritten: dict[tuple[str, str, int], _Answers] = {}
        self.in_flight = 0

    def note(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count an answer; the names come from a closed set, or this would be a leak."""
        key = method, route, status
        answers = self._unwritten.get(key)
        if answers is None:
            answers = self._unwritten[key] = _Answers()
        answers.counts[bisect_left(BUCKETS, seconds)] += 1
        answers.seconds += seconds

    def write(self) -> None:
        """Have the metrics show it."""
        for (method, route, status), answers in self._unwritten.items():
            self._requests.labels(method, route, str(status)).inc(sum(answers.counts))
            self._durations.labels(method, route).add(answers.counts, answers.seconds)
        self._unwritten.clear()
        self._gauge.set(self.in_flight)
