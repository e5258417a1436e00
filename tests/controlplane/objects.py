"""Objects as tests apply them, and what is expected of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hca_operator.api.crd import crd
from tests.controlplane.api_server import ApiServer, Manifest, eventually

KIND = "HighConcurrencyApi"
API_VERSION = "hca-operator.io/v1alpha1"
CHILDREN = (
    ("Deployment", "{}"),
    ("Service", "{}"),
    ("PodDisruptionBudget", "{}"),
    ("HorizontalPodAutoscaler", "{}"),
    ("Ingress", "{}"),
    ("NetworkPolicy", "{}"),
)
ROUTES: dict[str, Any] = {"traffic": {"routes": [{"host": "shop.example.com"}]}}
DISABLED: dict[str, Any] = {"autoscaling": {"mode": "Disabled"}}


def api(namespace: str, name: str = "shop", /, **fields: Any) -> Manifest:
    """An object with these spec fields."""
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"image": "registry.example.com/shop:1.4.2", **fields},
    }


def limits(cpu: Any = "1", memory: Any = "512Mi", /, **requests: Any) -> Manifest:
    """Limits and requests of a pod."""
    return {"resources": {"limits": {"cpu": cpu, "memory": memory}, "requests": requests}}


def scaling(**fields: Any) -> Manifest:
    """Fields of the autoscaling."""
    return {"autoscaling": fields}


def env(*variables: Manifest) -> Manifest:
    """Environment variables."""
    return {"env": list(variables)}


def routes(*routes: Manifest) -> Manifest:
    """Routes."""
    return {"traffic": {"routes": list(routes)}}


def install(server: ApiServer, definition: Manifest) -> None:
    """Put the CRD into the cluster and wait until it is served as written."""
    server.apply(definition)

    def established() -> bool:
        found = server.get("CustomResourceDefinition", "", definition["metadata"]["name"])
        assert found is not None
        return any(c["type"] == "Established" and c["status"] == "True" for c in found["status"]["conditions"])

    eventually(established)
    eventually(lambda: server.answer("GET", KIND, "default").is_success)


def pod_of_operator(server: ApiServer, namespace: str, name: str, account: str) -> None:
    """The pod by which others see that an operator holds a Lease; `name` is its identity."""
    server.create({"kind": "ServiceAccount", "metadata": {"name": account, "namespace": namespace}})
    spec = {"serviceAccountName": account, "containers": [{"name": "operator", "image": "operator"}]}
    server.create({"kind": "Pod", "metadata": {"name": name, "namespace": namespace}, "spec": spec})


def lease(namespace: str, name: str, *, scope: str = "cluster", note: str = "") -> Manifest:
    """A Lease that looks like that of an operator, and never expires by itself. Its holder is the pod `stranger`."""
    labels = {"app.kubernetes.io/name": "hca-operator", "hca-operator.io/scope": scope}
    metadata = {"name": name, "namespace": namespace, "labels": labels, "annotations": {"note": note}}
    spec = {"holderIdentity": "stranger", "leaseDurationSeconds": 2**31 - 1}
    return {"kind": "Lease", "metadata": metadata, "spec": spec}


@contextmanager
def lenient(server: ApiServer) -> Iterator[None]:
    """The CRD as an earlier release may have had it: types, but no rules, bounds or patterns."""
    old = crd()
    schema = old["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    schema.pop("x-kubernetes-validations")
    schema["properties"]["spec"] = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    install(server, old)
    try:
        yield
    finally:
        install(server, crd())


def children(server: ApiServer, namespace: str, name: str = "shop") -> dict[tuple[str, str], Manifest]:
    """The children that exist."""
    found = {(kind, of.format(name)): server.get(kind, namespace, of.format(name)) for kind, of in CHILDREN}
    return {slot: child for slot, child in found.items() if child is not None}


def versions(server: ApiServer, namespace: str, name: str = "shop") -> dict[tuple[str, str], str]:
    """The resourceVersion of the object and of each child: it moves with every write."""
    found = children(server, namespace, name)
    stored = server.get(KIND, namespace, name)
    if stored is not None:
        found[KIND, name] = stored
    return {slot: child["metadata"]["resourceVersion"] for slot, child in found.items()}


def status(server: ApiServer, namespace: str, name: str = "shop") -> Manifest:
    """The status as it is, of whatever generation."""
    stored = server.get(KIND, namespace, name)
    assert stored is not None
    reported: Manifest = stored["status"]
    return reported


def conditions(server: ApiServer, namespace: str, name: str = "shop") -> dict[str, Manifest]:
    """The conditions of the latest generation by type."""
    stored = server.get(KIND, namespace, name)
    assert stored is not None
    reported = stored.get("status", {})
    assert reported.get("observedGeneration") == stored["metadata"]["generation"], "not looked at yet"
    return {entry["type"]: entry for entry in reported["conditions"]}


def condition_of(server: ApiServer, namespace: str, kind: str, reason: str, *, name: str = "shop") -> Manifest:
    """The condition of the latest generation; AssertionError while it has another reason."""
    found = conditions(server, namespace, name)[kind]
    assert found["reason"] == reason, found
    return found
