"""The schema of the CRD, whatever fields it has."""

from collections.abc import Iterator
from typing import Any

from hca_operator.api.crd import crd


def defaults_in_lists(schema: Any, path: str, *, in_list: bool = False) -> Iterator[str]:
    if in_list and "default" in schema:
        yield path
    for name, child in schema.get("properties", {}).items():
        yield from defaults_in_lists(child, f"{path}.{name}", in_list=in_list)
    if isinstance(schema.get("additionalProperties"), dict):
        yield from defaults_in_lists(schema["additionalProperties"], f"{path}{{}}", in_list=in_list)
    if "items" in schema:
        yield from defaults_in_lists(schema["items"], f"{path}[]", in_list=True)


def test_no_default_stands_inside_a_list() -> None:
    """Stored in an item, it would make the list differ from the manifest that is applied, for ever."""
    (version,) = crd()["spec"]["versions"]
    assert list(defaults_in_lists(version["schema"]["openAPIV3Schema"], "")) == []
