"""Queries of objects: bound to their own namespace, whatever they try."""

import promql_parser
import pytest
from hypothesis import given
from hypothesis import strategies as st
from promql_parser import MatchOp, VectorSelector

from hca_operator.api.promql import RefusedQuery, bounded, queries, quoted
from hca_operator.core.errors import SpecError
from tests.unit.operator.objects import api_object

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
}


@pytest.mark.parametrize(("query", "asked"), BOUND.items(), ids=BOUND)
def test_every_selector_is_bound_to_the_own_namespace(query: str, asked: str) -> None:
    expected = promql_parser.parse(asked).prettify()
    assert bounded(query, "shop") == expected


@pytest.mark.parametrize(("query", "why"), REFUSED.items(), ids=REFUSED)
def test_what_could_see_or_cost_more_is_refused_with_what_is_right(query: str, why: str) -> None:
    with pytest.raises(RefusedQuery) as refused:
        bounded(query, "shop")
    assert why in str(refused.value)


@given(st.text(), st.sampled_from(["=", "!=", "=~", "!~"]))
def test_no_value_of_a_label_gets_out_of_its_quotes(value: str, operator: str) -> None:
    try:
        asked = bounded(f"sum(x{{a{operator}{quoted(value)}}})", "shop")
    except RefusedQuery:
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
