"""Specs made up from the CRD's own schema, right and wrong: both judges agree, and what is stored is carried out."""

from typing import Any

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from hca_operator.api.crd import crd
from hca_operator.api.spec import parse_object
from hca_operator.desired import desired_children
from hca_operator.errors import SpecError
from hca_operator.sizing import size
from tests.controlplane.api_server import ApiServer
from tests.controlplane.objects import KIND, api

SCHEMA = crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
CPUS = ["1m", "250m", 1, 2, "1500m", "3.5", "2e0", "256", "257", "0", "-1", "x", "", "0.1n", "1" * 21, 10**30]
MEMORIES = ["32Mi", "64Mi", "512Mi", "1Gi", "1e9", 536870912, "4Ti", "4.1Ti", "512m", 512, "1Zi", ".5Gi", "+1Gi"]
DURATIONS = ["1s", "5s", "60s", "5m", "1h", "61m", "1h0m0s", "0s", "90", "1d", "-1s", "1m1m", "99999h", "1s\n"]
texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
garbage = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**40), 2**40), texts, st.just([]), st.just({}), st.just([None]),
    st.just({"unknown": 1}), st.just(1.5),
)  # fmt: skip


def values(schema: dict[str, Any], name: str = "") -> st.SearchStrategy[Any]:
    """Values that mostly fit a schema, and now and then do not."""
    return st.one_of(*[_fitting(schema, name)] * 19, garbage)


def _fitting(schema: dict[str, Any], name: str) -> st.SearchStrategy[Any]:  # noqa: PLR0911 - one for each type
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if schema.get("x-kubernetes-int-or-string"):
        return st.sampled_from(CPUS if name == "cpu" else MEMORIES)
    match schema["type"]:
        case "object" if "properties" in schema:
            return _objects(schema)
        case "object":
            keys = st.sampled_from(["team", "example.com/a", "hca-operator.io/api", "a b", ""])
            return st.dictionaries(keys, values(schema["additionalProperties"]), max_size=3)
        case "array":
            return st.lists(values(schema["items"]), min_size=schema.get("minItems", 0), max_size=3)
        case "integer":
            least, most = schema.get("minimum", -5), schema.get("maximum", 2**31)
            return st.one_of(st.integers(least, most), st.sampled_from([least - 1, least, most, most + 1]))
        case "boolean":
            return st.booleans()
        case _:
            return _texts(schema)


def _texts(schema: dict[str, Any]) -> st.SearchStrategy[str]:
    pattern = schema.get("pattern", "")
    if "[hms]" in pattern:
        return st.sampled_from(DURATIONS)
    most = schema.get("maxLength", 20)
    fitting = st.from_regex(pattern).filter(lambda text: "\0" not in text) if pattern else texts
    return st.one_of(fitting, fitting, fitting, texts, st.sampled_from(["a" * most, "a" * (most + 1), "GRANIAN_HOST"]))


def _objects(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    members = {name: values(child, name) for name, child in schema["properties"].items()}
    required = {name: members.pop(name) for name in schema.get("required", [])}
    few = st.lists(st.sampled_from(sorted(members)), max_size=4, unique=True) if members else st.just([])
    return few.flatmap(lambda names: st.fixed_dictionaries(required | {name: members[name] for name in names}))


# No example database and a fixed seed: the same specs each time, and nothing to clean up.
@settings(
    max_examples=150, deadline=None, derandomize=True, database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
@given(spec=_objects(SCHEMA))
def test_both_judges_agree_and_what_is_accepted_is_carried_out(
    server: ApiServer, shared_namespace: str, spec: dict[str, Any]
) -> None:
    written = {**api(shared_namespace), "spec": spec}
    answer = server.answer("POST", KIND, shared_namespace, body=written, dryRun="All", fieldValidation="Strict")
    assert answer.status_code in {201, 400, 422}, answer.text
    accepted = answer.status_code == 201
    refusal = None
    try:
        parse_object({**written, "metadata": written["metadata"] | {"uid": "x"}}, unknown_fields="forbid")
    except SpecError as error:
        refusal = str(error)
    assert accepted == (refusal is None), f"API server: {answer.text}\nmodels: {refusal}"
    event("accepted" if accepted else "refused")
    if not accepted:
        return
    stored = parse_object(answer.json())
    try:
        children = desired_children(stored, size(stored.spec))
    except SpecError:
        event("too little memory for its workers")
        return
    for child in children:
        if child.manifest is not None:
            server.apply(child.manifest, dryRun="All")
