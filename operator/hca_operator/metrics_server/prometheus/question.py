"""What Prometheus is asked of the pods of all objects at once, and what it tells of each: pure.

A series is a pod's where its labels `namespace` and `pod` say so, as they do wherever the pods are found through
Kubernetes. Which object a pod belongs to is known here, so no label has to be asked for.
"""

import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from hca_operator.api.promql import quoted
from hca_operator.core.names import CONCURRENCY_METRIC, LAG_METRIC, REQUESTS_METRIC
from hca_operator.metrics_server.samples.exposition import (
    HISTOGRAMS,
    IN_FLIGHT,
    LARGEST,
    LOOP_LAG,
    REQUESTS,
    ROUTE_LABELS,
)

RANGE = "2m"
"""How old a sample may be. Counts need two within it, so pods must be scraped each minute at least."""
MEAN = "1m"
"""Over which a gauge is taken where it is scraped that often."""
LONGEST_CHOICE = 500
"""Characters of the namespaces to choose from; of more of them, all are asked for: the query is part of an address."""

_TARGET = "job, instance, service, endpoint"
"""What tells two scrapes of one pod apart, as by two Services: they must not be added up."""
_MARK = "hca"
"""Label for what a series was asked for."""

LATENCY = "hca-latency"
"""All percentiles: they are read off the same buckets."""

Counts = Mapping[float, float]
"""Values by the bounds of buckets; of what has none, at infinity."""
Place = tuple[str, str]
"""A pod by its namespace and name."""


@dataclass(frozen=True)
class Kind:
    """What is measured. The first of the families that a pod has counts."""

    name: str
    families: tuple[str, ...]
    series: str
    """The value of one series, its selector in the place of %s."""
    merge: str = "sum"
    """Of the series of one target."""
    buckets: bool = False
    routed: bool = True
    """Whether requests of probes and scrapes are to be left out."""


_GROWTH = f"irate(%s[{RANGE}])"
_LEVEL = f"(avg_over_time(%s[{MEAN}]) or last_over_time(%s[{RANGE}]))"
KINDS = (
    Kind(REQUESTS_METRIC, (*(f"{name}_count" for name in HISTOGRAMS), REQUESTS), _GROWTH),
    Kind(LATENCY, tuple(f"{name}_bucket" for name in HISTOGRAMS), _GROWTH, buckets=True),
    Kind(CONCURRENCY_METRIC, IN_FLIGHT, _LEVEL, routed=False),
    Kind(LAG_METRIC, (LOOP_LAG,), _LEVEL, merge="max", routed=False),
)


class Group(NamedTuple):
    """Objects with the same paths that are no load."""

    aside: frozenset[str]
    namespaces: frozenset[str]


def question(kind: Kind, groups: Sequence[Group]) -> str:
    """The query for a kind of all pods in the namespaces of the groups.

    A routed family is asked for without the paths of each group, and as a whole times zero: a pod that has served
    nothing but probes has served nothing, which is another thing than not being known.
    """
    everywhere = _namespaces(frozenset[str]().union(*(group.namespaces for group in groups)))
    parts: list[str] = []
    for number, family in enumerate(kind.families):
        if kind.routed:
            parts += [
                _part(kind, family, f"{_namespaces(group.namespaces)}{_without(group.aside)}", f"{number}.{index}")
                for index, group in enumerate(groups)
            ]
        parts.append(_part(kind, family, everywhere, f"{number}."))
    return " or ".join(parts)


def _part(kind: Kind, family: str, chosen: str, mark: str) -> str:
    by = "namespace, pod, le" if kind.buckets else "namespace, pod"
    series = kind.series.replace("%s", f'{family}{{{chosen},pod!=""}}')
    value = f"max by ({by}) ({kind.merge} by ({by}, {_TARGET}) ({series}))"
    zero = "0 * " if kind.routed and mark.endswith(".") else ""
    return f'label_replace({zero}{value}, "{_MARK}", "{mark}", "", "")'


def _namespaces(names: Collection[str]) -> str:
    choice = "|".join(sorted(names))
    return f"namespace=~{quoted(choice)}" if len(choice) <= LONGEST_CHOICE else 'namespace!=""'


def _without(aside: Collection[str]) -> str:
    """Matchers that leave out what has one of the paths in any of the labels for it; a label may be absent."""
    bare = sorted({path.partition("?")[0].rstrip("/") for path in aside})
    paths = "|".join(f"{re.escape(path)}/*" if path else "/+" for path in bare)
    return "".join(f",{label}!~{quoted(f'({paths})([?].*)?')}" for label in ROUTE_LABELS)


def told(kind: Kind, result: Sequence[Any], wanted: Mapping[Place, int]) -> dict[Place, Counts]:
    """What the result of a query says of the wanted pods, of which the index of the group is given.

    A series that does not fit is passed over, and a pod without a number that could be true is left out: what one pod
    shows is no other's trouble. Raises LookupError or TypeError for what is no result of such a query.
    """
    found: dict[Place, dict[str, dict[float, float]]] = {}
    for series in result:
        labels = series["metric"]
        place = labels["namespace"], labels["pod"]
        if place in wanted and "value" in series and (bound := _bound(kind, labels)) is not None:
            found.setdefault(place, {}).setdefault(labels[_MARK], {})[bound] = float(series["value"][1])
    known = {place: _first(kind, marked, wanted[place]) for place, marked in found.items()}
    return {place: counts for place, counts in known.items() if counts is not None and _could_be_true(counts)}


def _bound(kind: Kind, labels: Mapping[str, str]) -> float | None:
    try:
        return float(labels.get("le", "")) if kind.buckets else math.inf
    except ValueError:
        return None


def _first(kind: Kind, marked: Mapping[str, Counts], group: int) -> Counts | None:
    marks = (f"{number}.{index}" for number in range(len(kind.families)) for index in (group, ""))
    return next((marked[mark] for mark in marks if mark in marked), None)


def _could_be_true(counts: Counts) -> bool:
    return math.inf in counts and all(0 <= value < LARGEST for value in counts.values())
