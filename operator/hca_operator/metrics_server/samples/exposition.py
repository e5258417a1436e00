"""Parses the load of one pod from its metrics in Prometheus' or OpenMetrics' text format: pure.

The parser of prometheus_client takes 130 microseconds per line. A histogram with a few routes has hundreds of lines,
per pod, every two seconds. So only the lines of the metrics in `metric_types` are parsed, each by one regular
expression; the tests compare the result with that parser.
"""

import math
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from hca_operator.api.metric_types import CONCURRENCY, EVENT_LOOP_LAG, LATENCY, POD_METRICS, REQUESTS_PER_SECOND
from hca_operator.core.errors import HcaError

ROUTE_LABELS = ("route", "path", "handler", "http_route")
"""Labels that may contain the path of a request."""

MOST_SERIES = 10_000
"""Most series of these metrics that a pod may expose: with more, a label probably has a new value for each request."""
LARGEST = 2.0**53
"""From here on a float cannot represent every whole number."""

MOST_BOUNDS = 256
"""Most buckets of a histogram: more make no percentile more exact, and each is kept for each pod and sample."""
LONGEST_CACHED_BYTES = 256
"""Bytes of the longest series that is cached, so that the cache takes at most 20 MiB: pods choose their labels."""

_HISTOGRAMS = dict.fromkeys(name for metric in POD_METRICS for name in metric.histograms)
_SERIES = dict.fromkeys(name for metric in POD_METRICS for name in metric.series)
_NAMES = "|".join((*(f"{name}_bucket" for name in _HISTOGRAMS), *_SERIES))
_ROUTE_LABELS = tuple(label.encode() for label in ROUTE_LABELS)
(_COUNTER,) = REQUESTS_PER_SECOND.series
_LABEL = r"""[ \t]*([a-zA-Z_][a-zA-Z0-9_]*)[ \t]*=[ \t]*"((?:[^"\\\n]++|\\.)*+)"[ \t]*"""
_LABELS = re.compile(_LABEL.encode())
_LINES = re.compile(
    (
        rf"""^[ \t]*+(?:(?P<series>(?:{_NAMES})(?:[ \t]*\{{(?:{_LABEL}(?:,|(?=\}})))*+[ \t]*\}}|(?=[ \t])))"""
        rf"""[ \t]*(?P<number>[^\s#]+)(?:[ \t\r].*)?|(?:{_NAMES})(?=[\s{{]|$).*)$"""
    ).encode(),
    re.MULTILINE,
)
"""Lines of these metrics. A line that is malformed matches without the groups `series` and `number`."""
_DECLARED = re.compile(
    (
        rf"^#[ \t]+TYPE[ \t]+(?:({'|'.join(_HISTOGRAMS)})[ \t]+histogram"
        rf"|{_COUNTER.removesuffix('_total')}(?:_total)?[ \t]+counter)\s*$"
    ).encode(),
    re.MULTILINE,
)
_ESCAPED = re.compile(rb"\\(.)")


class Unreadable(HcaError):
    """The metrics of a pod are malformed or too large. The message says what to change."""


@dataclass(frozen=True)
class PodSample:
    """The metrics of a pod at one time; each is None if the pod does not expose it, or exposes an impossible number."""

    requests: float | None = None
    """Requests answered since the pod started to count."""
    buckets: Mapping[float, float] | None = None
    """Cumulative histogram of their durations: requests by upper bound of the bucket in seconds; all at infinity."""
    in_flight: float | None = None
    """Requests that are being served."""
    loop_lag: float | None = None
    """Seconds by which the event loop is late, of the worker with the greatest lag."""


class _Series(NamedTuple):
    family: str
    bound: float
    """Upper bound of a bucket in seconds; infinity for a series that is no bucket."""
    routes: tuple[bytes, ...]


_Family = dict[float, list[float]]
"""The values of all series by their bounds."""


class Exposition:
    """Parses an answer into the sample of all workers of a pod together, without requests for the ignored paths.

    It is fed in blocks of whole lines, because an answer may be megabytes.
    """

    def __init__(self, ignored_paths: Collection[str]) -> None:
        self._ignored = {_without_query(path.encode()) for path in ignored_paths}
        self._families: dict[str, _Family] = {}
        self._declared: set[str] = set()
        self._counting: set[str] = set()
        """Families with a counter above 0, including requests for the ignored paths."""
        self._lines = self._series = 0

    def feed(self, lines: bytes) -> None:
        """Parse whole lines. Raises Unreadable if one of these metrics is malformed or has too many series."""
        for declared in _DECLARED.findall(lines):
            self._declared.add(declared.decode() or _COUNTER)
        for (family, bound, routes), value in self._values(lines):
            values = self._families.setdefault(family, {})
            if value > 0 and bound == math.inf:
                self._counting.add(family)
            if self._ignored.isdisjoint(routes):
                values.setdefault(bound, []).append(value)
                if len(values) > MOST_BOUNDS:
                    raise Unreadable(f"{family} has more than {MOST_BOUNDS} buckets: give it fewer bounds")
        self._lines += lines.count(b"\n") + 1

    def result(self) -> PodSample:
        """The sample."""
        return PodSample(
            requests=_total(self._counted(*REQUESTS_PER_SECOND.histograms, *REQUESTS_PER_SECOND.series)),
            buckets=_buckets(self._counted(*LATENCY.histograms)),
            in_flight=_total(self._first(*CONCURRENCY.series)),
            loop_lag=_worst(self._first(*EVENT_LOOP_LAG.series)),
        )

    def _counted(self, *names: str) -> _Family | None:
        """The first family with a counter above 0, else the first one with a series; empty if one is only declared.

        A library may declare a family that the app does not use. Before its first use, client libraries expose no
        series, or one that is 0.
        """
        counting = self._first(*(name for name in names if name in self._counting))
        if counting is not None:
            return counting
        found = self._first(*names)
        return {} if found is None and not self._declared.isdisjoint(names) else found

    def _first(self, *names: str) -> _Family | None:
        return next((self._families[name] for name in names if name in self._families), None)

    def _values(self, lines: bytes) -> Iterator[tuple[_Series, float]]:
        for line in _LINES.finditer(lines):
            self._series += 1
            if self._series > MOST_SERIES:
                raise Unreadable(
                    f"its metrics have more than {MOST_SERIES} series of requests: label them with the pattern of the "
                    "route instead of the path of each request"
                )
            series = line["series"] or b""
            try:
                yield (
                    _cached(series) if len(series) <= LONGEST_CACHED_BYTES else _series(series),
                    float(line["number"] or ""),
                )
            except ValueError as error:
                number = self._lines + lines.count(b"\n", 0, line.start()) + 1
                raise Unreadable(
                    f"line {number} of its metrics must be a name, labels in braces and a number, for a bucket with "
                    f"its bound in the label le, but is {line[0][:120].decode(errors='replace')!r}"
                ) from error


def _series(series: bytes) -> _Series:
    """A series by its name and labels."""
    name, _, labels_text = series.partition(b"{")
    labels = {label: _ESCAPED.sub(_unescaped, value) for label, value in _LABELS.findall(labels_text)}
    family = name.strip().removesuffix(b"_bucket").decode()
    bound = float(labels.get(b"le", "nan")) if family in _HISTOGRAMS else math.inf
    if math.isnan(bound):
        raise ValueError
    return _Series(family, bound, tuple(_without_query(labels[label]) for label in _ROUTE_LABELS if label in labels))


_cached = lru_cache(maxsize=2**15)(_series)
"""Cached, because the pods of an API expose the same series each time."""


def _unescaped(escape: re.Match[bytes]) -> bytes:
    return b"\n" if escape[1] == b"n" else escape[1]


def _total(family: _Family | None) -> float | None:
    """The sum over all series, 0 without any. None for buckets without the one at infinity."""
    if family is None or (family and math.inf not in family):
        return None
    return _sum(family.get(math.inf, []))


def _buckets(family: _Family | None) -> Mapping[float, float] | None:
    total = _total(family)
    if family is None or total is None:
        return None
    # Routes may have different bounds. Only bounds that all of them have can be added up.
    series = len(family.get(math.inf, ()))
    buckets = {bound: _sum(values) for bound, values in family.items() if len(values) == series}
    possible = {bound: value for bound, value in buckets.items() if value is not None}
    return {math.inf: total, **possible} if len(possible) == len(buckets) else None


def _worst(family: _Family | None) -> float | None:
    values = (family or {}).get(math.inf, [])
    return max(values) if values and all(map(_is_possible, values)) else None


def _sum(values: Collection[float]) -> float | None:
    return math.fsum(values) if all(map(_is_possible, values)) else None


def _is_possible(value: float) -> bool:
    return 0 <= value < LARGEST


def _without_query(path: bytes) -> bytes:
    """A path as a label may have it: without query and final slash."""
    return path.partition(b"?")[0].rstrip(b"/")
