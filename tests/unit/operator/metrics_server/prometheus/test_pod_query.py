"""What Prometheus is asked, and what is made of its answer."""

import math
import re
from typing import Any

import promql_parser
import pytest

from hca_operator.api.metric_types import CONCURRENCY, LATENCY, POD_METRICS, MetricType
from hca_operator.api.metric_types import REQUESTS_PER_SECOND as REQUESTS
from hca_operator.metrics_server.prometheus.demand import OwnQuery, demand_of
from hca_operator.metrics_server.prometheus.pod_query import Group, paths_length, pod_query, values_by_pod
from tests.unit.operator.objects import manifest

DEFAULT = frozenset({"/metrics", "/health"})
OTHER = frozenset({"/metrics", "/"})
SHOP, CART = ("default", "shop-1"), ("team", "cart-1")


def series(place: tuple[str, str], mark: str, value: str, **labels: str) -> dict[str, object]:
    metric = {"namespace": place[0], "pod": place[1], "hca": mark, **labels}
    return {"metric": metric, "value": [1700000000.0, value]}


@pytest.mark.parametrize("metric", POD_METRICS, ids=lambda metric: metric.name)
def test_every_question_is_promql_about_the_namespaces_that_need_it(metric: MetricType) -> None:
    groups = [Group(DEFAULT, frozenset({"default", "team"})), Group(OTHER, frozenset({"team"}))]
    asked = pod_query(metric, groups)
    selectors: list[promql_parser.VectorSelector] = []
    promql_parser.walk(
        promql_parser.parse(asked),
        lambda node: selectors.append(node) if isinstance(node, promql_parser.VectorSelector) else None,
    )
    chosen = {m.value for selector in selectors for m in selector.matchers.matchers if m.name == "namespace"}
    assert chosen <= {"default|team", "team"}


def test_the_pods_of_one_object_can_be_chosen_by_their_names() -> None:
    asked = pod_query(REQUESTS, [Group(DEFAULT, frozenset({"default"}))], ["shop-1", "shop.2"])
    assert asked.count("{") == asked.count('pod=~"shop-1|shop[.]2"')
    assert promql_parser.parse(asked)


@pytest.mark.parametrize("metric", POD_METRICS, ids=lambda metric: metric.name)
def test_how_long_a_query_is_can_be_said_before_it_is_written(metric: MetricType) -> None:
    groups = [Group(frozenset({f"/{number}" * 20}), frozenset({f"team-{number}", "all"})) for number in range(20)]
    total = 0
    for group in groups:
        length, times = paths_length(metric, group.ignored_paths)
        total += length + times * sum(len(namespace) + 1 for namespace in group.namespaces)
    assert len(pod_query(metric, groups)) <= total + 1500


@pytest.mark.parametrize(
    ("path", "ignored"),
    [("/health", True), ("/health/", True), ("/health?full=1", True), ("/healthy", False), ("/v1/health", False),
     ("", False), ("/", False)],
)  # fmt: skip
def test_paths_of_probes_and_scrapes_are_left_out_in_any_spelling(path: str, ignored: bool) -> None:
    asked = pod_query(REQUESTS, [Group(frozenset({"/metrics", "/health?quick=1"}), frozenset({"default"}))])
    first: Any = promql_parser.parse(asked.split(" or ")[0])
    matchers = first.args[0].expr.expr.expr.lhs.args[0].vector_selector.matchers.matchers
    left_out = {m.name: m.value for m in matchers if m.op == promql_parser.MatchOp.NotRe}
    assert left_out.keys() == {"route", "path", "handler", "http_route"}
    assert all(bool(re.fullmatch(pattern, path)) == ignored for pattern in left_out.values())


def test_a_readiness_path_that_is_the_root_leaves_out_nothing_without_a_path() -> None:
    asked = pod_query(REQUESTS, [Group(frozenset({"/"}), frozenset({"default"}))])
    assert 'route!~"(/+)([?].*)?"' in asked


def test_the_first_family_of_a_pod_counts_in_the_group_of_its_object() -> None:
    result = [
        series(SHOP, "0.0", "5"), series(SHOP, "0.1", "6"), series(SHOP, "0.", "0"), series(SHOP, "2.0", "50"),
        series(CART, "2.1", "3"), series(CART, "2.", "0"), series(("default", "other"), "0.0", "9"),
    ]  # fmt: skip
    assert values_by_pod(REQUESTS, result, {SHOP: 0, CART: 1}) == {SHOP: {math.inf: 5.0}, CART: {math.inf: 3.0}}


def test_a_pod_that_has_served_nothing_but_probes_has_served_nothing() -> None:
    assert values_by_pod(REQUESTS, [series(SHOP, "1.", "0"), series(SHOP, "2.0", "7")], {SHOP: 0}) == {
        SHOP: {math.inf: 0.0}
    }


def test_fault_43_what_has_counted_nothing_hides_nothing_that_counts() -> None:
    asked = pod_query(REQUESTS, [Group(DEFAULT, frozenset({"default"}))])
    loads = [part for part in asked.split(" or label_replace") if "0 * " not in part]
    assert all(re.search(r"irate\((.*)\[120s\]\) and (.*) > 0\)", part) for part in loads)
    unused = series(SHOP, "0.unused", "0")
    assert values_by_pod(REQUESTS, [unused, series(SHOP, "2.0", "50")], {SHOP: 0}) == {SHOP: {math.inf: 50.0}}
    assert values_by_pod(REQUESTS, [unused], {SHOP: 0}) == {SHOP: {math.inf: 0.0}}
    buckets = [series(SHOP, mark, value, le="+Inf") for mark, value in (("0.0", "0"), ("0.", "0"), ("1.0", "3"))]
    assert values_by_pod(LATENCY, buckets, {SHOP: 0}) == {SHOP: {math.inf: 3.0}}


def test_buckets_are_identified_by_their_bounds() -> None:
    result = [series(SHOP, "0.0", "1", le="0.1"), series(SHOP, "0.0", "4", le="+Inf")]
    assert values_by_pod(LATENCY, result, {SHOP: 0}) == {SHOP: {0.1: 1.0, math.inf: 4.0}}


@pytest.mark.parametrize("value", ["NaN", "+Inf", "-Inf", "-1", "1e300"])
def test_a_number_that_cannot_be_true_is_none(value: str) -> None:
    result = [series(SHOP, "0.", value), series(CART, "0.", "2")]
    assert values_by_pod(CONCURRENCY, result, {SHOP: 0, CART: 0}) == {CART: {math.inf: 2.0}}


def test_series_that_do_not_fit_are_no_trouble_of_others() -> None:
    odd = [
        series(SHOP, "0.0", "1"),
        series(SHOP, "0.0", "1", le="much"),
        {"metric": {"namespace": "default", "pod": "shop-1", "hca": "0.0"}, "histogram": [1, {}]},
    ]
    right = [series(CART, "0.0", "2", le="+Inf")]
    assert values_by_pod(LATENCY, [*odd, *right], {SHOP: 0, CART: 0}) == {CART: {math.inf: 2.0}}


def test_what_an_object_wants_to_know_is_read_off_its_metrics() -> None:
    metrics = [
        {"name": "cpu", "type": "CPU"},
        {"name": "p50", "type": "Latency", "latency": {"percentile": 50}},
        {"name": "p95", "type": "Latency", "latency": {"percentile": 95}},
        {"name": "queue", "type": "Prometheus", "prometheus": {"query": "sum(q)"}},
        {"name": "bad", "type": "Prometheus", "prometheus": {"query": 'q{namespace="other"}'}},
    ]
    demand = demand_of(manifest(autoscaling={"metrics": metrics}, health={"readinessPath": "/ready"}))
    assert demand is not None
    assert demand.metrics == {LATENCY}
    assert demand.ignored_paths == {"/metrics", "/ready"}
    assert demand.queries == {OwnQuery("queue", "sum(q)"), OwnQuery("bad", 'q{namespace="other"}')}


@pytest.mark.parametrize("scaling", [{}, {"metrics": [{"name": "cpu", "type": "CPU"}]}, {"mode": "Disabled"}])
def test_an_object_without_such_metrics_wants_nothing(scaling: dict[str, object]) -> None:
    assert demand_of(manifest(autoscaling=scaling)) is None
