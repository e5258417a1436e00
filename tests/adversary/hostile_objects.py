"""Objects as a hostile tenant writes them, made up from the CRD's own schema; most of them can be stored."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml
from hypothesis import strategies as st

from hca_operator.core.names import ADOPT_ANNOTATION, GROUP, RESTART_ANNOTATION, Manifest
from tests.adversary import texts
from tests.adversary.generation import examples
from tests.controlplane.objects import api
from tests.controlplane.test_validation_fuzz import SCHEMA, Specs, garbage
from tests.controlplane.verdicts import models_accept

Path = tuple[str | int, ...]
Any_ = st.SearchStrategy[Any]
RAW = re.compile("'?@@(.*?)@@'?", re.DOTALL)
"""Stands in a document for what YAML is not to quote."""
UNREADABLE = "kopf.zalando.org/last-handled-configuration"


@dataclass(frozen=True)
class Draft:
    """An object as it is sent."""

    name: str
    body: bytes
    as_: str
    """json or yaml."""


def drafts(count: int, namespace: str, number: int | None) -> list[Draft]:
    """So many objects, two thirds of which the models accept. Without a number they are the same each time."""
    accepted: list[tuple[Manifest, bool]] = []
    refused: list[tuple[Manifest, bool]] = []
    for written, as_yaml in examples(_objects, 2 * count, number):
        written["metadata"]["namespace"] = namespace
        readable = "@@" not in str(written) and _accepted(written)
        (accepted if readable else refused).append((written, as_yaml))
    chosen = [*accepted[: count * 2 // 3], *refused][:count]
    return [_draft(written, f"hostile-{nth}", as_yaml=as_yaml) for nth, (written, as_yaml) in enumerate(chosen)]


def _accepted(written: Manifest) -> bool:
    try:
        return models_accept(written | {"metadata": {"name": "x", **written["metadata"]}})
    except UnicodeError:  # half of a pair of characters
        return False


def _draft(written: Manifest, name: str, *, as_yaml: bool) -> Draft:
    written["metadata"] = {"name": name, **written["metadata"]}
    if as_yaml or "@@" in str(written):
        text = yaml.safe_dump(written, allow_unicode=False)
        return Draft(written["metadata"]["name"], RAW.sub(r"\1", text).encode(), "yaml")
    return Draft(written["metadata"]["name"], json.dumps(written).encode(), "json")


def _objects() -> st.SearchStrategy[tuple[Manifest, bool]]:
    """Each with whether it is to be sent as YAML."""
    spec = st.one_of(*[_targeted()] * 3, *[_mutated(most=3)] * 2, _mutated(most=0))
    written = st.builds(lambda spec, metadata: api("", **spec) | {"metadata": {**metadata}}, spec, _metadata())
    return st.tuples(written, st.booleans())


def _metadata() -> st.SearchStrategy[Manifest]:
    annotations = st.one_of(
        st.dictionaries(texts.label_keys, texts.odd, max_size=2),
        texts.times.map(lambda time: {RESTART_ANNOTATION: time}),
        texts.odd.map(lambda uid: {ADOPT_ANNOTATION: uid}),
        st.sampled_from(["{", "5", "[" * 50_000, "{}"]).map(lambda text: {UNREADABLE: text}),
        st.just({"note": "x" * 200_000}),
    )
    finalizers = st.sampled_from([["example.com/never"], [f"{GROUP}/unused"], ["foregroundDeletion"]])
    names = st.sampled_from(["a" * 52, "a" * 53, "a-" * 25 + "a", "1a", "a.b", "default", "kubernetes", "-", "\u00e4"])
    return st.one_of(
        *[st.just({})] * 4,
        annotations.map(lambda written: {"annotations": written}),
        st.integers(1, 300).map(lambda count: {"labels": {f"l{number}": "x" for number in range(count)}}),
        finalizers.map(lambda written: {"finalizers": written}),
        names.map(lambda name: {"name": name}),
    )


def _targeted() -> Any_:
    """Right but for a text, which is by the grammar of its field; so most are right."""
    query = st.fixed_dictionaries({"query": texts.promql, "targetPerPod": st.just("100")})
    metrics = st.lists(query, min_size=1, max_size=8).map(
        lambda found: [{"name": f"m{n}", "type": "Prometheus", "prometheus": each} for n, each in enumerate(found)]
    )
    times = {"cron": texts.cron, "timeZone": st.just("UTC") | texts.time_zones}
    floor = st.fixed_dictionaries({"duration": st.just("2h") | texts.durations, "minReplicas": st.just(3), **times})
    floors = st.lists(floor, min_size=1, max_size=8).map(
        lambda found: [{"name": f"s{number}", **each} for number, each in enumerate(found)]
    )
    amounts = st.dictionaries(st.sampled_from(["cpu", "memory"]), texts.quantities, max_size=2)
    values = texts.odd | st.integers(0, 30_000).map(lambda length: "x" * length)
    variables = st.lists(values, max_size=8).map(
        lambda found: [{"name": f"V{number}", "value": value} for number, value in enumerate(found)]
    )
    labels = st.dictionaries(texts.label_keys, texts.label_values, max_size=4)
    yaml_oddities = texts.raw_yaml.map(lambda text: f"@@{text}@@")
    return st.one_of(
        metrics.map(lambda found: {"autoscaling": {"metrics": found}}),
        floors.map(lambda found: {"autoscaling": {"schedules": found}}),
        st.fixed_dictionaries(times).map(lambda found: {"restartSchedule": found}),
        st.fixed_dictionaries({"limits": amounts}, optional={"requests": amounts}).map(lambda f: {"resources": f}),
        variables.map(lambda found: {"env": found}),
        st.lists(texts.odd, max_size=64).map(lambda found: {"args": found}),
        labels.map(lambda found: {"podLabels": found}),
        labels.map(lambda found: {"nodeSelector": found}),
        st.dictionaries(texts.label_keys, texts.odd, max_size=4).map(lambda found: {"podAnnotations": found}),
        yaml_oddities.map(lambda found: {"podLabels": {"a": found}}),
        yaml_oddities.map(lambda found: {"replicas": found}),
        yaml_oddities.map(lambda found: {"env": [{"name": "A", "value": found}]}),
        yaml_oddities.map(lambda found: {"health": found}),
        st.sampled_from([0, 1, 999, 1000]).map(lambda count: {"replicas": count, "autoscaling": {"mode": "Disabled"}}),
    )


@st.composite
def _mutated(draw: st.DrawFn, most: int) -> Any:
    """A spec that fits the schema, but for so many values in it at most."""
    spec = draw(Specs(slips=False).objects(SCHEMA))
    for _ in range(draw(st.integers(0, most))):
        path, schema = draw(st.sampled_from(list(_values(spec, SCHEMA))))
        spec = _with(spec, path, draw(_hostile(schema, str(path[-1]))))
    return spec


def _values(value: Any, schema: Mapping[str, Any], path: Path = ()) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """Every value within another one, and the schema that it should fit."""
    children: list[tuple[str | int, Any, Mapping[str, Any]]] = []
    if isinstance(value, dict):
        of_each = schema.get("additionalProperties", {})
        children = [(name, child, schema.get("properties", {}).get(name, of_each)) for name, child in value.items()]
    elif isinstance(value, list):
        children = [(number, child, schema.get("items", {})) for number, child in enumerate(value)]
    for step, child, of_child in children:
        yield (*path, step), of_child
        yield from _values(child, of_child, (*path, step))


def _with(value: Any, path: Path, new: Any) -> Any:
    if not path:
        return new
    changed = value.copy()
    changed[path[0]] = _with(value[path[0]], path[1:], new)
    return changed


_BY_NAME: Mapping[str, Any_] = {
    "cron": texts.cron,
    "timeZone": texts.time_zones,
    "query": texts.promql,
    "duration": texts.durations,
    "startupTimeout": texts.durations,
    "terminationGracePeriod": texts.durations,
}


def _hostile(schema: Mapping[str, Any], name: str) -> Any_:
    """What stands in a field's place: at its bounds, beyond them, of its grammar, or of another type."""
    if name in _BY_NAME or schema.get("x-kubernetes-int-or-string"):
        return _BY_NAME.get(name, texts.quantities)
    match schema.get("type"):
        case "integer":
            least, most = schema.get("minimum", 0), schema.get("maximum", 2**31 - 1)
            return st.sampled_from(
                [least, most, least - 1, most + 1, 0, -1, 2**31, 2**63, 2**64, 1.5, 1e300, str(least)]
            )
        case "string":
            longest = schema.get("maxLength", 64)
            fits = [st.from_regex(schema["pattern"], fullmatch=True)] if "pattern" in schema else [texts.odd]
            enum = schema.get("enum", [])
            others = [*enum, *(str(each).lower() for each in enum), "a" * longest, "a" * (longest + 1)]
            return st.one_of(*fits, texts.odd, st.sampled_from(others))
        case "array":
            return st.one_of(garbage, st.integers(0, 200).map(lambda count: [{"name": f"n{n}"} for n in range(count)]))
        case "object":
            nested = st.integers(1, 200).map(_nested)  # more is too deep for yaml to write
            labels = st.dictionaries(texts.label_keys, texts.label_values, max_size=40)
            return st.one_of(garbage, nested, labels)
    return st.one_of(garbage, texts.odd)


def _nested(depth: int) -> Manifest:
    found: Manifest = {}
    for _ in range(depth):
        found = {"a": found}
    return found
