"""What one pod's samples of the last seconds come to: pure."""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple, TypeVar

SHORTEST_SECONDS = 1.0
"""That a rate needs at least: over less, one request more or less would make a great difference."""

Counts = Mapping[float, float]
"""Requests by the upper bounds of their buckets in seconds; all requests at infinity."""
V = TypeVar("V")
TimeSeries = Sequence[tuple[float, V]]
"""Values of one pod with their times in seconds, the oldest first."""


class Growth(NamedTuple):
    """By how much the counts of a pod grew."""

    counts: Counts
    seconds: float


def growth(series: TimeSeries[Counts]) -> Growth | None:
    """By how much counts grew, and within how many seconds; None if these are too few.

    Where a count fell, a container or a worker was restarted. What the others have counted since cannot be told from
    what was there before, so that step is left out together with its time: the rate is that of the rest. So is a step
    over which the buckets changed.
    """
    counts: dict[float, float] = {}
    seconds = 0.0
    for (since, before), (until, after) in pairwise(series):
        same = after.keys() == before.keys() or not any(before.values())
        if same and all(after.get(bound, 0.0) >= count for bound, count in before.items()):
            seconds += until - since
            for bound, count in after.items():
                counts[bound] = counts.get(bound, 0.0) + count - before.get(bound, 0.0)
    return Growth(counts, seconds) if seconds >= SHORTEST_SECONDS else None


def is_mixed(counts: Sequence[float]) -> bool:
    """Whether counts are of several things that count, such as of one worker now and of another one then.

    What a restart leaves is less than there was before, and stays less for longer than samples are kept. Otherwise the
    difference of two of the counts is no number of requests.
    """
    falls = [index for index in range(1, len(counts)) if counts[index] < counts[index - 1]]
    return bool(falls) and max(counts[falls[-1] :]) >= min(counts[: falls[-1]])


def increase(series: TimeSeries[Counts]) -> Counts | None:
    """New requests by bucket."""
    grown = growth(series)
    return None if grown is None else grown.counts


def rate(series: TimeSeries[Counts]) -> float | None:
    """Requests per second."""
    grown = growth(series)
    return None if grown is None else grown.counts[math.inf] / grown.seconds


def mean(series: TimeSeries[float]) -> float:
    """The mean of momentary values: the last one alone is luck, and the autoscaler would act on the greatest."""
    return math.fsum(value for _, value in series) / len(series)
