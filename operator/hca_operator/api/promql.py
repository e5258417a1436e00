"""Queries that objects bring along, bound to their own namespace: pure.

A real parser reads them, after the bounds of `promql_text`. What is sent is written anew from what it understood, and
read once more: so nothing that it took for text of a label could be an expression to Prometheus.
"""

from collections.abc import Iterator
from datetime import timedelta
from functools import lru_cache
from typing import NamedTuple

import promql_parser
from promql_parser import Matcher, MatchOp, VectorSelector

from hca_operator.api.promql_text import RefusedQuery, check_text
from hca_operator.api.spec import HighConcurrencyApiSpec
from hca_operator.core.errors import SpecError

NAMESPACE_LABEL = "namespace"
LONGEST_RANGE = timedelta(days=1)
"""How far back a range or an offset may reach: the query is asked every few seconds."""
LONGEST_SUBQUERY = timedelta(hours=1)
SHORTEST_STEP = timedelta(seconds=15)
"""Shortest step of a subquery, which is evaluated once per step."""

_OPERATORS = ((MatchOp.Equal, "="), (MatchOp.NotEqual, "!="), (MatchOp.Re, "=~"), (MatchOp.NotRe, "!~"))
_ELSEWHERE = frozenset({"info"})
"""Functions that read series which no selector names."""


JUDGED = 2048
"""Judgements that are kept, so that a query is parsed once and not with each pass: a few megabytes at most."""


class Judgement(NamedTuple):
    """What becomes of a query."""

    query: str
    """As it may be asked, bound to the namespace; empty if it is refused."""
    refusal: str
    """Why it is refused; empty if it is not."""


def queries(spec: HighConcurrencyApiSpec, namespace: str) -> dict[str, str]:
    """The queries of an object by the names of their metrics, as they may be asked; none without autoscaling.

    Raises SpecError, which names the field, for the first that may not.
    """
    asked: dict[str, str] = {}
    for metric in spec.autoscaling.metrics if spec.autoscaling.mode != "Disabled" else ():
        if metric.prometheus is not None:
            asked[metric.name], refusal = judge(metric.prometheus.query, namespace)
            if refusal:
                raise SpecError(f"spec.autoscaling.metrics[{metric.name}].prometheus.query: {refusal}")
    return asked


@lru_cache(maxsize=JUDGED)
def judge(query: str, namespace: str) -> Judgement:
    """The query with every selector bound to the namespace, or why it is refused.

    It raises nothing, whatever the parser does: a panic of Rust is a BaseException.
    """
    try:
        check_text(query)
        return Judgement(_bounded(query, namespace), "")
    except RefusedQuery as refused:
        return Judgement("", str(refused))
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:
        return Judgement("", f"must be PromQL, such as sum(queue_length); its parser fails on this one: {error}"[:500])


def _bounded(query: str, namespace: str) -> str:
    """The query with every selector bound to the namespace. Raises RefusedQuery."""
    asked = _parsed(query)
    if _is_range_or_text(asked):
        raise RefusedQuery("must come to one number: put it into a function or aggregation, such as sum(rate(x[2m]))")
    for node in _nodes(asked):
        _check(node, namespace)
    bound = promql_parser.transform(asked, post_visit=lambda node: _bound(node, namespace)).prettify()
    again = _nodes(_parsed(bound))
    if not all(_is_bound(node, namespace) for node in again if isinstance(node, VectorSelector)):
        raise RefusedQuery(f"cannot be bound to namespace {namespace}: use plain names and values of labels")
    return bound


def _parsed(query: str) -> promql_parser.Expr:
    try:
        return promql_parser.parse(query)
    except ValueError as error:
        raise RefusedQuery(f"must be PromQL, such as sum(queue_length), but: {error}") from None


def _nodes(query: promql_parser.Expr) -> Iterator[promql_parser.Expr]:
    nodes: list[promql_parser.Expr] = []
    promql_parser.walk(query, nodes.append)
    return iter(nodes)


def _is_range_or_text(query: promql_parser.Expr) -> bool:
    while isinstance(query, promql_parser.ParenExpr):
        query = query.expr
    return isinstance(query, promql_parser.MatrixSelector | promql_parser.SubqueryExpr | promql_parser.StringLiteral)


def _check(node: promql_parser.Expr, namespace: str) -> None:
    if isinstance(node, promql_parser.Call) and node.func.name in _ELSEWHERE:
        raise RefusedQuery(f"must not use {node.func.name}(), which reads series of other namespaces: leave it out")
    if isinstance(node, promql_parser.MatrixSelector) and node.range > LONGEST_RANGE:
        raise RefusedQuery("must not look back more than a day: use a range such as [2m]")
    if isinstance(node, promql_parser.SubqueryExpr):
        _check_subquery(node)
    if isinstance(node, VectorSelector | promql_parser.SubqueryExpr):
        if node.at is not None:
            raise RefusedQuery("must not use @, as it is asked for the load of now: leave it out")
        if node.offset is not None and not timedelta() <= node.offset <= LONGEST_RANGE:
            raise RefusedQuery("must not use an offset below 0 or above a day: use one such as offset 5m, or none")
    if isinstance(node, VectorSelector):
        _check_selector(node, namespace)


def _check_subquery(node: promql_parser.SubqueryExpr) -> None:
    step = node.step
    if node.range is None or node.range > LONGEST_SUBQUERY or step is None or step < SHORTEST_STEP:
        raise RefusedQuery("a subquery must cover an hour at most, in steps of 15 s at least, such as [10m:30s]")
    if any(isinstance(inner, promql_parser.SubqueryExpr) for inner in _nodes(node.expr)):
        raise RefusedQuery("must not have a subquery within another one: use one alone")


def _check_selector(node: VectorSelector, namespace: str) -> None:
    if node.matchers.or_matchers:
        raise RefusedQuery("must not use or within braces: write two selectors with or between them")
    for matcher in node.matchers.matchers:
        own = matcher.op == MatchOp.Equal and matcher.value == namespace
        if matcher.name == NAMESPACE_LABEL and not own:
            raise RefusedQuery(
                f'must not choose a namespace but its own: leave {matcher.name} out, or write namespace="{namespace}"'
            )


def _bound(node: promql_parser.Expr, namespace: str) -> promql_parser.Expr | None:
    """The selector with a matcher more. The parser's nodes cannot be made but by parsing."""
    if not isinstance(node, VectorSelector):
        return None
    matchers = [_matcher_text(matcher) for matcher in node.matchers.matchers if matcher.name != NAMESPACE_LABEL]
    if node.name is not None:
        matchers.insert(0, f'"__name__"={quoted(node.name)}')
    selector = f"{{{','.join([*matchers, f'{NAMESPACE_LABEL}={quoted(namespace)}'])}}}"
    offset = "" if node.offset is None else f" offset {promql_parser.display_duration(node.offset)}"
    return promql_parser.parse(selector + offset)


def _matcher_text(matcher: Matcher) -> str:
    operator = next(text for op, text in _OPERATORS if op == matcher.op)
    return f"{quoted(matcher.name)}{operator}{quoted(matcher.value)}"


def _is_bound(node: VectorSelector, namespace: str) -> bool:
    found = [m for m in node.matchers.matchers if m.name == NAMESPACE_LABEL]
    return not node.matchers.or_matchers and [(m.op, m.value) for m in found] == [(MatchOp.Equal, namespace)]


def quoted(text: str) -> str:
    """Text as PromQL has it between quotes."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
