"""Cheap counters: each request adds to plain numbers, which are written to the metrics ten times a second.

A metric that all workers share is a place in a mapped file behind a lock. Six writes for each request, each found by
its labels, took longer than the answer of a request that hits the cache. Here the sums are written at once, as `views`
does with the database.

The worker that answers /metrics writes its own sums first, so only counts of the other workers of the last tenth of a
second are missing. A worker that is killed loses as much.

Only the event loop may use this: adding to a number is not atomic between threads.
"""

from bisect import bisect_left
from collections.abc import Sequence
from typing import Final

from prometheus_client import Counter, Gauge, Histogram

BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Durations(Histogram):
    """A histogram that adds many observations at once."""

    def add(self, counts: Sequence[int], seconds: float) -> None:
        """Add a number of observations to each bucket, and the sum of their durations in seconds."""
        for bucket, count in zip(self._buckets, counts, strict=True):
            if count:
                bucket.inc(count)
        self._sum.inc(seconds)


class Tally:
    """A number that is added to its counter later."""

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self.unwritten = 0

    def write(self) -> None:
        """Add the number to the counter."""
        if self.unwritten:
            self._counter.inc(self.unwritten)
            self.unwritten = 0


class _Answers:
    """The durations of one method, route and status: observations in each bucket, and their sum."""

    __slots__ = ("counts", "seconds")

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS) + 1)
        self.seconds = 0.0


class RequestTally:
    """The requests of this worker: the number in progress, and the answers since the last write."""

    def __init__(self, requests: Counter, durations: Durations, in_flight: Gauge) -> None:
        self._requests = requests
        self._durations = durations
        self._gauge = in_flight
        self._unwritten: dict[tuple[str, str, int], _Answers] = {}
        self.in_flight = 0

    def note(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count an answer; method and route must come from a closed set, or memory grows without bound."""
        key = method, route, status
        answers = self._unwritten.get(key)
        if answers is None:
            answers = self._unwritten[key] = _Answers()
        answers.counts[bisect_left(BUCKETS, seconds)] += 1
        answers.seconds += seconds

    def write(self) -> None:
        """Add the numbers to the metrics."""
        for (method, route, status), answers in self._unwritten.items():
            self._requests.labels(method, route, str(status)).inc(sum(answers.counts))
            self._durations.labels(method, route).add(answers.counts, answers.seconds)
        self._unwritten.clear()
        self._gauge.set(self.in_flight)
