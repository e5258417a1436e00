"""Builds one query to Prometheus for a metric of the pods of all objects, and parses its result by pod: pure.

A series belongs to a pod by its labels `namespace` and `pod`, which Prometheus' service discovery for Kubernetes sets.
The object of a pod is known from the inventory, so series need no label for it.
"""

import math
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from hca_operator.api.metric_types import Aggregation, MetricType
from hca_operator.api.promql import quoted
from hca_operator.metrics_server.samples.exposition import LARGEST, ROUTE_LABELS
from hca_operator.metrics_server.samples.growth import Counts

RANGE_SECONDS = 120
RANGE = f"{RANGE_SECONDS}s"
"""Greatest age of a sample. A rate needs two samples within it, so pods must be scraped at least once a minute."""
MEAN = "1m"
"""Over which the mean of a gauge is taken; without a sample within it, the last one is used."""
_TARGET = "job, instance, service, endpoint"
"""Labels that distinguish two targets of one pod, for example by two Services: their values must not be added up."""
_MARK = "hca"
"""Label that the query gives each series: the index of the family, a dot, and the index of the group."""
_UNUSED = "unused"
"""In place of the index of the group, for counters that are 0."""

_RATE = f"irate(%s[{RANGE}])"
_COUNTED = f"({_RATE} and %s > 0)"
"""Without counters that are 0: an unused histogram of a library must not hide a counter that is used."""
_LEVEL = f"(avg_over_time(%s[{MEAN}]) or last_over_time(%s[{RANGE}]))"

MetricsEndpoint = tuple[str, str]
"""Namespace and name of a pod."""


class Group(NamedTuple):
    """Objects with the same ignored paths."""

    ignored_paths: frozenset[str]
    namespaces: frozenset[str]


def families_of(metric: MetricType) -> tuple[str, ...]:
    """The names of the series that are queried. For each pod, the first one that it has is used."""
    suffix = "_bucket" if _has_buckets(metric) else "_count"
    return (*(f"{histogram}{suffix}" for histogram in metric.histograms), *metric.series)


def pod_query(metric: MetricType, groups: Sequence[Group], pods: Collection[str] = ()) -> str:
    """The query for a metric of all pods in the namespaces of the groups, or of these pods alone.

    Request counters are queried without the ignored paths of each group, and once more in total times zero: a pod that
    has served only probes has the value 0, which differs from an unknown value. The last part does the same for
    counters that are 0.
    """
    chosen = f"pod=~{quoted('|'.join(sorted(pods)).replace('.', '[.]'))}" if pods else 'pod!=""'
    everywhere = f"{_namespaces(frozenset[str]().union(*(group.namespaces for group in groups)))},{chosen}"
    if not metric.cumulative:
        return " or ".join(
            _part(metric, _LEVEL, family, everywhere, f"{number}.") for number, family in enumerate(families_of(metric))
        )
    form = _RATE if _has_buckets(metric) else _COUNTED
    parts: list[str] = []
    for number, family in enumerate(families_of(metric)):
        for index, group in enumerate(groups):
            selector = f"{_namespaces(group.namespaces)},{chosen}{_without(group.ignored_paths)}"
            parts.append(_part(metric, form, family, selector, f"{number}.{index}"))
        parts.append(_zero(metric, form, family, everywhere, f"{number}."))
    if not _has_buckets(metric):
        parts += [
            _zero(metric, _RATE, family, everywhere, f"{number}.{_UNUSED}")
            for number, family in enumerate(families_of(metric))
        ]
    return " or ".join(parts)


def paths_length(metric: MetricType, ignored_paths: Collection[str]) -> tuple[int, int]:
    """How many characters a group with these paths adds to a query, and how often the query names each namespace."""
    if not metric.cumulative:
        return 0, len(families_of(metric))
    alone = pod_query(metric, [Group(frozenset(ignored_paths), frozenset())])
    return len(alone), 2 * alone.count("namespace=~")


def _zero(metric: MetricType, form: str, family: str, selector: str, mark: str) -> str:
    if _has_buckets(metric):
        selector += ',le="+Inf"'
    return _part(metric, f"0 * {form}", family, selector, mark)


def _part(metric: MetricType, form: str, family: str, selector: str, mark: str) -> str:
    by = "namespace, pod, le" if _has_buckets(metric) else "namespace, pod"
    merge = "max" if metric.worst_worker else "sum"
    series = form.replace("%s", f"{family}{{{selector}}}")
    value = f"max by ({by}) ({merge} by ({by}, {_TARGET}) ({series}))"
    return f'label_replace({value}, "{_MARK}", "{mark}", "", "")'


def _has_buckets(metric: MetricType) -> bool:
    return metric.aggregation is Aggregation.PERCENTILE


def _namespaces(names: Collection[str]) -> str:
    return f"namespace=~{quoted('|'.join(sorted(names)))}"


def _without(ignored_paths: Collection[str]) -> str:
    """Label matchers that leave out series with one of these paths in any of ROUTE_LABELS, which may be absent."""
    bare = sorted({path.partition("?")[0].rstrip("/") for path in ignored_paths})
    paths = "|".join(f"{re.escape(path)}/*" if path else "/+" for path in bare)
    return "".join(f",{label}!~{quoted(f'({paths})([?].*)?')}" for label in ROUTE_LABELS)


def values_by_pod(
    metric: MetricType, result: Sequence[Any], groups: Mapping[MetricsEndpoint, int]
) -> dict[MetricsEndpoint, Counts]:
    """The values of the pods in `groups` (pod to index of its group), from the result of `pod_query`.

    A value without buckets is at infinity. Malformed series are skipped, and pods with impossible numbers are left out,
    so that one pod does not affect the others. Raises LookupError or TypeError if this is no result of such a query.
    """
    found: dict[MetricsEndpoint, dict[str, dict[float, float]]] = {}
    for series in result:
        labels = series["metric"]
        place = labels["namespace"], labels["pod"]
        if place in groups and "value" in series and (bound := _bucket_bound(metric, labels)) is not None:
            found.setdefault(place, {}).setdefault(labels[_MARK], {})[bound] = float(series["value"][1])
    known = {place: _first(metric, marked, groups[place]) for place, marked in found.items()}
    return {place: counts for place, counts in known.items() if counts is not None and _are_possible(counts)}


def _bucket_bound(metric: MetricType, labels: Mapping[str, str]) -> float | None:
    try:
        return float(labels.get("le", "")) if _has_buckets(metric) else math.inf
    except ValueError:
        return None


def _first(metric: MetricType, marked: Mapping[str, Counts], group: int) -> Counts | None:
    numbers = range(len(families_of(metric)))
    marks = [f"{number}.{index}" for number in numbers for index in (group, "")]
    marks += [f"{number}.{_UNUSED}" for number in numbers]
    found = [marked[mark] for mark in marks if mark in marked]
    if _has_buckets(metric):  # histograms that are 0 are in the result, and come last
        found.sort(key=lambda counts: not counts.get(math.inf))
    return next(iter(found), None)


def _are_possible(counts: Counts) -> bool:
    return math.inf in counts and all(0 <= value < LARGEST for value in counts.values())
