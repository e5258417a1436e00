"""How a model becomes a CRD schema, and how one rule serves the API server and the operator alike.

The API server checks a rule as CEL when an object is stored; the operator checks the same rule in Python for objects
that were stored before the rule existed and for `render`. Both stand side by side in one `Rule`, so they cannot drift
unseen: tests/controlplane compares their verdicts on a real API server.
"""

import copy
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import CoreSchema, core_schema

JsonSchema = dict[str, Any]


@dataclass(frozen=True)
class Rule:
    """A check with the sentence that a user reads: usable on a field (`Annotated`) and on a model (`rules`).

    `check` is None if only the API server can check the rule, that is for rules on a transition (`oldSelf`).
    """

    cel: str
    message: str
    check: Callable[[Any], bool] | None
    field_path: str | None = None

    def enforce(self, value: Any) -> Any:  # noqa: ANN401 - a field of any type
        """The value itself; ValueError with the message where it breaks the rule."""
        if self.check is not None and not self.check(value):
            raise ValueError(self.message)
        return value

    def as_validation(self) -> JsonSchema:
        """Entry for `x-kubernetes-validations`."""
        path = {"fieldPath": self.field_path} if self.field_path else {}
        return {"rule": self.cel, "message": self.message, **path}

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:  # noqa: ANN401
        return core_schema.no_info_after_validator_function(self.enforce, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchema:
        result = handler(schema)
        result.setdefault("x-kubernetes-validations", []).append(self.as_validation())
        return result


class IntOrString:
    """Metadata for a string field that may also be written as a bare integer, as Kubernetes does for quantities."""

    def __init__(self, *, max_length: int) -> None:
        self.max_length = max_length

    def _as_text(self, value: object) -> str:
        if isinstance(value, bool) or not isinstance(value, int | str):
            raise ValueError("must be a string or an integer")
        if len(text := str(value)) > self.max_length:
            raise ValueError(f"must be at most {self.max_length} characters")
        return text

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:  # noqa: ANN401
        return core_schema.no_info_before_validator_function(self._as_text, handler(source))

    def __get_pydantic_json_schema__(self, _schema: CoreSchema, _handler: GetJsonSchemaHandler) -> JsonSchema:
        return {
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "x-kubernetes-int-or-string": True,
            "maxLength": self.max_length,
        }


class ListMap:
    """Metadata for a list whose items are identified by one key: merged by key, duplicates refused."""

    def __init__(self, key: str) -> None:
        self.key = key

    def _unique(self, items: list[Any]) -> list[Any]:
        seen = [getattr(item, self.key) for item in items]
        for key in seen:
            if seen.count(key) > 1:
                raise ValueError(f"{to_camel(self.key)} {key!r} occurs more than once")
        return items

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:  # noqa: ANN401
        return core_schema.no_info_after_validator_function(self._unique, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchema:
        return {**handler(schema), "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [to_camel(self.key)]}


def without_nulls(data: Any) -> Any:  # noqa: ANN401 - whatever was stored
    """The API server prunes a null field and then fills in the default."""
    return {key: value for key, value in data.items() if value is not None} if isinstance(data, dict) else data


class SpecModel(BaseModel):
    """Base of every part of the object: camelCase outside, strict types, rules, and defaults that the CRD shows."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        frozen=True,
        strict=True,
        use_attribute_docstrings=True,
    )
    rules: ClassVar[tuple[Rule, ...]] = ()

    @model_validator(mode="before")
    @classmethod
    def _null_is_absent(cls, data: Any) -> Any:  # noqa: ANN401 - whatever was stored
        return without_nulls(data)

    @model_validator(mode="after")
    def _keep_rules(self) -> "SpecModel":
        for rule in self.rules:
            rule.enforce(self)
        return self

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchema:
        result = handler.resolve_ref_schema(handler(schema))
        result.pop("description", None)  # a class docstring is for developers; users read the fields' docstrings
        for field in cls.model_fields.values():
            if "default" in result["properties"][field.alias]:
                result["properties"][field.alias]["default"] = _explicit(field.default)
        if cls.rules:
            result["x-kubernetes-validations"] = [rule.as_validation() for rule in cls.rules]
        return result


def _explicit(default: object) -> object:
    """A default in full: the API server checks the rules on it before it fills in the defaults further in."""
    if isinstance(default, BaseModel):
        fields = type(default).model_fields.items()
        values = ((field.alias, _explicit(getattr(default, name))) for name, field in fields)
        return {alias: value for alias, value in values if value not in (None, [], {})}
    return [_explicit(item) for item in default] if isinstance(default, list) else default


def structural_schema(model: type[BaseModel]) -> JsonSchema:
    """OpenAPI v3 structural schema of a model as a CRD wants it: no references, nulls or titles.

    Nor defaults inside of lists: `kubectl apply` and Argo CD compare a list as a whole, so that one item with a stored
    default differs from its manifest for ever. There the models fill them in, and the description says them.
    """
    schema = model.model_json_schema(by_alias=True)
    return _structural(schema, schema.get("$defs", {}))


def _structural(node: JsonSchema, definitions: JsonSchema, *, in_list: bool = False) -> JsonSchema:
    node = copy.copy(node)
    if reference := node.pop("$ref", None):
        node = {**definitions[reference.rsplit("/", 1)[1]], **node}
    if "anyOf" in node and "x-kubernetes-int-or-string" not in node:  # Optional[X]: absent, never null
        (only,) = [option for option in node.pop("anyOf") if option != {"type": "null"}]
        node = {**_structural(only, definitions, in_list=in_list), **node}
    for key in ("title", "$defs"):
        node.pop(key, None)
    if node.get("default", ...) in (None, [], "") or ("additionalProperties" in node and not node.get("default")):
        node.pop("default", None)  # an empty text, list or map says no more than its absence
    if in_list and "default" in node:
        default = node.pop("default")
        said = default if isinstance(default, str) else json.dumps(default)
        node["description"] = f"{node['description']} Default: {said}."
    if "const" in node:
        node["enum"] = [node.pop("const")]
    if "properties" in node:
        node["properties"] = {
            name: _structural(child, definitions, in_list=in_list) for name, child in node["properties"].items()
        }
    if isinstance(node.get("additionalProperties"), dict):
        node["additionalProperties"] = _structural(node["additionalProperties"], definitions, in_list=in_list)
    if "items" in node:
        node["items"] = _structural(node["items"], definitions, in_list=True)
        node.setdefault("x-kubernetes-list-type", "atomic")
    return node
