"""docs/reference.md: every field for people, from the very schema that the API server checks."""

import json
from collections.abc import Iterator

from hca_operator.api.crd import crd
from hca_operator.api.schema import JsonSchema
from hca_operator.core.durations import DURATION_PATTERN

INTRODUCTION = """\
<!-- Generated from the models by `make crds`: change the models instead. -->
# API reference
`apiVersion: {api_version}`, `kind: {kind}`, for kubectl `{short_name}` for short.
[Conditions and reasons](conditions.md) explains the conditions of the status.

{name_rule}
"""


def reference() -> str:
    """The whole reference as Markdown."""
    definition = crd()["spec"]
    (version,) = definition["versions"]
    schema: JsonSchema = version["schema"]["openAPIV3Schema"]
    introduction = INTRODUCTION.format(
        api_version=f"{definition['group']}/{version['name']}",
        kind=definition["names"]["kind"],
        short_name=definition["names"]["shortNames"][0],
        name_rule="\n".join(_rules(schema)),
    )
    sections = [section for part in ("spec", "status") for section in _sections(part, schema["properties"][part])]
    return "\n".join([introduction, *sections])


def _sections(path: str, schema: JsonSchema) -> Iterator[str]:
    """The section of an object, and those of the objects in it."""
    yield _section(path, schema)
    for name, child in schema["properties"].items():
        if "properties" in (inner := _object_of(child)):
            yield from _sections(_path(path, name, child), {**inner, "description": child["description"]})


def _object_of(schema: JsonSchema) -> JsonSchema:
    """The items of a list, anything else itself."""
    items: JsonSchema = schema.get("items", schema)
    return items


def _path(above: str, name: str, schema: JsonSchema) -> str:
    return f"{above}.{name}[]" if "items" in schema else f"{above}.{name}"


def _section(path: str, schema: JsonSchema) -> str:
    rows = [
        "| field | type | default | meaning |",
        "|---|---|---|---|",
        *(_row(path, name, child, schema) for name, child in schema["properties"].items()),
    ]
    # The rules of a nested object are listed in its own section.
    fields = ((name, child) for name, child in schema["properties"].items() if "properties" not in child)
    rules = [*_rules(schema), *(rule for name, child in fields for rule in _rules(child, name))]
    paragraphs = [f"## {path}", schema["description"], "\n".join(rows), "\n".join(rules)]
    return "\n".join(paragraph + "\n" for paragraph in paragraphs if paragraph)


def _row(path: str, name: str, schema: JsonSchema, parent: JsonSchema) -> str:
    shown = f"`{name}`"
    if "properties" in _object_of(schema):
        shown = f"[{shown}](#{anchor(_path(path, name, schema))})"
    default = "**required**" if name in parent.get("required", []) else _default(schema)
    cells = (shown, _type(schema), default, schema["description"])
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def anchor(heading: str) -> str:
    """Where a heading can be linked to: hosts of Markdown drop the case and what is no letter, digit or hyphen."""
    return "".join(letter for letter in heading.lower().replace(" ", "-") if letter.isalnum() or letter in "-_")


def _type(schema: JsonSchema) -> str:  # noqa: PLR0911 - one for each type
    if "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema["enum"])
    if schema.get("x-kubernetes-int-or-string"):
        return "quantity"
    match schema["type"]:
        case "array":
            keys = schema.get("x-kubernetes-list-map-keys")
            unique = f", each with another `{keys[0]}`" if keys else ""
            items = "objects" if "properties" in schema["items"] else "strings"
            return f"list of {schema.get('minItems', 0)} to {schema['maxItems']} {items}{unique}"
        case "object" if "additionalProperties" in schema:
            return f"map of at most {schema['maxProperties']} strings"
        case "integer" if "minimum" in schema:
            return f"integer, {schema['minimum']} to {schema['maximum']}" if "maximum" in schema else "integer"
        case "string" if schema.get("pattern") == DURATION_PATTERN:
            return "duration"
        case "string" if "maxLength" in schema:
            return f"string, at most {schema['maxLength']} characters"
        case "string":
            return str(schema.get("format", "string"))
        case other:
            return str(other)


def _default(schema: JsonSchema) -> str:
    """The default, unless it is an object whose fields show the same in their own section."""
    default = schema.get("default")
    fields = schema.get("properties", {}).items()
    shown = {name: child["default"] for name, child in fields if child.get("default") not in (None, {})}
    if default in (None, shown):
        return ""
    return f"`{default if isinstance(default, str) else json.dumps(default)}`"


def _rules(schema: JsonSchema, name: str = "") -> Iterator[str]:
    """What the API server checks beyond type and bounds, each with the sentence that it answers."""
    for rule in schema.get("x-kubernetes-validations", []):
        field = name or rule.get("fieldPath", "").removeprefix(".")
        yield f"- `{field}`: {rule['message']}" if field else f"- {rule['message']}"
    inner = _object_of(schema) if name else schema
    if "pattern" in inner and inner["pattern"] != DURATION_PATTERN:
        yield f"- `{name}`: must match `{inner['pattern']}`"
