"""The API server's verdict on a spec and the models' are the same, and nothing is stored that was refused."""

from typing import Any

import pytest
import yaml

from hca_operator.api.spec import parse_object
from hca_operator.desired import desired_children
from hca_operator.errors import SpecError
from hca_operator.sizing import size
from tests.cluster.cache import REPOSITORY
from tests.controlplane.api_server import ApiServer, Manifest
from tests.controlplane.objects import KIND, api

CPU = "must be a CPU quantity from 1m to 256, such as 250m, 1500m or 2"
MEMORY = "must be a memory quantity from 32Mi to 4Ti, such as 512Mi or 2Gi"
LABEL_KEYS = "keys must be Kubernetes label keys such as team or example.com/team"


def limits(cpu: Any = "1", memory: Any = "512Mi", /, **requests: Any) -> Manifest:
    return {"resources": {"limits": {"cpu": cpu, "memory": memory}, "requests": requests}}


def scaling(**fields: Any) -> Manifest:
    return {"autoscaling": fields}


def metric(**fields: Any) -> Manifest:
    return scaling(metrics=[{"name": "m", "type": "CPU", "cpu": {}} | fields])


def env(*variables: Manifest) -> Manifest:
    return {"env": list(variables)}


def routes(*routes: Manifest) -> Manifest:
    return {"traffic": {"routes": list(routes)}}


HOST = {"host": "shop.example.com"}
ACCEPTED: dict[str, Manifest] = {
    "nothing more": {},
    "cpu as integer": limits(2),
    "cpu as text": limits("2"),
    "cpu in thousandths": limits("2000m"),
    "cpu with a part": limits("1500m"),
    "cpu as decimal text": limits("1.5"),
    "cpu least": limits("1m"),
    "cpu finer than a billionth": limits("0.99999999999m"),
    "cpu most": limits("256", "4Ti"),
    "cpu with an exponent": limits("1e0", "1e9"),
    "cpu without a limit": {"resources": {"requests": {"cpu": "500m"}, "limits": {"memory": "1Gi"}}},
    "memory in bytes": limits("1", 536870912),
    "memory least": limits("1", "128Mi"),
    "request equal to limit": limits("1", "1Gi", cpu=1, memory="1024Mi"),
    "nulls": {"env": None, "command": None, "workers": {"count": None}, "podLabels": {"team": None}},
    "empty": {"env": [], "podLabels": {}, "workers": {}, "health": {}, "traffic": {"routes": []}, "autoscaling": {}},
    "one pod": scaling(minReplicas=1, maxReplicas=1),
    "many pods": scaling(minReplicas=1000, maxReplicas=1000),
    "no pods": {"autoscaling": {"mode": "Disabled"}, "replicas": 0},
    "two metrics": scaling(
        metrics=[{"name": "c", "type": "CPU", "cpu": {}}, {"name": "m", "type": "Memory", "memory": {}}]
    ),
    "port lowest": {"port": 1},
    "port highest": {"port": 65535},
    "path with a query": {"health": {"readinessPath": "/ready?full=1&x=%20"}},
    "env of every source": env(
        {"name": "A", "value": ""},
        {"name": "B", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        {"name": "C.d-e", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k", "optional": True}}},
    ),
    "env of a label": env({"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['example.com/a']"}}}),
    "label key with a prefix": {"podLabels": {"a.example.com/b_c": "d"}},
    "routes by path": routes(HOST, HOST | {"path": "/v2", "pathType": "Exact"}, {"host": "*.example.com"}),
    "baseline as root": {"podSecurity": {"profile": "Baseline", "runAsUser": 0}},
    "toleration of everything": {"tolerations": [{"operator": "Exists"}]},
    "durations": {"health": {"startupTimeout": "1m30s"}, "availability": {"terminationGracePeriod": "1h"}},
    "rss just below the limit": {"memoryRestart": {"worker": {"maxRSS": "511Mi"}}},
}
REFUSED: dict[str, tuple[Manifest, str]] = {
    "image empty": ({"image": ""}, "spec.image"),
    "image with a space": ({"image": "shop 1"}, "spec.image"),
    "image with a line break": ({"image": "shop:1\n"}, "spec.image"),
    "image absent": ({"image": None}, "spec.image: Required value"),
    "image too long": ({"image": "a" * 513}, "spec.image: Too long: may not be more than 512"),
    "image as number": ({"image": 5}, "spec.image in body must be of type string"),
    "unknown field": ({"replica": 3}, 'unknown field "spec.replica"'),
    "unknown field within": (scaling(min=1), 'unknown field "spec.autoscaling.min"'),
    "wrong case": ({"autoScaling": {}}, 'unknown field "spec.autoScaling"'),
    "snake case": (scaling(min_replicas=1), 'unknown field "spec.autoscaling.min_replicas"'),
    "cpu no quantity": (limits("INVALID"), f'spec.resources.limits.cpu: Invalid value: "INVALID": {CPU}'),
    "cpu negative": (limits("-1"), CPU),
    "cpu zero": (limits("0"), CPU),
    "cpu too small": (limits("0.5m"), CPU),
    "cpu far too much": (limits("1e9"), CPU),
    "cpu as truth": (limits(True), "spec.resources.limits.cpu"),
    "cpu as decimal number": (limits(1.5), "spec.resources.limits.cpu"),
    "cpu as object": (limits({}), "spec.resources.limits.cpu"),
    "cpu of other digits": (limits("\u0663"), CPU),
    "memory in bytes by mistake": (limits("1", 512), f"{MEMORY}; '512m' means half a byte and '512' means 512 bytes"),
    "memory in thousandths of bytes": (limits("1", "512m"), "did you mean 512Mi?"),
    "memory too much": (limits("1", "5Ti"), MEMORY),
    "cpu request over limit": (limits("1", cpu="1001m"), "requests.cpu must not be greater than limits.cpu"),
    "memory request over limit": (limits(memory="513Mi"), "requests.memory must not be greater than limits.memory"),
    "rss not below the limit": (
        {"memoryRestart": {"worker": {"maxRSS": "0.5Gi"}}},
        "memoryRestart.worker.maxRSS must be less than resources.limits.memory, or the kernel kills the worker first",
    ),
    "minReplicas over maxReplicas": (
        scaling(minReplicas=11),
        "spec.autoscaling.minReplicas: Invalid value: minReplicas must not be greater than maxReplicas",
    ),
    "minReplicas 0": (scaling(minReplicas=0), "should be greater than or equal to 1"),
    "maxReplicas a million": (scaling(maxReplicas=1000000), "should be less than or equal to 1000"),
    "replicas negative": ({"replicas": -1}, "should be greater than or equal to 0"),
    "replicas as text": ({"replicas": "3"}, "must be of type integer"),
    "replicas with a part": ({"replicas": 2.5}, "must be of type integer"),
    "workers 0": ({"workers": {"count": 0}}, "spec.workers.count"),
    "server unknown": ({"workers": {"server": "granian"}}, 'supported values: "Granian"'),
    "metrics empty": (scaling(metrics=[]), "should have at least 1 items"),
    "metric twice": (
        scaling(metrics=[{"name": "c", "type": "CPU", "cpu": {}}] * 2),
        "spec.autoscaling.metrics[1]: Duplicate value",
    ),
    "metric without its member": (
        scaling(metrics=[{"name": "c", "type": "CPU"}]),
        "must have exactly the member that type names: cpu for CPU, memory for Memory",
    ),
    "metric with another member": (metric(memory={}), "must have exactly the member that type names"),
    "metric of unknown type": (metric(type="Latency"), 'supported values: "CPU", "Memory"'),
    "port 0": ({"port": 0}, "should be greater than or equal to 1"),
    "port 70000": ({"port": 70000}, "should be less than or equal to 65535"),
    "path with a line break": ({"health": {"readinessPath": "foo\nbar"}}, "spec.health.readinessPath"),
    "path without a slash": ({"health": {"livenessPath": "health"}}, "spec.health.livenessPath"),
    "duration without unit": ({"health": {"startupTimeout": "60"}}, "spec.health.startupTimeout"),
    "duration too long": ({"health": {"startupTimeout": "61m"}}, "must be a duration from 1s to 1h"),
    "grace too short": ({"availability": {"terminationGracePeriod": "4s"}}, "must be a duration from 5s to 1h"),
    "env twice": (env({"name": "A"}, {"name": "A", "value": "x"}), "spec.env[1]: Duplicate value"),
    "env reserved": (
        env({"name": "GRANIAN_WORKERS", "value": "9"}),
        "is set by the operator: use spec.port, spec.workers, spec.memoryRestart",
    ),
    "env name": (env({"name": "1A"}), "spec.env[0].name"),
    "env value and source": (
        env({"name": "A", "value": "", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}),
        "must have either value or valueFrom, not both",
    ),
    "env without source": (env({"name": "A", "valueFrom": {}}), "must have exactly one of configMapKeyRef"),
    "env null": (env(None), "spec.env[0]"),  # type: ignore[arg-type]
    "env too many": (env(*({"name": f"A{n}"} for n in range(129))), "must have at most 128 items"),
    "secret elsewhere": (
        env({"name": "A", "valueFrom": {"secretKeyRef": {"name": "../s", "key": "k"}}}),
        "spec.env[0].valueFrom.secretKeyRef.name",
    ),
    "secret of a namespace": (
        env({"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k", "namespace": "x"}}}),
        'unknown field "spec.env[0].valueFrom.secretKeyRef.namespace"',
    ),
    "field that no pod has": (
        env({"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "spec.image"}}}),
        "must be metadata.name, metadata.namespace, metadata.uid, metadata.labels['KEY']",
    ),
    "envFrom nothing": ({"envFrom": [{}]}, "must have exactly one of configMapRef and secretRef"),
    "route twice": (routes(HOST, HOST | {"path": "/"}), "routes must not repeat a host with the same path"),
    "route host": (routes({"host": "Shop_1"}), "spec.traffic.routes[0].host"),
    "route path": (routes(HOST | {"path": "/a b"}), "spec.traffic.routes[0].path"),
    "root in restricted": (
        {"podSecurity": {"runAsUser": 0}},
        "runAsUser must not be 0 (root) in profile Restricted: choose another user, or profile: Baseline",
    ),
    "label of ours": ({"podLabels": {"hca-operator.io/api": "x"}}, "hca-operator.io/ is the operator's own"),
    "label key with an empty part": ({"podLabels": {"a..b/c": "x"}}, LABEL_KEYS),
    "label key": ({"podLabels": {"a b": "x"}}, LABEL_KEYS),
    "label value": ({"podLabels": {"a": "b c"}}, "spec.podLabels.a"),
    "toleration of nothing": ({"tolerations": [{}]}, "operator must be Exists where key is absent"),
    "toleration of an empty key": ({"tolerations": [{"key": ""}]}, "spec.tolerations[0].key"),
    "toleration with seconds": (
        {"tolerations": [{"key": "a", "effect": "NoSchedule", "tolerationSeconds": 5}]},
        "tolerationSeconds needs effect NoExecute",
    ),
    "disruptions none": ({"availability": {"maxUnavailable": 0}}, "should be greater than or equal to 1"),
}
NAME = (
    "metadata.name must be at most 52 characters: lower-case letters, digits and '-', starting with a letter "
    "(it names the Service too)"
)


def models_accept(manifest: Manifest) -> bool:
    with_uid = {**manifest, "metadata": {**manifest["metadata"], "uid": "x"}}
    try:
        parse_object(with_uid, unknown_fields="forbid")
    except SpecError:
        return False
    return True


@pytest.mark.parametrize("fields", ACCEPTED.values(), ids=ACCEPTED)
def test_what_is_right_is_accepted_by_both_and_its_children_too(
    fields: Manifest, server: ApiServer, shared_namespace: str
) -> None:
    written = api(shared_namespace, **fields)
    answer = server.answer("POST", KIND, shared_namespace, body=written, fieldValidation="Strict", dryRun="All")
    assert answer.status_code == 201, answer.text
    assert models_accept(written)
    stored = parse_object(answer.json())
    assert stored.spec == parse_object({**written, "metadata": answer.json()["metadata"]}).spec
    try:
        sizing = size(stored.spec)
    except SpecError:
        return  # more CPU than memory for its workers: a condition says so
    for child in desired_children(stored, sizing):
        if child.manifest is not None:
            server.apply(child.manifest, dryRun="All")


@pytest.mark.parametrize(("fields", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_wrong_is_refused_by_both_with_what_is_right_and_nothing_is_stored(
    fields: Manifest, message: str, server: ApiServer, shared_namespace: str
) -> None:
    written = api(shared_namespace, **fields)
    answer = server.answer("POST", KIND, shared_namespace, body=written, fieldValidation="Strict")
    assert answer.status_code in {400, 422}, answer.text
    assert message in answer.json()["message"]
    assert not models_accept(written)
    assert not server.find(KIND, shared_namespace)


@pytest.mark.parametrize("name", ["a", "a" * 52, "shop-2", "a--b"])
def test_a_name_that_a_service_can_have_is_accepted_by_both(
    name: str, server: ApiServer, shared_namespace: str
) -> None:
    assert (
        server.answer("POST", KIND, shared_namespace, body=api(shared_namespace, name), dryRun="All").status_code == 201
    )
    assert models_accept(api(shared_namespace, name))


@pytest.mark.parametrize("name", ["a" * 53, "1shop", "shop.v2"])
def test_a_name_that_no_service_can_have_is_refused_by_both(
    name: str, server: ApiServer, shared_namespace: str
) -> None:
    answer = server.answer("POST", KIND, shared_namespace, body=api(shared_namespace, name))
    assert answer.status_code == 422
    assert NAME in answer.json()["message"]
    assert not models_accept(api(shared_namespace, name))


@pytest.mark.parametrize("path", sorted((REPOSITORY / "examples").glob("*.yaml")), ids=lambda path: path.name)
def test_every_example_is_accepted(path: Any, server: ApiServer, shared_namespace: str) -> None:
    for manifest in yaml.safe_load_all(path.read_text()):
        if manifest["kind"] == KIND:
            answer = server.answer(
                "POST", KIND, shared_namespace, body=manifest, fieldValidation="Strict", dryRun="All"
            )
            assert answer.status_code == 201, answer.text
