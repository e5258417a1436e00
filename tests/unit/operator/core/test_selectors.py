"""Label selectors find what Kubernetes finds by them."""

from typing import Any

import pytest

from hca_operator.core.selectors import selects

LABELS = {"app": "shop", "tier": "web"}


def term(key: str, operator: str, *values: str) -> dict[str, Any]:
    return {"matchExpressions": [{"key": key, "operator": operator, "values": list(values)}]}


@pytest.mark.parametrize(
    ("selector", "found"),
    [
        (None, False),
        ({}, True),
        ({"matchLabels": {"app": "shop"}}, True),
        ({"matchLabels": {"app": "shop", "zone": "a"}}, False),
        (term("app", "In", "shop", "b"), True),
        (term("app", "In", "b"), False),
        (term("zone", "In", "b"), False),
        (term("app", "NotIn", "shop"), False),
        (term("zone", "NotIn", "a"), True),
        (term("app", "Exists"), True),
        (term("zone", "Exists"), False),
        (term("zone", "DoesNotExist"), True),
        (term("app", "DoesNotExist"), False),
        ({"matchLabels": {"app": "shop"}, **term("tier", "In", "db")}, False),
    ],
)
def test_a_selector_finds_what_kubernetes_finds(selector: dict[str, Any] | None, *, found: bool) -> None:
    assert selects(selector, LABELS) is found
