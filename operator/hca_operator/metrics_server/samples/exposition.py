"""Reads the load of one pod from its metrics in Prometheus' or OpenMetrics' text format: pure.

The parser of prometheus_client takes 130 microseconds for a line. A histogram with a few routes has hundreds of lines,
for each pod, every two seconds. So only the lines of the metrics in `metric_types` are parsed, each by one regular
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
"""Labels that may have the path of a request."""

MOST_SERIES = 10_000
"""Series of these metrics that a pod may expose: with more, a label has a new value for each request."""
LARGEST = 2.0**53
"""From here on a float no longer counts by ones."""

_HISTOGRAMS = dict.fromkeys(name for metric in POD_METRICS for name in metric.histograms)
_SERIES = dict.fromkeys(name for metric in POD_METRICS for name in metric.series)
_NAMES = "|".join((*(f"{name}_bucket" for name in _HISTOGRAMS), *_SERIES))
(_COUNTER,) = REQUESTS_PER_SECOND.series
_LABEL = r"""[ \t]*([a-zA-Z_][a-zA-Z0-9_]*)[ \t]*=[ \t]*"((?:[^"\\\n]++|\\.)*+)"[ \t]*"""
_LABELS = re.compile(_LABEL)
_LINES = re.compile(
    rf"""^[ \t]*+(?:(?P<series>(?:{_NAMES})(?:[ \t]*\{{(?:{_LABEL}(?:,|(?=\}})))*+[ \t]*\}}|(?=[ \t])))"""
    rf"""[ \t]*(?P<number>[^\s#]+)(?:[ \t\r].*)?|(?:{_NAMES})(?=[\s{{]|$).*)$""",
    re.MULTILINE,
)
"""Lines of these metrics. A line that is malformed matches without the groups `series` and `number`."""
_DECLARED = re.compile(
    rf"^#[ \t]+TYPE[ \t]+(?:({'|'.join(_HISTOGRAMS)})[ \t]+histogram"
    rf"|{_COUNTER.removesuffix('_total')}(?:_total)?[ \t]+counter)\s*$",
    re.MULTILINE,
)
_ESCAPED = re.compile(r"\\(.)")


class Unreadable(HcaError):
    """A pod exposes something that is malformed, or too much. The message says what to change."""


@dataclass(frozen=True)
class PodSample:
    """The metrics of a pod at one time; None: it does not expose one, or a number that cannot be true."""

    requests: float | None = None
    """Requests answered since the pod started to count."""
    buckets: Mapping[float, float] | None = None
    """How many of them took at most so many seconds, by seconds; all of them at infinity."""
    in_flight: float | None = None
    """Requests that are being served."""
    loop_lag: float | None = None
    """Seconds by which the event loop of the worst worker is late."""


class _Series(NamedTuple):
    family: str
    bound: float
    """Upper bound of a bucket in seconds; infinity for a series that is no bucket."""
    routes: tuple[str, ...]


_Family = dict[float, list[float]]
"""The values of all series by their bounds."""


def pod_sample(text: str, ignored_paths: Collection[str]) -> PodSample:
    """The sample of all workers of a pod together, without the requests for `ignored_paths`.

    Raises Unreadable if a line of these metrics is malformed.
    """
    # A metric that is declared without a series has counted nothing yet: client libraries expose a series from its
    # first use on.
    families: dict[str, _Family] = {histogram or _COUNTER: {} for histogram in _DECLARED.findall(text)}
    ignored = {_without_query(path) for path in ignored_paths}
    for (family, bound, routes), value in _values(text):
        values = families.setdefault(family, {})
        if ignored.isdisjoint(routes):
            values.setdefault(bound, []).append(value)

    def first(*names: str) -> _Family | None:
        return next((families[name] for name in names if name in families), None)

    return PodSample(
        requests=_total(first(*REQUESTS_PER_SECOND.histograms, *REQUESTS_PER_SECOND.series)),
        buckets=_buckets(first(*LATENCY.histograms)),
        in_flight=_total(first(*CONCURRENCY.series)),
        loop_lag=_worst(first(*EVENT_LOOP_LAG.series)),
    )


def _values(text: str) -> Iterator[tuple[_Series, float]]:
    for number, line in enumerate(_LINES.finditer(text), 1):
        if number > MOST_SERIES:
            raise Unreadable(
                f"its metrics have more than {MOST_SERIES} series of requests: label them with the pattern of the "
                "route instead of the path of each request"
            )
        try:
            yield _series(line["series"] or ""), float(line["number"] or "")
        except ValueError as error:
            raise Unreadable(
                f"line {text.count(chr(10), 0, line.start()) + 1} of its metrics must be a name, labels in braces and "
                f"a number, for a bucket with its bound in the label le, but is {line[0][:120]!r}"
            ) from error


@lru_cache(maxsize=2**15)
def _series(text: str) -> _Series:
    """A series by its name and labels. Cached, for the pods of an API expose the same ones again and again."""
    name, _, labels_text = text.partition("{")
    labels = {label: _ESCAPED.sub(_unescaped, value) for label, value in _LABELS.findall(labels_text)}
    family = name.strip().removesuffix("_bucket")
    bound = float(labels.get("le", "nan")) if family in _HISTOGRAMS else math.inf
    if math.isnan(bound):
        raise ValueError
    return _Series(family, bound, tuple(_without_query(labels[label]) for label in ROUTE_LABELS if label in labels))


def _unescaped(escape: re.Match[str]) -> str:
    return "\n" if escape[1] == "n" else escape[1]


def _total(family: _Family | None) -> float | None:
    """The sum over all series, 0 without any. None for buckets without the one at infinity."""
    if family is None or (family and math.inf not in family):
        return None
    return _sum(family.get(math.inf, []))


def _buckets(family: _Family | None) -> Mapping[float, float] | None:
    total = _total(family)
    if family is None or total is None:
        return None
    buckets = {bound: _sum(values) for bound, values in family.items()}
    possible = {bound: value for bound, value in buckets.items() if value is not None}
    return {math.inf: total, **possible} if len(possible) == len(buckets) else None


def _worst(family: _Family | None) -> float | None:
    values = (family or {}).get(math.inf, [])
    return max(values) if values and all(map(_is_possible, values)) else None


def _sum(values: Collection[float]) -> float | None:
    return math.fsum(values) if all(map(_is_possible, values)) else None


def _is_possible(value: float) -> bool:
    return 0 <= value < LARGEST


def _without_query(path: str) -> str:
    """A path as a label may have it: without query and final slash."""
    return path.partition("?")[0].rstrip("/")
