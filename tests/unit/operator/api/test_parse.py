"""What the API server may have stored is read without a crash, whatever it is."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hca_operator.api.crd import crd
from hca_operator.api.spec import parse_object
from hca_operator.core.errors import SpecError
from hca_operator.core.names import Manifest
from hca_operator.desired.children import desired_children
from hca_operator.desired.sizing import size
from tests.unit.operator.objects import manifest

SPEC_SCHEMA = crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]


def _paths(schema: dict[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Paths of every field, as far as no list lies in between, nor an object that cannot be empty."""
    for name, child in schema.get("properties", {}).items():
        yield (*above, name)
        if "required" not in child:
            yield from _paths(child, (*above, name))


OPTIONAL = [path for path in _paths(SPEC_SCHEMA) if path != ("image",)]


def stored_with(path: tuple[str, ...], value: object) -> Manifest:
    stored = manifest()
    node = stored["spec"]
    for step in path[:-1]:
        node = node.setdefault(step, {})
    node[path[-1]] = value
    return stored


def _carry_out(stored: Manifest) -> None:
    api = parse_object(stored)
    desired_children(api, size(api.spec))


@pytest.mark.parametrize("path", OPTIONAL, ids=".".join)
def test_fault_16_null_is_the_same_as_absent(path: tuple[str, ...]) -> None:
    absent = stored_with(path, None)
    node = absent["spec"]
    for step in path[:-1]:
        node = node[step]
    del node[path[-1]]
    assert parse_object(stored_with(path, None)).spec == parse_object(absent).spec


@pytest.mark.parametrize("empty", [{}, [], "", 0, False], ids=repr)
@pytest.mark.parametrize("path", OPTIONAL, ids=".".join)
def test_fault_16_nothing_empty_is_a_crash(path: tuple[str, ...], empty: object) -> None:
    try:
        _carry_out(stored_with(path, empty))
    except SpecError as error:
        assert ".".join(("spec", *path[:1])) in str(error)  # noqa: PT017 - both outcomes are right, a crash is not


@pytest.mark.parametrize("path", [path for path in OPTIONAL if path[-1] in SPEC_SCHEMA["properties"]], ids=".".join)
def test_an_empty_object_takes_the_defaults(path: tuple[str, ...]) -> None:
    schema = SPEC_SCHEMA["properties"][path[-1]]
    if schema.get("type") == "object" and "required" not in schema and path != ("resources",):
        assert parse_object(stored_with(path, {})).spec == parse_object(manifest()).spec


def test_null_within_labels_is_the_same_as_absent() -> None:
    assert parse_object(stored_with(("podLabels",), {"team": None})).spec.pod_labels == {}


@pytest.mark.parametrize("spec", [None, {}, [], "text", 5, {"image": None}, {"image": 7}, {"image": ""}], ids=repr)
def test_a_spec_that_is_none_names_what_is_missing(spec: object) -> None:
    with pytest.raises(SpecError, match=r"^spec"):
        parse_object({**manifest(), "spec": spec})


def test_an_object_without_spec_names_the_image() -> None:
    stored = manifest()
    del stored["spec"]
    with pytest.raises(SpecError, match=r"^spec\.image: "):
        parse_object(stored)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)


@given(path=st.sampled_from(OPTIONAL), value=json_values)
def test_fault_38_no_garbage_is_a_crash(path: tuple[str, ...], value: object) -> None:
    try:
        _carry_out(stored_with(path, value))
    except SpecError as error:
        assert str(error).startswith("spec")  # noqa: PT017 - both outcomes are right, a crash is not
