"""What the children of an object amount to, in words that do not depend on when, where and how they came about."""

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from dev.control_plane import ControlPlane
from tests.controlplane.api_server import ApiServer, Manifest
from tests.controlplane.objects import CHILDREN, children, status

RESOURCES = {
    "deployments", "services", "poddisruptionbudgets", "horizontalpodautoscalers", "ingresses", "networkpolicies",
}  # fmt: skip
HISTORY = {"deployment.kubernetes.io/revision", "hca-operator.io/pod-template", "hca-operator.io/config"}
"""Annotations that the controllers of Kubernetes write, and digests of a template and of a configuration, which know
the object."""
ALLOCATED = {"clusterIP", "clusterIPs", "healthCheckNodePort", "nodePort"}
"""Fields that the API server chooses."""
REPORTED = ("selector", "url", "workersPerPod", "desiredReplicas")
"""What the status says that follows from the spec alone."""


def essence(server: ApiServer, namespace: str, name: str = "shop") -> Manifest:
    """The children, and what the status says of them, as they are for every object of this spec."""
    found = {f"{kind} {child}": _essence(live) for (kind, child), live in children(server, namespace, name).items()}
    reported = status(server, namespace, name)
    found["status"] = {field: reported.get(field) for field in REPORTED}
    anywhere: Manifest = json.loads(json.dumps(found).replace(namespace, "NAMESPACE").replace(name, "NAME"))
    return anywhere


def _essence(child: Manifest) -> Manifest:
    metadata = child["metadata"]
    annotations = metadata.get("annotations", {})
    return {
        "labels": metadata.get("labels"),
        "annotations": {key: value for key, value in annotations.items() if key not in HISTORY},
        "owners": [owner | {"uid": None} for owner in metadata.get("ownerReferences", [])],
        "spec": _without_allocated(child["spec"]),
    }


def _without_allocated(spec: Manifest) -> Manifest:
    kept = {field: value for field, value in spec.items() if field not in ALLOCATED}
    if "clusterIP" in spec:
        kept["ports"] = [{field: port[field] for field in port if field not in ALLOCATED} for port in spec["ports"]]
    return kept


def differences(found: Any, wanted: Any, at: str = "") -> list[str]:
    """Where two of these differ, one line each."""
    if isinstance(found, dict) and isinstance(wanted, dict):
        fields = sorted(found.keys() | wanted.keys())
        return [line for field in fields for line in differences(found.get(field), wanted.get(field), f"{at}.{field}")]
    if isinstance(found, list) and isinstance(wanted, list) and len(found) == len(wanted):
        return [line for n in range(len(found)) for line in differences(found[n], wanted[n], f"{at}.{n}")]
    return [] if found == wanted else [f"{at}: {found!r} instead of {wanted!r}"]


def counts_since(server: ApiServer, version: str, namespace: str, name: str = "shop") -> Sequence[int]:
    """Each number of pods that the Deployment has asked for since."""
    seen = server.changes_since(version, "Deployment", namespace)
    return [deployment["spec"]["replicas"] for deployment in seen if deployment["metadata"]["name"] == name]


def births_and_deaths(control_plane: ControlPlane, since: int, namespace: str, name: str = "shop") -> Counter[str]:
    """How often each child was created and deleted, by any client, as the audit log has it from a byte of it on."""
    ours = {child.format(name) for _, child in CHILDREN}
    counted: Counter[str] = Counter()
    cut_off: set[str] = set()  # what a client that died asked for was done, though the answer is a time-out
    for entry in control_plane.audited(namespace, since=since):
        reference, code = entry.get("objectRef", {}), entry["responseStatus"]["code"]
        if reference.get("resource") not in RESOURCES or reference.get("name") not in ours:
            continue
        child = f"{reference['resource']} {reference['name'].replace(name, 'NAME')}"
        if "subresource" in reference or entry["verb"] not in {"create", "patch", "delete"}:
            continue
        what = f"{child} deleted" if entry["verb"] == "delete" else f"{child} created"
        if code == (200 if entry["verb"] == "delete" else 201):
            counted[what] += 1
        elif code == 504:
            cut_off.add(what)
    counted.update(what for what in cut_off if not counted[what])
    return counted
