"""Rates and means of one pod's samples: pure."""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple, TypeVar

SHORTEST_SECONDS = 1.0
"""Shortest time for a rate: over less, a single request would change it too much."""

Counts = Mapping[float, float]
"""Requests by the upper bounds of their buckets in seconds; all requests at infinity."""
V = TypeVar("V")
TimeSeries = Sequence[tuple[float, V]]
"""Values of one pod with their times in seconds, the oldest first."""


class Growth(NamedTuple):
    """The increase of a pod's counters."""

    counts: Counts
    seconds: float


def growth(series: TimeSeries[Counts]) -> Growth | None:
    """The increase of counters and the seconds in which it happened; None if these are less than SHORTEST_SECONDS.

    A counter that fell was reset by the restart of a container or worker. The increase in that step is unknown, so the
    step is left out together with its time, and the rate is that of the other steps. The same holds for a step in which
    the buckets changed.
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
    """Whether successive counts come from different counters, such as of a different worker each time.

    After a restart the count stays below its earlier value for longer than samples are kept. If it does not, the counts
    are of different counters, and the difference of two of them is no number of requests.
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
    """The mean of a gauge: single values fluctuate, and the HorizontalPodAutoscaler would act on the greatest."""
    return math.fsum(value for _, value in series) / len(series)
