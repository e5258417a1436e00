from typing import Any

import pytest

from hca_operator.desired.references import references
from tests.unit.operator.objects import spec


def key(**more: Any) -> dict[str, Any]:
    return {"name": "shop", "key": "k", **more}


def env(source: str, **more: Any) -> dict[str, Any]:
    return {"env": [{"name": "A", "valueFrom": {source: key(**more)}}]}


def volume(**kind: Any) -> dict[str, Any]:
    return {"volumes": [{"name": "a", **kind}]}


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({}, {}),
        (env("configMapKeyRef"), {("ConfigMap", "shop"): True}),
        (env("configMapKeyRef", optional=True), {("ConfigMap", "shop"): False}),
        (env("secretKeyRef", optional=False), {("Secret", "shop"): True}),
        ({"envFrom": [{"configMapRef": {"name": "shop"}}]}, {("ConfigMap", "shop"): True}),
        ({"envFrom": [{"secretRef": {"name": "shop"}}]}, {("Secret", "shop"): True}),
        (volume(configMap={"name": "shop"}), {("ConfigMap", "shop"): True}),
        (volume(configMap={"name": "shop", "optional": True}), {("ConfigMap", "shop"): False}),
        (volume(secret={"secretName": "shop"}), {("Secret", "shop"): True}),
        (
            volume(projected={"sources": [{"configMap": {"name": "a"}}, {"secret": {"name": "b", "optional": True}}]}),
            {("ConfigMap", "a"): True, ("Secret", "b"): False},
        ),
        (volume(emptyDir={}), {}),
        (volume(persistentVolumeClaim={"claimName": "shop"}), {}),
        # Needed in one place is needed.
        (
            env("configMapKeyRef", optional=True) | {"envFrom": [{"configMapRef": {"name": "shop"}}]},
            {("ConfigMap", "shop"): True},
        ),
        # These are for the node and the ingress controller, not for the pods.
        (
            {
                "imagePullSecrets": [{"name": "registry"}],
                "traffic": {"routes": [{"host": "a.example.com", "tls": {"secretName": "tls"}}]},
            },
            {},
        ),
    ],
    ids=str,
)
def test_what_the_pods_read_is_found(fields: dict[str, Any], found: dict[tuple[str, str], bool]) -> None:
    assert references(spec(**fields)) == found
