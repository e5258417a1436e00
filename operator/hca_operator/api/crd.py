"""The CustomResourceDefinition, generated from the models."""

from typing import Any

from hca_operator.api.schema import structural_schema
from hca_operator.api.spec import NAME_RULE, HighConcurrencyApiSpec
from hca_operator.api.status import HighConcurrencyApiStatus
from hca_operator.core import names


def _column(name: str, path: str, kind: str = "string", *, wide: bool = False, description: str = "") -> dict[str, Any]:
    column: dict[str, Any] = {"name": name, "type": kind, "jsonPath": path}
    if description:
        column["description"] = description
    if wide:
        column["priority"] = 1
    return column


def _ready_path(member: str) -> str:
    return f'.status.conditions[?(@.type=="Ready")].{member}'


def crd() -> names.Manifest:
    """The CustomResourceDefinition as it is installed by the chart and written to crds/."""
    schema = {
        "type": "object",
        "required": ["spec"],
        "description": "Runs an HTTP API at high concurrency: pods with one worker process per CPU, "
        "traffic, probes, restarts on memory and autoscaling.",
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": {**structural_schema(HighConcurrencyApiSpec), "description": "Desired state of the API."},
            "status": {**structural_schema(HighConcurrencyApiStatus), "description": "Observed state of the API."},
        },
        "x-kubernetes-validations": [NAME_RULE.as_validation()],
    }
    version = {
        "name": names.VERSION,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema},
        "subresources": {
            "status": {},
            "scale": {
                "specReplicasPath": ".spec.replicas",
                "statusReplicasPath": ".status.replicas",
                "labelSelectorPath": ".status.selector",
            },
        },
        "additionalPrinterColumns": [
            _column("Ready", _ready_path("status"), description="Whether the latest generation is fully rolled out."),
            _column("Replicas", ".status.readyReplicas", "integer", description="Pods that are ready."),
            _column(
                "Workers",
                ".status.workersPerPod",
                "integer",
                description="Worker processes that each pod is asked to run.",
            ),
            _column("Host", ".spec.traffic.routes[0].host", description="Host of the first route."),
            _column(
                "Restarts",
                ".status.memoryRestarts.total",
                "integer",
                description="Pods that were replaced, and containers that were killed, because of their memory.",
            ),
            _column("Age", ".metadata.creationTimestamp", "date"),
            _column("Desired", ".status.desiredReplicas", "integer", wide=True),
            _column("Image", ".spec.image", wide=True),
            _column("Reason", _ready_path("reason"), wide=True),
            _column("Message", _ready_path("message"), wide=True),
        ],
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{names.PLURAL}.{names.GROUP}"},
        "spec": {
            "group": names.GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": names.KIND,
                "listKind": f"{names.KIND}List",
                "plural": names.PLURAL,
                "singular": names.SINGULAR,
                "shortNames": [names.SHORT_NAME],
                "categories": [names.CATEGORY],
            },
            "versions": [version],
        },
    }
