"""The table of metrics, against the model of the object and the names that autoscalers and dashboards rely on."""

import re
from pathlib import Path
from typing import get_args

import pytest

from hca_operator.api.metric_types import LATENCY, METRIC_TYPES, external_metric
from hca_operator.api.metrics import Metric


def test_the_model_has_the_types_of_the_table_and_their_members() -> None:
    assert get_args(Metric.model_fields["type"].annotation) == tuple(metric.name for metric in METRIC_TYPES)
    assert {metric.member for metric in METRIC_TYPES} == Metric.model_fields.keys() - {"name", "type"}


def test_the_external_names_never_change() -> None:
    assert {metric.name: (metric.external_name(95), metric.unit) for metric in METRIC_TYPES if metric.external} == {
        "RequestsPerSecond": ("hca-requests-per-second", "requests/s"),
        "Latency": ("hca-latency-p95", "s"),
        "Concurrency": ("hca-concurrency", "requests"),
        "EventLoopLag": ("hca-event-loop-lag", "s"),
        "Prometheus": ("hca-prometheus", ""),
    }


def test_the_documents_name_every_external_metric_with_its_unit() -> None:
    text = (Path(__file__).parents[4] / "docs" / "autoscaling.md").read_text()
    rows = {row[0]: row[1:] for row in re.findall(r"^\| (\w+) \| `([\w-]+)`.* \| (.+) \|$", text, re.MULTILINE)}
    expected = {m.name: (m.external_name(1), m.unit or "that of the query") for m in METRIC_TYPES if m.external}
    assert {name: rows[name] for name in expected} == expected


@pytest.mark.parametrize("percentile", [1, 50, 99])
def test_a_percentile_is_part_of_the_name(percentile: int) -> None:
    assert external_metric(LATENCY.external_name(percentile)) == (LATENCY, percentile)


def test_every_other_name_leads_back_to_its_metric() -> None:
    for metric in METRIC_TYPES:
        if metric.external and metric is not LATENCY:
            assert external_metric(metric.external_name()) == (metric, None)


@pytest.mark.parametrize(
    "name", ["", "cpu", "hca-latency", "hca-latency-p0", "hca-latency-p100", "hca-concurrency-p50", "-p50", "x-p5"]
)
def test_a_name_that_no_metric_has_is_none(name: str) -> None:
    assert external_metric(name) is None


def test_only_totals_say_how_many_pods_the_load_needs() -> None:
    assert [metric.name for metric in METRIC_TYPES if metric.is_total] == ["RequestsPerSecond", "Concurrency"]
