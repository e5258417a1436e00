"""What users write and must not: refused by the API server and by the models, with what is right (docs/faults.md)."""

from collections.abc import Callable
from itertools import product

import pytest

from tests.controlplane.api_server import ApiServer, Manifest
from tests.controlplane.objects import KIND, env, limits, routes, scaling
from tests.controlplane.verdicts import Cases, models_accept, refused_by_both
from tests.unit.operator.api.test_parse import OPTIONAL, stored_with

CPU = "must be a CPU quantity from 1m to 256, such as 250m, 1500m or 2"
MEMORY = "must be a memory quantity from 32Mi to 4Ti, such as 512Mi or 2Gi"
HOST = {"host": "shop.example.com"}

CPUS: Cases = {
    "cpu no quantity": (limits("INVALID"), f'spec.resources.limits.cpu: Invalid value: "INVALID": {CPU}'),
    "cpu negative": (limits("-1"), CPU),
    "cpu zero": (limits("0"), CPU),
    "cpu too small": (limits("0.5m"), CPU),
    "cpu far too much": (limits("1e9"), CPU),
    "cpu as truth": (limits(True), "spec.resources.limits.cpu"),
    "cpu as decimal number": (limits(1.5), "spec.resources.limits.cpu"),
    "cpu as object": (limits({}), "spec.resources.limits.cpu"),
    "cpu of other digits": (limits("\u0663"), CPU),
}
MEMORIES: Cases = {
    "memory in bytes by mistake": (limits("1", 512), f"{MEMORY}; '512m' means half a byte and '512' means 512 bytes"),
    "memory in thousandths of bytes": (limits("1", "512m"), "did you mean 512Mi?"),
    "memory too much": (limits("1", "5Ti"), MEMORY),
    "cpu request over limit": (limits("1", cpu="1001m"), "requests.cpu must not be greater than limits.cpu"),
    "memory request over limit": (limits(memory="513Mi"), "requests.memory must not be greater than limits.memory"),
    "rss not below the limit": (
        {"memoryRestart": {"worker": {"maxRSS": "0.5Gi"}}},
        "memoryRestart.worker.maxRSS must be less than resources.limits.memory, or the kernel kills the worker first",
    ),
}
COUNTS: Cases = {
    "minReplicas over maxReplicas": (
        scaling(minReplicas=11),
        "spec.autoscaling.minReplicas: Invalid value: minReplicas must not be greater than maxReplicas",
    ),
    "minReplicas 0": (scaling(minReplicas=0), "should be greater than or equal to 1"),
    "maxReplicas a million": (scaling(maxReplicas=1000000), "should be less than or equal to 1000"),
    "replicas negative": ({"replicas": -1}, "should be greater than or equal to 0"),
    "replicas as text": ({"replicas": "3"}, "must be of type integer"),
    "replicas with a part": ({"replicas": 2.5}, "must be of type integer"),
}
IMAGES: Cases = {
    "image empty": ({"image": ""}, "spec.image"),
    "image with a space": ({"image": "shop 1"}, "spec.image"),
    "image with a line break": ({"image": "shop:1\n"}, "spec.image"),
    "image absent": ({"image": None}, "spec.image: Required value"),
    "image too long": ({"image": "a" * 513}, "spec.image: Too long: may not be more than 512"),
    "image as number": ({"image": 5}, "spec.image in body must be of type string"),
}
PORTS_AND_PATHS: Cases = {
    "port 0": ({"port": 0}, "should be greater than or equal to 1"),
    "port 70000": ({"port": 70000}, "should be less than or equal to 65535"),
    "path with a line break": ({"health": {"readinessPath": "foo\nbar"}}, "spec.health.readinessPath"),
    "path without a slash": ({"health": {"livenessPath": "health"}}, "spec.health.livenessPath"),
    "service port 70000": ({"service": {"port": 70000}}, "should be less than or equal to 65535"),
}
VARIABLES: Cases = {
    "env twice": (env({"name": "A"}, {"name": "A", "value": "x"}), "spec.env[1]: Duplicate value"),
    "env reserved": (
        env({"name": "GRANIAN_WORKERS", "value": "9"}),
        "is set by the operator: use spec.port, spec.workers, spec.memoryRestart",
    ),
}
REFERENCES: Cases = {
    "service account elsewhere": ({"serviceAccountName": "other/shop"}, "spec.serviceAccountName"),
    "config map upwards": ({"envFrom": [{"configMapRef": {"name": "../shop"}}]}, "spec.envFrom[0].configMapRef.name"),
    "secret elsewhere": (
        env({"name": "A", "valueFrom": {"secretKeyRef": {"name": "../s", "key": "k"}}}),
        "spec.env[0].valueFrom.secretKeyRef.name",
    ),
    "secret of a namespace": (
        env({"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k", "namespace": "x"}}}),
        'unknown field "spec.env[0].valueFrom.secretKeyRef.namespace"',
    ),
}
ADDRESSES: Cases = {
    "route host": (routes({"host": "Shop_1"}), "spec.traffic.routes[0].host"),
    "route path": (routes(HOST | {"path": "/a b"}), "spec.traffic.routes[0].path"),
    "host with a line break": (routes({"host": "shop.example.com\n"}), "spec.traffic.routes[0].host"),
    "path that is a regular expression": (routes(HOST | {"path": "/a.*$"}), "spec.traffic.routes[0].path"),
    "path that ends a directive": (routes(HOST | {"path": "/a;} location /"}), "spec.traffic.routes[0].path"),
    "annotations of the ingress": (
        {"traffic": {"annotations": {"a/b": "c"}}},
        'unknown field "spec.traffic.annotations"',
    ),
}
UNKNOWN_FIELDS: Cases = {
    "unknown field": ({"replica": 3}, 'unknown field "spec.replica"'),
    "unknown field within": (scaling(min=1), 'unknown field "spec.autoscaling.min"'),
    "wrong case": ({"autoScaling": {}}, 'unknown field "spec.autoScaling"'),
    "snake case": (scaling(min_replicas=1), 'unknown field "spec.autoscaling.min_replicas"'),
}
LABELS: Cases = {
    "label of ours": ({"podLabels": {"hca-operator.io/api": "x"}}, "hca-operator.io/ is the operator's own"),
}
SIZES: Cases = {
    "ten thousand variables": (env(*({"name": f"A{n}"} for n in range(10_000))), "must have at most 128 items"),
    "variable of 300 KiB": (
        env({"name": "A", "value": "x" * 300 * 1024}),
        "spec.env[0].value: Too long: may not be more than 32768",
    ),
    "argument of 1 MB": ({"args": ["x" * 1_000_000]}, "spec.args[0]: Too long: may not be more than 8192"),
    "annotation of 300 KiB": ({"podAnnotations": {"a": "x" * 300 * 1024}}, "spec.podAnnotations.a: Too long"),
    "env too many": (env(*({"name": f"A{n}"} for n in range(129))), "must have at most 128 items"),
}

Refused = Callable[[Manifest, str], None]


@pytest.fixture
def refused(server: ApiServer, shared_namespace: str) -> Refused:
    return lambda fields, message: refused_by_both(server, shared_namespace, fields, message)


def each_of(cases: Cases) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(("fields", "message"), cases.values(), ids=cases)


@each_of(CPUS)
def test_fault_01_what_is_no_amount_of_cpu_is_refused(fields: Manifest, message: str, refused: Refused) -> None:
    refused(fields, message)


@each_of(MEMORIES)
def test_fault_03_what_is_no_amount_of_memory_is_refused(fields: Manifest, message: str, refused: Refused) -> None:
    refused(fields, message)


@each_of(COUNTS)
def test_fault_04_what_is_no_number_of_pods_is_refused(fields: Manifest, message: str, refused: Refused) -> None:
    refused(fields, message)


@each_of(IMAGES)
def test_fault_06_what_is_no_image_is_refused(fields: Manifest, message: str, refused: Refused) -> None:
    refused(fields, message)


@each_of(PORTS_AND_PATHS)
def test_fault_08_what_is_no_port_or_path_is_refused(fields: Manifest, message: str, refused: Refused) -> None:
    refused(fields, message)


@each_of(VARIABLES)
def test_fault_10_a_variable_that_is_there_already_is_refused(fields: Manifest, message: str, refused: Refused) -> None:
    refused(fields, message)


@each_of(REFERENCES)
def test_fault_11_a_reference_out_of_the_namespace_is_refused(fields: Manifest, message: str, refused: Refused) -> None:
    refused(fields, message)


@each_of(ADDRESSES)
def test_fault_12_what_would_end_up_in_the_ingress_controllers_own_language_is_refused(
    fields: Manifest, message: str, refused: Refused
) -> None:
    refused(fields, message)


@each_of(UNKNOWN_FIELDS)
def test_fault_15_an_unknown_field_is_refused(fields: Manifest, message: str, refused: Refused) -> None:
    refused(fields, message)


def test_fault_16_nothing_in_place_of_anything_optional_is_judged_alike_by_both(
    server: ApiServer, shared_namespace: str
) -> None:
    nothings: tuple[object, ...] = (None, {}, [], "")
    for path, nothing in product(OPTIONAL, nothings):
        written = stored_with(path, nothing)
        written["metadata"] = {"name": "shop", "namespace": shared_namespace}
        answer = server.answer("POST", KIND, shared_namespace, body=written, fieldValidation="Strict", dryRun="All")
        assert answer.status_code in {201, 400, 422}, answer.text
        assert (answer.status_code == 201) == models_accept(written), f"{'.'.join(path)}: {nothing!r}: {answer.text}"


@each_of(LABELS)
def test_fault_19_a_label_that_selects_is_refused(fields: Manifest, message: str, refused: Refused) -> None:
    refused(fields, message)


@each_of(SIZES)
def test_fault_20_an_object_beyond_all_bounds_is_refused(fields: Manifest, message: str, refused: Refused) -> None:
    refused(fields, message)
