"""Whose a field is, as the API server records it."""

from typing import Any

import pytest

from hca_operator.core.field_ownership import Contest, contested, extract
from hca_operator.core.names import BURST_MANAGER, FIELD_MANAGER, Manifest

PORT = 'k:{"containerPort":8000,"protocol":"TCP"}'
TEMPLATE: Manifest = {
    "f:metadata": {"f:labels": {".": {}, "f:a": {}}},
    "f:spec": {
        "f:containers": {
            'k:{"name":"api"}': {
                ".": {}, "f:name": {}, "f:image": {}, "f:command": {},
                "f:ports": {".": {}, PORT: {".": {}, "f:containerPort": {}}},
            }
        },
        "f:volumes": {'k:{"name":"tmp"}': {".": {}, "f:name": {}, "f:emptyDir": {}}},
    },
}  # fmt: skip
APPLIED: Manifest = {
    "metadata": {"labels": {"a": "b"}},
    "spec": {
        "containers": [{"name": "api", "image": "shop:1", "command": ["x"], "ports": [{"containerPort": 8000}]}],
        "volumes": [{"name": "tmp", "emptyDir": {}}],
    },
}
LIVE: Manifest = {
    "metadata": {"creationTimestamp": None, "labels": {"a": "b", "mesh": "yes"}},
    "spec": {
        "containers": [
            {"name": "sidecar", "image": "mesh"},
            {
                "name": "api", "image": "shop:1", "command": ["x"], "imagePullPolicy": "IfNotPresent",
                "ports": [{"containerPort": 8000, "protocol": "TCP"}, {"containerPort": 9, "protocol": "UDP"}],
            },
        ],
        "volumes": [{"name": "tmp", "emptyDir": {}}, {"name": "theirs", "emptyDir": {}}],
        "restartPolicy": "Always",
    },
}  # fmt: skip
"""With the defaults of the API server, and what others have added."""


def deployment(live: Manifest, ours: Manifest, *others: tuple[str, Manifest, str]) -> Manifest:
    entries = [{"manager": FIELD_MANAGER, "operation": "Apply", "fieldsV1": {"f:spec": {"f:template": ours}}}]
    entries += [
        {"manager": name, "operation": "Update", "fieldsV1": {"f:spec": fields}, "subresource": subresource}
        for name, fields, subresource in others
    ]
    return {"metadata": {"managedFields": entries}, "spec": {"replicas": 0, "template": live}}


def test_what_was_applied_is_extracted_without_defaults_and_without_what_others_added() -> None:
    assert extract(LIVE, TEMPLATE) == APPLIED


def test_a_field_that_another_manager_has_changed_is_contested() -> None:
    image: Manifest = {"f:template": {"f:spec": {"f:containers": {'k:{"name":"api"}': {"f:image": {}}}}}}
    desired: dict[str, Any] = {"spec": {"replicas": 2, "template": APPLIED}}
    ours = {"f:metadata": TEMPLATE["f:metadata"]}
    live = deployment(
        {**LIVE, "spec": {**LIVE["spec"], "containers": [{"name": "api", "image": "shop:0"}]}}, ours,
        ("kubectl-edit", image, ""), ("kubectl", {"f:replicas": {}}, "scale"), ("kcm", {"f:replicas": {}}, "status"),
        (BURST_MANAGER, {"f:replicas": {}}, "scale"),
    )  # fmt: skip
    assert contested(live, desired) == [
        Contest("spec.replicas", "kubectl"),
        Contest("spec.template.spec.containers[api].image", "kubectl-edit"),
    ]


def test_neither_what_is_shared_nor_what_is_added_nor_an_equal_value_is_contested() -> None:
    labels: Manifest = {"f:template": {"f:metadata": {"f:labels": {"f:a": {}, "f:mesh": {}}}}}
    desired = {"spec": {"template": {"metadata": {"labels": {"a": "written otherwise"}}}}}
    assert contested(deployment(LIVE, TEMPLATE, ("other", labels, "")), desired) == []
    assert contested(deployment(LIVE, {}, ("other", labels, "")), {"spec": {"template": APPLIED}}) == []
    assert contested({"metadata": {}}, desired) == []


@pytest.mark.parametrize(
    ("ours", "count", "found"),
    [
        ({}, 2, [Contest("spec.replicas", "")]),
        ({}, 0, []),
        ({"f:replicas": {}}, 2, []),  # the object itself wanted none until now
    ],
)
def test_fault_65_a_count_that_was_set_to_0_by_scale_is_contested_though_no_manager_is_recorded(
    ours: Manifest, count: int, found: list[Contest]
) -> None:
    entry = {"manager": FIELD_MANAGER, "operation": "Apply", "fieldsV1": {"f:spec": ours}}
    live: Manifest = {"metadata": {"managedFields": [entry]}, "spec": {"replicas": 0}}
    assert contested(live, {"spec": {"replicas": count}}) == found
    assert contested(live, {"spec": {}}) == []
