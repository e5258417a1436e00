"""Specs made up from the CRD's own schema, right and wrong: both judges agree, and what is stored is carried out."""

from dataclasses import dataclass
from typing import Any

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from hca_operator.api.crd import crd
from hca_operator.api.spec import parse_object
from hca_operator.core.errors import SpecError
from hca_operator.desired.children import desired_children
from hca_operator.desired.sizing import size
from tests.controlplane.api_server import ApiServer
from tests.controlplane.objects import KIND, api

SCHEMA = crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
RATES = ["50", 50, "1m", "2.5", "1M"]
TARGET_TIMES = ["1ms", "250ms", "2s", "60s", "60000ms"]
NO_TARGET_TIMES = ["0ms", "250", "61s", "1m", "1s1ms", "99999s", "50ms\n", ""]
CPUS = ["1m", "250m", "500m", 1, 2, 4, "1500m", "3.5", "2e0", "256"]
MEMORIES = ["32Mi", "256Mi", "512Mi", "2Gi", "8Gi", "1e9", 536870912, "4Ti", ".5Gi", "+1Gi"]
DURATIONS = ["5s", "10s", "60s", "90s", "2m", "5m", "1m1m", "0h3m0s"]
CRONS = ["0 3 * * *", "*/5 0-23/2 1,15 */2 1-5", "0,30 1-2 * * 7", "00  03 * * MON-fri", "@daily"]
NO_CRONS = ["60 3 * * *", "0 3 * *", "5-1 * * * *", "0 3 * * FRI-MON", "", "1-0/2 * * * *", "@reboot", "0-1-2 * * * *"]
NO_QUANTITIES = ["257", "4.1Ti", "0", "-1", "x", "", "0.1n", "1" * 21, 10**30, "512m", 512, "1Zi", True, 1.5]
NO_DURATIONS = ["0s", "2h", "90", "1d", "-1s", "1m1m1m1m", "99999h", "60s\n", ""]
# Without what only escapes can carry into the YAML of an apply; the operator's own way of doing so has its own test.
texts = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs"), exclude_characters="\u2028\u2029\ufeff\ufffe\uffff"),
    max_size=12,
)
garbage = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**40), 2**40), texts, st.just([]), st.just({}), st.just([None]),
    st.just({"unknown": 1}), st.just(1.5),
)  # fmt: skip


@dataclass(frozen=True)
class Specs:
    """Specs that fit the schema; `slips` puts in, now and then, what does not."""

    slips: bool

    def values(self, schema: dict[str, Any], name: str = "") -> st.SearchStrategy[Any]:
        fitting = self._fitting(schema, name)
        return self._mostly(fitting, garbage, of=40)

    def _mostly(self, fitting: st.SearchStrategy[Any], slip: st.SearchStrategy[Any], of: int) -> st.SearchStrategy[Any]:
        return st.one_of(*[fitting] * (of - 1), slip) if self.slips else fitting

    def _fitting(self, schema: dict[str, Any], name: str) -> st.SearchStrategy[Any]:  # noqa: PLR0911 - one for each type
        if "enum" in schema:
            return st.sampled_from(schema["enum"])
        if schema.get("x-kubernetes-int-or-string"):
            right = st.sampled_from({"cpu": CPUS, "targetPerPod": RATES}.get(name, MEMORIES))
            return self._mostly(right, st.sampled_from(NO_QUANTITIES), of=8)
        match schema["type"]:
            case "object":
                return self.objects(schema) if "properties" in schema else self._maps(schema)
            case "array":
                return st.lists(self.values(schema["items"]), min_size=schema.get("minItems", 0), max_size=3)
            case "integer":
                least, most = schema["minimum"], schema["maximum"]
                right = st.one_of(st.integers(least, most), st.sampled_from([least, most]))
                return self._mostly(right, st.sampled_from([least - 1, most + 1]), of=10)
            case "boolean":
                return st.booleans()
            case _:
                return self._texts(schema)

    def _texts(self, schema: dict[str, Any]) -> st.SearchStrategy[str]:
        pattern, most = schema.get("pattern", ""), schema.get("maxLength", 20)
        if "[hms]" in pattern:
            return self._mostly(st.sampled_from(DURATIONS), st.sampled_from(NO_DURATIONS), of=8)
        if any("(ms|s)" in rule["rule"] for rule in schema.get("x-kubernetes-validations", [])):
            return self._mostly(st.sampled_from(TARGET_TIMES), st.sampled_from(NO_TARGET_TIMES), of=8)
        if any("findAll" in rule["rule"] for rule in schema.get("x-kubernetes-validations", [])):
            return self._mostly(st.sampled_from(CRONS), st.sampled_from(NO_CRONS), of=4)
        if any("status" in rule["rule"] for rule in schema.get("x-kubernetes-validations", [])):
            return self._mostly(st.sampled_from(["status.podIP", "metadata.labels['a']"]), texts, of=4)
        right = st.from_regex(pattern, fullmatch=True) if pattern else texts
        wrong = st.one_of(texts, st.from_regex(pattern or "x"), st.sampled_from(["a" * (most + 1), "GRANIAN_HOST", ""]))
        return self._mostly(right.filter(lambda text: len(text) <= most), wrong, of=10)

    def _maps(self, schema: dict[str, Any]) -> st.SearchStrategy[Any]:
        wrong = st.sampled_from(["hca-operator.io/api", "a b", "a..b/c", ""])
        keys = self._mostly(st.sampled_from(["team", "example.com/a", "A_b.c"]), wrong, of=10)
        return st.dictionaries(keys, self.values(schema["additionalProperties"]), max_size=3)

    def objects(self, schema: dict[str, Any]) -> st.SearchStrategy[Any]:
        members = {name: self.values(child, name) for name, child in schema["properties"].items()}
        required = {name: members.pop(name) for name in schema.get("required", [])}
        few = st.lists(st.sampled_from(sorted(members)), max_size=5, unique=True) if members else st.just([])
        return few.flatmap(lambda names: st.fixed_dictionaries(required | {name: members[name] for name in names}))


# No example database and a fixed seed: the same specs each time, and nothing to clean up.
@settings(
    max_examples=150, deadline=None, derandomize=True, database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
@given(spec=st.booleans().flatmap(lambda slips: Specs(slips).objects(SCHEMA)))
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
