"""Objects as tests need them: only what a test is about has to be said."""

from typing import Any

from hca_operator.api.spec import ApiObject, HighConcurrencyApiSpec
from hca_operator.core.names import API_VERSION, KIND, Manifest

NAMESPACE, NAME, UID = "default", "shop", "8a6c1b9e-0000-4000-8000-000000000001"
IMAGE = "registry.example.com/shop:1.4.2"


def spec(**fields: Any) -> HighConcurrencyApiSpec:
    """A valid spec with these fields, named as in YAML."""
    return HighConcurrencyApiSpec.model_validate({"image": IMAGE, **fields}, extra="forbid")


def api_object(**fields: Any) -> ApiObject:
    """A stored object with these spec fields."""
    return ApiObject(name=NAME, namespace=NAMESPACE, uid=UID, generation=1, annotations={}, spec=spec(**fields))


def manifest(*, generation: int = 1, uid: str = UID, **fields: Any) -> Manifest:
    """What the API server has stored for an object with these spec fields."""
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {
            "name": NAME,
            "namespace": NAMESPACE,
            "uid": uid,
            "generation": generation,
            "resourceVersion": "1",
        },
        "spec": {"image": IMAGE, **fields},
    }


def resources(cpu: Any = "1", memory: Any = "512Mi", /, **requests: Any) -> Manifest:
    """`spec.resources` with these limits and requests."""
    limits = {name: value for name, value in (("cpu", cpu), ("memory", memory)) if value is not None}
    return {"resources": {"limits": limits, "requests": requests}}


def deployment(
    *,
    replicas: int = 2,
    available: int = 2,
    updated: int | None = None,
    progressing: str = "NewReplicaSetAvailable",
    observed: int = 1,
) -> Manifest:
    """A live Deployment in the state that its controller reports; all pods are up to date unless said otherwise."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": NAME,
            "namespace": NAMESPACE,
            "generation": 1,
            "annotations": {"deployment.kubernetes.io/revision": "3"},
        },
        "spec": {"replicas": replicas},
        "status": {
            "observedGeneration": observed,
            "replicas": replicas,
            "updatedReplicas": replicas if updated is None else updated,
            "readyReplicas": available,
            "availableReplicas": available,
            "conditions": [{"type": "Progressing", "status": "True", "reason": progressing}],
        },
    }
