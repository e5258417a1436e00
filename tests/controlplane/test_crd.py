"""The CRD on a real API server: accepted, with defaults, columns and a scale subresource that tell the truth."""

import json
from typing import Any

import pytest
import yaml

from dev.cache import REPOSITORY
from dev.control_plane import ControlPlane
from hca_operator.api.spec import parse_object
from tests.controlplane.api_server import ApiServer
from tests.controlplane.objects import DISABLED, KIND, api

CONDITION = {"type": "Ready", "status": "True", "observedGeneration": 1, "reason": "RolledOut", "message": "all pods"}


def test_the_stored_defaults_are_those_of_the_models(server: ApiServer, namespace: str) -> None:
    stored = server.create(api(namespace))
    written = api(namespace)
    written["metadata"]["uid"] = stored["metadata"]["uid"]
    assert parse_object(stored).spec == parse_object(written).spec
    assert stored["spec"]["autoscaling"]["minReplicas"] == 2
    assert stored["spec"]["resources"]["limits"] == {"cpu": "1", "memory": "512Mi"}


@pytest.mark.parametrize(
    "fields",
    [
        {"resources": {}},
        {"resources": {"limits": {}}},
        {"resources": {"limits": {"memory": "1Gi"}}},
        {"resources": {"requests": {"cpu": "500m"}}},
        {"traffic": {}},
        {"health": {}},
    ],
    ids=str,
)
def test_defaults_within_an_object_that_is_given_in_part_are_those_of_the_models(
    fields: dict[str, Any], server: ApiServer, namespace: str
) -> None:
    stored = server.create(api(namespace, **fields))
    written = api(namespace, **fields)
    written["metadata"]["uid"] = stored["metadata"]["uid"]
    assert parse_object(stored).spec == parse_object(written).spec


EXAMPLES = [
    example
    for path in sorted((REPOSITORY / "examples").glob("*.yaml"))
    for example in yaml.safe_load_all(path.read_text())
    if example["kind"] == KIND
]
LISTS = {
    "autoscaling": {
        "metrics": [
            {"name": "cpu", "type": "CPU", "cpu": {}},
            {"name": "p95", "type": "Latency", "latency": {"target": "1s"}},
        ],
        "schedules": [{"name": "night", "cron": "@daily", "duration": "1h", "minReplicas": 3}],
        "behavior": {"scaleUp": {"policies": [{"type": "Pods", "value": 2, "periodSeconds": 15}]}},
    },
    "env": [{"name": "A"}, {"name": "B", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}],
    "envFrom": [{"secretRef": {"name": "s"}}],
    "imagePullSecrets": [{"name": "s"}],
    "tolerations": [{"key": "dedicated", "value": "shop"}],
    "traffic": {"routes": [{"host": "shop.example.com"}]},
    "volumes": [
        {"name": "a", "emptyDir": {}},
        {"name": "b", "persistentVolumeClaim": {"claimName": "c"}},
        {"name": "c", "projected": {"sources": [{"secret": {"name": "s", "items": [{"key": "k", "path": "k"}]}}]}},
    ],
    "volumeMounts": [{"name": "a", "mountPath": "/a"}],
    "podSecurity": {"sysctls": [{"name": "net.ipv4.tcp_fin_timeout", "value": "20"}]},
}
"""An item of every list, with as little in it as may be."""


@pytest.mark.parametrize("applied", [*EXAMPLES, api("", **LISTS)], ids=lambda applied: applied["metadata"]["name"])
def test_fault_63_an_object_that_is_applied_again_is_unchanged(
    applied: dict[str, Any], control_plane: ControlPlane, server: ApiServer, namespace: str
) -> None:
    text = yaml.safe_dump({**applied, "metadata": {"name": applied["metadata"]["name"]}})
    for word in ("created", "unchanged"):
        assert word in control_plane.kubectl("apply", "-n", namespace, "-f", "-", stdin=text)
    stored = server.get(KIND, namespace, applied["metadata"]["name"])
    assert stored is not None
    written = {**applied, "metadata": stored["metadata"]}
    assert parse_object(stored).spec == parse_object(written).spec


def test_kubectl_shows_the_columns(control_plane: ControlPlane, server: ApiServer, namespace: str) -> None:
    server.create(api(namespace, traffic={"routes": [{"host": "shop.example.com"}]}))
    condition = CONDITION | {"lastTransitionTime": "2026-01-02T03:04:05Z"}
    status = {"readyReplicas": 3, "desiredReplicas": 4, "workersPerPod": 2, "conditions": [condition]}
    status |= {"memoryRestarts": {"total": 7}}
    server.patch(KIND, namespace, "shop/status", {"status": status})
    header, row = control_plane.kubectl("get", "hcapi", "-n", namespace, "-o", "wide").splitlines()
    assert header.split() == [
        "NAME",
        "READY",
        "REPLICAS",
        "WORKERS",
        "HOST",
        "RESTARTS",
        "AGE",
        "DESIRED",
        "IMAGE",
        "REASON",
        "MESSAGE",
    ]
    shown = row.split()
    assert shown[:6] == ["shop", "True", "3", "2", "shop.example.com", "7"]
    assert shown[7:] == ["4", "registry.example.com/shop:1.4.2", "RolledOut", "all", "pods"]


def test_every_field_is_explained(control_plane: ControlPlane, server: ApiServer) -> None:
    (version,) = (server.get("CustomResourceDefinition", "", "highconcurrencyapis.hca-operator.io") or {})["spec"][
        "versions"
    ]
    undescribed = _undescribed(version["schema"]["openAPIV3Schema"]["properties"]["spec"], "spec")
    assert not undescribed
    assert "status.workersPerPod" in control_plane.kubectl("explain", "hcapi.spec.workers.count")


def _undescribed(schema: dict[str, Any], path: str) -> list[str]:
    missing = [] if schema.get("description") or path.endswith("[]") else [path]
    for name, child in schema.get("properties", {}).items():
        missing += _undescribed(child, f"{path}.{name}")
    if "items" in schema:
        missing += _undescribed(schema["items"], f"{path}[]")
    return missing


def test_the_spec_alone_moves_the_generation(server: ApiServer, namespace: str) -> None:
    server.create(api(namespace))
    server.patch(KIND, namespace, "shop/status", {"status": {"replicas": 1}})
    server.patch(KIND, namespace, "shop", {"metadata": {"labels": {"a": "b"}}})
    assert server.patch(KIND, namespace, "shop", {"spec": {"port": 8001}})["metadata"]["generation"] == 2


def test_scale_works_where_the_object_decides_the_count(
    control_plane: ControlPlane, server: ApiServer, namespace: str
) -> None:
    server.create(api(namespace, **DISABLED))
    control_plane.kubectl("scale", "hcapi/shop", "-n", namespace, "--replicas=5")
    stored = server.get(KIND, namespace, "shop")
    assert stored is not None
    assert stored["spec"]["replicas"] == 5


def test_scale_is_refused_where_the_autoscaler_decides_and_says_what_to_change(
    server: ApiServer, namespace: str
) -> None:
    server.create(api(namespace))
    for refused in (
        server.answer("PATCH", KIND, namespace, "shop/scale", body={"spec": {"replicas": 5}}, as_="merge-patch+json"),
        server.answer("PATCH", KIND, namespace, "shop", body={"spec": {"replicas": 5}}, as_="merge-patch+json"),
    ):
        assert refused.status_code == 422, refused.text
        assert "replicas has no effect while autoscaling.mode is Horizontal" in refused.text
        assert "change autoscaling.minReplicas, or set autoscaling.mode: Disabled" in refused.text
    stored = server.get(KIND, namespace, "shop")
    assert stored is not None
    assert stored["spec"]["replicas"] == 2


def test_the_count_may_change_together_with_the_mode(server: ApiServer, namespace: str) -> None:
    server.create(api(namespace))
    both = {"spec": {"autoscaling": {"mode": "Disabled"}, "replicas": 5}}
    assert server.patch(KIND, namespace, "shop", both)["spec"]["replicas"] == 5


def test_fault_15_an_unknown_field_is_dropped_with_a_warning_where_validation_is_off(
    server: ApiServer, namespace: str
) -> None:
    answer = server.answer("POST", KIND, namespace, body=api(namespace, replica=3), fieldValidation="Warn")
    assert answer.status_code == 201
    assert r"unknown field \"spec.replica\"" in answer.headers["Warning"]
    assert "replica" not in answer.json()["spec"]


@pytest.mark.parametrize(
    "status",
    [
        {"conditions": [CONDITION | {"lastTransitionTime": "2026-01-02T03:04:05Z", "status": "Maybe"}]},
        {"conditions": [CONDITION | {"lastTransitionTime": "yesterday"}]},
        {"replicas": "three"},
    ],
    ids=json.dumps,
)
def test_a_status_that_no_tool_could_read_is_refused(status: Any, server: ApiServer, namespace: str) -> None:
    server.create(api(namespace))
    answer = server.answer("PATCH", KIND, namespace, "shop/status", body={"status": status}, as_="merge-patch+json")
    assert answer.status_code == 422
