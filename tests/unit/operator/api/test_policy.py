"""What a platform team sets for every object: defaults, limits and what is wrong with a policy file."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from hca_operator.api.fleet_policy import NO_POLICY, FleetPolicy, apply, parse_policy
from hca_operator.api.schema import JsonSchema, structural_schema
from hca_operator.api.spec import parse_object
from hca_operator.core.errors import CannotStart, LimitExceeded
from tests.unit.operator.objects import api_object, manifest, resources

REPOSITORY = Path(__file__).parents[4]
VALUES_SCHEMA = json.loads((REPOSITORY / "charts" / "values.schema.json").read_text())
EXAMPLE = REPOSITORY / "examples" / "fleet" / "values.yaml"
EVERYTHING = yaml.safe_load((Path(__file__).parents[1] / "desired" / "golden" / "everything" / "in.yaml").read_text())[
    "spec"
]
ROUTE = {"host": "shop.example.com"}


def policy(**content: Any) -> FleetPolicy:
    return parse_policy(yaml.safe_dump(content), "policy.yaml")


def defaults(**fields: Any) -> FleetPolicy:
    return policy(defaults=fields)


def limits(**fields: Any) -> FleetPolicy:
    return policy(limits=fields)


@pytest.mark.parametrize(
    "spec", [manifest()["spec"], {"podAnnotations": {"any": "x"}, **EVERYTHING}], ids=["least", "all"]
)
def test_without_a_policy_every_object_stays_as_it_is(spec: dict[str, Any]) -> None:
    api = parse_object({**manifest(), "spec": spec})
    assert apply(NO_POLICY, api) == api
    assert parse_policy("", "policy.yaml") == NO_POLICY
    assert NO_POLICY.network_policy.enabled


TOLERATION = {"key": "dedicated", "operator": "Equal", "value": "apis", "effect": "NoSchedule"}
DEFAULTS: dict[str, Any] = {
    "traffic": {"ingress": {"className": "contour"}},
    "imagePullPolicy": "Always",
    "imagePullSecrets": [{"name": "registry"}],
    "nodeSelector": {"disktype": "ssd"},
    "tolerations": [TOLERATION],
    "priorityClassName": "apis",
    "podLabels": {"team": "platform"},
    "podAnnotations": {"example.com/logs": "json"},
}
OWN: dict[str, Any] = {
    "traffic": {"ingress": {"className": "nginx"}},
    "imagePullPolicy": "Never",
    "imagePullSecrets": [{"name": "mine"}],
    "nodeSelector": {"disktype": "hdd"},
    "tolerations": [{"operator": "Exists"}],
    "priorityClassName": "low",
    "podLabels": {"team": "shop"},
    "podAnnotations": {"example.com/logs": "text"},
}


def test_every_default_has_its_test() -> None:
    assert (
        DEFAULTS.keys() == OWN.keys() == structural_schema(FleetPolicy)["properties"]["defaults"]["properties"].keys()
    )


@pytest.mark.parametrize("field", DEFAULTS)
def test_a_default_is_for_what_the_object_leaves_open(field: str) -> None:
    given = defaults(**{field: DEFAULTS[field]})
    assert apply(given, api_object()) == api_object(**{field: DEFAULTS[field]})
    assert apply(given, api_object(**{field: OWN[field]})) == api_object(**{field: OWN[field]})


@pytest.mark.parametrize("field", ["nodeSelector", "podLabels", "podAnnotations"])
def test_maps_are_merged_key_by_key(field: str) -> None:
    given = defaults(**{field: {"a": "fleet", "b": "fleet"}})
    assert apply(given, api_object(**{field: {"b": "own", "c": "own"}})) == api_object(
        **{field: {"a": "fleet", "b": "own", "c": "own"}}
    )


def test_a_default_leaves_the_rest_of_the_traffic_alone() -> None:
    merged = apply(defaults(traffic=DEFAULTS["traffic"]), api_object(traffic={"routes": [ROUTE]}))
    assert merged == api_object(traffic={"routes": [ROUTE], **DEFAULTS["traffic"]})


FITTING: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"maxReplicas": 10}, {}),
    ({"maxReplicas": 5}, {"autoscaling": {"mode": "Disabled"}, "replicas": 5}),
    ({"maxReplicas": 5}, {"autoscaling": {"maxReplicas": 5}, "replicas": 100}),
    ({"cpu": 1}, resources("1000m")),
    ({"cpu": "1"}, resources(None, cpu="1")),
    ({"cpu": "1"}, resources(None)),
    ({"memory": "1Gi"}, resources("1", "1024Mi")),
    ({"ingressClassNames": ["a", "b"]}, {"traffic": {"routes": [ROUTE], "ingress": {"className": "b"}}}),
    ({"ingressClassNames": ["a"]}, {}),
    ({"annotationKeys": ["note", "example.com/"]}, {"podAnnotations": {"note": "x", "example.com/a": "x"}}),
    ({"annotationKeys": []}, {}),
]


@pytest.mark.parametrize(("limit", "fields"), FITTING)
def test_what_is_within_a_limit_is_left_as_it_is(limit: dict[str, Any], fields: dict[str, Any]) -> None:
    assert apply(limits(**limit), api_object(**fields)) == api_object(**fields)


HORIZONTAL, FIXED = {"autoscaling": {"maxReplicas": 60}}, {"autoscaling": {"mode": "Disabled"}, "replicas": 60}
CLASS = "spec.traffic.ingress.className"
BEYOND: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"maxReplicas": 50}, HORIZONTAL, "spec.autoscaling.maxReplicas: 60 is more than the 50 that is allowed here"),
    ({"maxReplicas": 50}, FIXED, "spec.replicas: 60 is more than the 50 that is allowed here"),
    ({"maxReplicas": 9}, {}, "spec.autoscaling.maxReplicas: 10 is more than the 9 that is allowed here"),
    ({"cpu": "1"}, resources("1001m"), "spec.resources.limits.cpu: 1001m is more than the 1 that is allowed here"),
    ({"cpu": "1"}, resources(None, cpu="2"), "spec.resources.requests.cpu: 2 is more than the 1 that is allowed here"),
    ({"memory": "1Gi"}, resources("1", "2Gi"), "spec.resources.limits.memory: 2Gi is more than the 1Gi that is"),
    (
        {"ingressClassNames": ["a", "b"]},
        {"traffic": {"routes": [ROUTE], "ingress": {"className": "c"}}},
        f"{CLASS}: c is not one of the classes that are allowed here: use a or b",
    ),
    (
        {"ingressClassNames": ["a"]},
        {"traffic": {"routes": [ROUTE]}},
        f"{CLASS}: absent is not one of the classes that are allowed here: use a",
    ),
    (
        {"annotationKeys": ["note", "example.com/"]},
        {"podAnnotations": {"example.community/a": "x"}},
        "spec.podAnnotations: example.community/a is not one of the keys that are allowed here (note, example.com/)",
    ),
    (
        {"annotationKeys": ["note/", "example.com/note"]},
        {"podAnnotations": {"note": "x"}},
        "spec.podAnnotations: note is not one of the keys that are allowed here (note/, example.com/note)",
    ),
    ({"annotationKeys": []}, {"podAnnotations": {"note": "x"}}, "spec.podAnnotations: note is not one of the keys"),
]


@pytest.mark.parametrize(("limit", "fields", "message"), BEYOND)
def test_what_is_beyond_a_limit_is_refused_with_field_value_limit_and_whom_to_ask(
    limit: dict[str, Any], fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(LimitExceeded) as refused:
        apply(limits(**limit), api_object(**fields))
    assert str(refused.value).startswith(message)
    assert f"the operator's chart value apis.limits.{next(iter(limit))}" in str(refused.value)


def test_every_limit_is_named_at_once() -> None:
    with pytest.raises(LimitExceeded, match=r"spec\.autoscaling\.maxReplicas: .*; spec\.resources\.limits\.cpu: "):
        apply(limits(maxReplicas=1, cpu="500m"), api_object())


def test_a_default_class_makes_an_object_without_one_fit() -> None:
    given = policy(defaults={"traffic": DEFAULTS["traffic"]}, limits={"ingressClassNames": ["contour"]})
    assert apply(given, api_object(traffic={"routes": [ROUTE]})).spec.traffic.ingress.class_name == "contour"


def test_annotations_of_the_platform_team_need_not_be_open_to_objects() -> None:
    given = policy(defaults={"podAnnotations": {"mesh": "on"}}, limits={"annotationKeys": []})
    assert apply(given, api_object()).spec.pod_annotations == {"mesh": "on"}
    with pytest.raises(LimitExceeded, match=r"spec\.podAnnotations: mesh is not one of the keys"):
        apply(given, api_object(podAnnotations={"mesh": "off"}))


WRONG: list[tuple[Any, str]] = [
    ({"limit": {}}, "apis.limit: unknown field"),
    ({"limits": {"maxReplica": 5}}, "apis.limits.maxReplica: unknown field"),
    ({"limits": {"max_replicas": 5}}, "apis.limits.max_replicas: unknown field"),
    ({"limits": {"maxReplicas": "5"}}, "apis.limits.maxReplicas: "),
    ({"limits": {"maxReplicas": 0}}, "apis.limits.maxReplicas: "),
    ({"limits": {"maxReplicas": 1001}}, "apis.limits.maxReplicas: "),
    ({"limits": {"cpu": "two"}}, "apis.limits.cpu: must be a CPU quantity from 1m to 256"),
    ({"limits": {"cpu": 257}}, "apis.limits.cpu: must be a CPU quantity from 1m to 256"),
    ({"limits": {"cpu": True}}, "apis.limits.cpu: "),
    ({"limits": {"memory": "512m"}}, "apis.limits.memory: must be a memory quantity"),
    ({"limits": {"memory": 512}}, "apis.limits.memory: must be a memory quantity"),
    ({"limits": {"ingressClassNames": []}}, "apis.limits.ingressClassNames: "),
    ({"limits": {"ingressClassNames": ["Contour"]}}, "apis.limits.ingressClassNames.0: "),
    ({"limits": {"annotationKeys": ["example.com/*"]}}, "apis.limits.annotationKeys.0: "),
    ({"limits": {"annotationKeys": "note"}}, "apis.limits.annotationKeys: "),
    ({"defaults": {"replicas": 3}}, "apis.defaults.replicas: unknown field"),
    ({"defaults": {"traffic": {"ingress": {"class": "a"}}}}, "apis.defaults.traffic.ingress.class: unknown field"),
    ({"defaults": {"imagePullPolicy": "always"}}, "apis.defaults.imagePullPolicy: "),
    ({"defaults": {"imagePullSecrets": ["registry"]}}, "apis.defaults.imagePullSecrets.0: "),
    ({"defaults": {"nodeSelector": {"a b": "c"}}}, "apis.defaults.nodeSelector: keys must be Kubernetes label keys"),
    ({"defaults": {"podLabels": {"hca-operator.io/api": "x"}}}, "apis.defaults.podLabels: keys must be"),
    ({"defaults": {"podLabels": {"team": 7}}}, "apis.defaults.podLabels.team: "),
    ({"defaults": {"podAnnotations": {"note": 7}}}, "apis.defaults.podAnnotations.note: "),
    ({"defaults": {"tolerations": [{}]}}, "apis.defaults.tolerations.0: operator must be Exists where key is absent"),
    ({"defaults": {"tolerations": [{"operator": "Exists", "value": "x"}]}}, "apis.defaults.tolerations.0: value must"),
    ({"defaults": {"tolerations": [{"key": "a", "tolerationSeconds": 5}]}}, "apis.defaults.tolerations.0: toleration"),
    ({"defaults": {"priorityClassName": ""}}, "apis.defaults.priorityClassName: "),
    ({"networkPolicy": {"enabled": "yes"}}, "apis.networkPolicy.enabled: "),
    ({"networkPolicy": True}, "apis.networkPolicy: "),
    ([], "apis: "),
]


@pytest.mark.parametrize(("content", "message"), WRONG, ids=[message for _, message in WRONG])
def test_a_wrong_policy_is_refused_by_the_operator_and_before_by_the_chart(content: Any, message: str) -> None:
    with pytest.raises(CannotStart) as refused:
        parse_policy(yaml.safe_dump(content), "policy.yaml")
    assert str(refused.value).startswith(f"policy.yaml: {message}")
    assert not Draft202012Validator(VALUES_SCHEMA).is_valid({"apis": content})


def test_a_default_class_that_is_not_allowed_is_refused() -> None:
    with pytest.raises(CannotStart, match=r"className is a, which limits.ingressClassNames does not allow: add it"):
        policy(defaults={"traffic": {"ingress": {"className": "a"}}}, limits={"ingressClassNames": ["b"]})


@pytest.mark.parametrize("text", ["a: [", "\tlimits: {}", "a: 1\n b: 2"])
def test_a_policy_that_is_not_yaml_is_one_sentence(text: str) -> None:
    with pytest.raises(CannotStart, match=r"^policy.yaml is not YAML: [^\n]+$"):
        parse_policy(text, "policy.yaml")


def test_the_example_is_one_for_the_chart_and_for_the_operator() -> None:
    values = yaml.safe_load(EXAMPLE.read_text())
    Draft202012Validator(VALUES_SCHEMA).validate(values)
    read = policy(**values["apis"])
    for part in (read.defaults, read.limits):
        for name, field in type(part).model_fields.items():
            assert getattr(part, name) != field.default, f"the example does not show {name}"
    apply(read, api_object(traffic={"routes": [ROUTE]}))


def test_the_chart_knows_the_values_that_the_operator_reads() -> None:
    Draft202012Validator.check_schema(VALUES_SCHEMA)
    assert _names(VALUES_SCHEMA["properties"]["apis"]) == _names(structural_schema(FleetPolicy))
    assert _described(VALUES_SCHEMA["properties"]["apis"])


def _names(schema: JsonSchema) -> dict[str, Any]:
    """The tree of the properties of a schema."""
    return {name: _names(child.get("items", child)) for name, child in schema.get("properties", {}).items()}


def _described(schema: JsonSchema) -> bool:
    return "description" in schema and all(map(_described, schema.get("properties", {}).values()))
