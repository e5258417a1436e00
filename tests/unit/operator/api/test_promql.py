"""Queries of objects: bound to their own namespace, whatever they try."""

from time import process_time

import promql_parser
import pytest
from hypothesis import given
from hypothesis import strategies as st
from promql_parser import MatchOp, VectorSelector

from hca_operator.api.promql import Judgement, judge, queries, quoted
from hca_operator.core.errors import SpecError
from tests.unit.operator.objects import api_object
from tests.unit.operator.panic import PanicException

BOUND = {
    "sum(queue_length)": 'sum({__name__="queue_length",namespace="shop"})',
    'up{namespace="shop"}': '{__name__="up",namespace="shop"}',
    'sum(rate(x_total{a!="b",c=~"d",e!~"f"}[5m] offset 1h))': (
        'sum(rate({__name__="x_total",a!="b",c=~"d",e!~"f",namespace="shop"}[5m] offset 1h))'
    ),
    "x offset 90m": '{__name__="x",namespace="shop"} offset 1h30m',
    "max_over_time(x[10m:30s])": 'max_over_time({__name__="x",namespace="shop"}[10m:30s])',
    'label_replace(x, "namespace", "other", "", "")': (
        'label_replace({__name__="x",namespace="shop"}, "namespace", "other", "", "")'
    ),
    'sum({__name__=~".+"})': 'sum({__name__=~".+",namespace="shop"})',
    'x{a="\\"} or up{b=\\""}': '{__name__="x",a="\\"} or up{b=\\"",namespace="shop"}',
    'x{path=~"/a\\\\.b"}': '{__name__="x",namespace="shop",path=~"/a\\\\.b"}',
    "vector(1)": "vector(1)",
    "scalar(x) # of all": 'scalar({__name__="x",namespace="shop"})',
}
REFUSED = {
    "sum(up": "must be PromQL, such as sum(queue_length), but: unclosed left parenthesis",
    "rate(up)": "must be PromQL, such as sum(queue_length), but: expected type matrix",
    'up{namespace="other"}': 'leave namespace out, or write namespace="shop"',
    'up{namespace=~"shop"}': 'leave namespace out, or write namespace="shop"',
    'up{namespace!="shop"}': 'leave namespace out, or write namespace="shop"',
    'up{"namespace"="other"}': 'leave namespace out, or write namespace="shop"',
    'a + on() up{namespace="shop",namespace="other"}': 'leave namespace out, or write namespace="shop"',
    'x{a="b" or namespace="other"}': "write two selectors with or between them",
    "info(up)": "must not use info(), which reads series of other namespaces",
    "up @ 1700000000": "must not use @",
    "max_over_time(x[10m:30s] @ end())": "must not use @",
    "up[2m]": "must come to one number",
    "(up[10m:1m])": "must come to one number",
    '"up"': "must come to one number",
    "rate(x[2d])": "must not look back more than a day",
    "x offset 2d": "must not use an offset below 0 or above a day",
    "x offset -1h": "must not use an offset below 0 or above a day",
    "max_over_time(x[2h:1m])": "a subquery must cover an hour at most, in steps of 15 s",
    "max_over_time(x[1h:1s])": "a subquery must cover an hour at most, in steps of 15 s",
    "max_over_time(x[1h:])": "a subquery must cover an hour at most, in steps of 15 s",
    "max_over_time(max_over_time(x[2m:30s])[2m:30s])": "must not have a subquery within another one",
    "x offset 1e400": "must have a duration after offset, such as offset 5m",
    "x offset - inf": "must have a duration after offset, such as offset 5m",
    "x offset 9999999y": "must have a duration after offset, such as offset 5m",
    "sum_over_time(x[9999999y])": "must have durations in [], such as [2m] or [10m:30s]",
    "x[1e400]": "must have durations in [], such as [2m] or [10m:30s]",
    "x[5m:9999999y]": "must have durations in [], such as [2m] or [10m:30s]",
    "x offset 999999y": "must not use an offset below 0 or above a day",
    "x+" * 17 + "x": "must have at most 16 operators",
    "-" * 17 + "x": "must have at most 16 operators",
    "x or " * 17 + "x": "must have at most 16 operators",
    "(" * 11 + "x" + ")" * 11: "must have at most 10 brackets within each other",
    "x" * 1025: "must have at most 1024 characters",
    'x{a=~"(a{9}){9}"}': "must not have counted repetitions such as {3} in regular expressions",
    'x{a!~"' + "a" * 256 + '"}': "must have at most 8 regular expressions of 256 characters",
    "x{" + ",".join(['a=~"b"'] * 9) + "}": "must have at most 8 regular expressions of 256 characters",
    'x{a=~"' + r"\\w" * 9 + '"}': "at most 8 classes such as \\w in regular expressions",
}
COSTLY = {
    "levels and operators": "-(" * 10 + "x+" * 6 + "x" + ")" * 10,
    "sums": "sum(" * 10 + "x+" * 16 + "x" + ")" * 10,
    "selectors": "+".join([*['x{a=~"b.*c"}'] * 8, *['x{a="b"}'] * 9]),
    "classes": 'x{a=~"' + r"\\w" * 8 + '"}',
    "an expression": 'x{a=~"' + "(.*)*" * 50 + '"}',
    "labels": "x{" + ",".join(['a="b"'] * 150) + "}",
    "not closed": "(" * 10 + "x{" + "or " * 300,
}
"""What costs most within the bounds."""


@pytest.mark.parametrize("query", COSTLY.values(), ids=COSTLY)
def test_a_query_within_the_bounds_is_judged_at_once(query: str) -> None:
    started = process_time()
    judge.__wrapped__(query, "shop")
    assert process_time() - started < 0.25, "0.02 s on an idle machine"


def test_a_panic_of_the_parser_refuses_the_query(monkeypatch: pytest.MonkeyPatch) -> None:
    def panic(_query: str) -> None:
        raise PanicException("cannot convert float seconds to Duration")

    monkeypatch.setattr(promql_parser, "parse", panic)
    assert judge.__wrapped__("x", "shop") == Judgement(
        "", "must be PromQL, such as sum(queue_length); its parser fails on this one: cannot convert float seconds to "
        "Duration",
    )  # fmt: skip


_PIECES = st.sampled_from(
    [*"(){}[],+-*/^@#", "x", "sum", "rate", "by", "or", "offset", "5m", "1e400", "inf", "0x1", '"a"', "'", "`", "=~"]
)


@given(st.one_of(st.text(max_size=200), st.lists(_PIECES, max_size=60).map(" ".join)))
def test_nothing_that_a_user_writes_makes_a_judgement_raise(query: str) -> None:
    asked, refusal = judge(query, "shop")
    assert bool(asked) != bool(refusal)


def test_a_query_is_judged_once() -> None:
    judge.cache_clear()
    for _ in range(3):
        judge("sum(x)", "shop")
    assert judge.cache_info().misses == 1


@pytest.mark.parametrize(("query", "asked"), BOUND.items(), ids=BOUND)
def test_every_selector_is_bound_to_the_own_namespace(query: str, asked: str) -> None:
    expected = promql_parser.parse(asked).prettify()
    assert judge(query, "shop") == Judgement(expected, "")


@pytest.mark.parametrize(("query", "why"), REFUSED.items(), ids=REFUSED)
def test_what_could_see_or_cost_more_is_refused_with_what_is_right(query: str, why: str) -> None:
    asked, refusal = judge(query, "shop")
    assert not asked
    assert why in refusal


@given(st.text(), st.sampled_from(["=", "!=", "=~", "!~"]))
def test_no_value_of_a_label_gets_out_of_its_quotes(value: str, operator: str) -> None:
    asked, refusal = judge(f"sum(x{{a{operator}{quoted(value)}}})", "shop")
    if refusal:
        return  # no regular expression
    selectors: list[VectorSelector] = []
    promql_parser.walk(
        promql_parser.parse(asked),
        lambda node: selectors.append(node) if isinstance(node, VectorSelector) else None,
    )
    (selector,) = selectors
    found = {matcher.name: (matcher.op, matcher.value) for matcher in selector.matchers.matchers}
    assert found["namespace"] == (MatchOp.Equal, "shop")
    assert found["a"][1] == value


def test_a_refused_query_names_its_field() -> None:
    metric = {"name": "queue", "type": "Prometheus", "prometheus": {"query": "sum(x", "targetPerPod": "100"}}
    api = api_object(autoscaling={"metrics": [metric]})
    with pytest.raises(SpecError) as refused:
        queries(api.spec, api.namespace)
    assert str(refused.value).startswith("spec.autoscaling.metrics[queue].prometheus.query: must be PromQL")


def test_a_query_that_is_not_asked_is_not_judged() -> None:
    metric = {"name": "queue", "type": "Prometheus", "prometheus": {"query": "sum(x", "targetPerPod": "100"}}
    api = api_object(autoscaling={"mode": "Disabled", "metrics": [metric]})
    assert queries(api.spec, api.namespace) == {}
