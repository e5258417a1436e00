"""What one pod tells of its load, read from its Prometheus or OpenMetrics text: pure.

prometheus_client's own parser looks at each character and takes 130 microseconds for a line, which a histogram with a
few routes has hundreds of, for each pod, every two seconds. So only the lines of the few families that matter are
read, each by one expression; the tests hold it against that parser.
"""

import math
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from hca_operator.core.errors import HcaError

HISTOGRAMS = ("http_request_duration_seconds", "http_server_request_duration_seconds")
REQUESTS = "http_requests_total"
IN_FLIGHT = (
    "http_requests_in_flight",
    "http_requests_in_progress",
    "http_requests_inprogress",
    "http_server_active_requests",
)
LOOP_LAG = "event_loop_lag_seconds"
ROUTE_LABELS = ("route", "path", "handler", "http_route")

MOST_SERIES = 10_000
"""Series of these families that a pod may show: more have a label of which each request makes a new value."""
LARGEST = 2.0**53
"""From here on a float no longer counts by ones."""

_NAMES = "|".join((*(f"{family}_bucket" for family in HISTOGRAMS), REQUESTS, *IN_FLIGHT, LOOP_LAG))
_LABEL = r"""[ \t]*([a-zA-Z_][a-zA-Z0-9_]*)[ \t]*=[ \t]*"((?:[^"\\\n]++|\\.)*+)"[ \t]*"""
_LABELS = re.compile(_LABEL)
_LINES = re.compile(
    rf"""^[ \t]*+(?:(?P<series>(?:{_NAMES})(?:[ \t]*\{{(?:{_LABEL}(?:,|(?=\}})))*+[ \t]*\}}|(?=[ \t])))"""
    rf"""[ \t]*(?P<number>[^\s#]+)(?:[ \t\r].*)?|(?:{_NAMES})(?=[\s{{]|$).*)$""",
    re.MULTILINE,
)
"""Lines that matter; of those that cannot be understood, only that they are there."""
_DECLARED = re.compile(
    rf"^#[ \t]+TYPE[ \t]+(?:({'|'.join(HISTOGRAMS)})[ \t]+histogram|http_requests(?:_total)?[ \t]+counter)\s*$",
    re.MULTILINE,
)
_ESCAPED = re.compile(r"\\(.)")


class Unreadable(HcaError):
    """A pod shows something that is no exposition, or too much of one."""


@dataclass(frozen=True)
class PodSample:
    """What a pod told at one time; None: it does not tell, or no number that could be true."""

    requests: float | None = None
    """Requests answered since the pod began to count."""
    buckets: Mapping[float, float] | None = None
    """How many of them took at most so many seconds; at infinity all of them."""
    in_flight: float | None = None
    """Requests that are being served."""
    loop_lag: float | None = None
    """Seconds by which the event loop of the worst worker is late."""


class _Series(NamedTuple):
    family: str
    bound: float
    """Of a bucket; infinity for what is no bucket, for then it is about all."""
    routes: tuple[str, ...]


_Family = dict[float, list[float]]
"""The values of all series by their bounds."""


def pod_sample(text: str, aside: Collection[str]) -> PodSample:
    """What an exposition says of all workers together, the requests for the paths `aside` left out.

    Raises Unreadable where a line that matters cannot be understood.
    """
    # What is declared alone has counted nothing yet: client libraries show a series from its first use on.
    families: dict[str, _Family] = {histogram or REQUESTS: {} for histogram in _DECLARED.findall(text)}
    set_aside = {_bare(path) for path in aside}
    for (family, bound, routes), value in _values(text):
        values = families.setdefault(family, {})
        if set_aside.isdisjoint(routes):
            values.setdefault(bound, []).append(value)

    def first(*names: str) -> _Family | None:
        return next((families[name] for name in names if name in families), None)

    return PodSample(
        requests=_total(first(*HISTOGRAMS, REQUESTS)),
        buckets=_buckets(first(*HISTOGRAMS)),
        in_flight=_total(first(*IN_FLIGHT)),
        loop_lag=_worst(first(LOOP_LAG)),
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
    """What a series is about; remembered, for the pods of an API show the same ones again and again."""
    name, _, labels_text = text.partition("{")
    labels = {label: _ESCAPED.sub(_meant, value) for label, value in _LABELS.findall(labels_text)}
    family = name.strip().removesuffix("_bucket")
    bound = float(labels.get("le", "nan")) if family in HISTOGRAMS else math.inf
    if math.isnan(bound):
        raise ValueError
    return _Series(family, bound, tuple(_bare(labels[label]) for label in ROUTE_LABELS if label in labels))


def _meant(escape: re.Match[str]) -> str:
    return "\n" if escape[1] == "n" else escape[1]


def _total(family: _Family | None) -> float | None:
    """The sum over all series; of none, nothing was counted. Buckets without the one of all requests tell nothing."""
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


def _bare(path: str) -> str:
    """A path as a label may have it: without its query, and the same with a slash at the end and without."""
    return path.partition("?")[0].rstrip("/")
