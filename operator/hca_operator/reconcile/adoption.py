"""Adoption of objects that ran the API before: `metadata.annotations["hca-operator.io/adopt"]` names them by uid.

For teams whose API already runs (docs/design/0007): the Deployment keeps its selector, which is immutable, and rolls
from its old pods to ours; the Service follows when the last old pod is gone. Pure: JSON Patch operations.
"""

from hca_operator.api.spec import ApiObject
from hca_operator.core.errors import NotOwned
from hca_operator.core.names import ADOPT_ANNOTATION, FIELD_MANAGER, Manifest
from hca_operator.core.observed import controller_of


def is_requested(api: ApiObject, live: Manifest) -> bool:
    """Whether the annotation names this very object."""
    wanted = {uid.strip() for uid in api.annotations.get(ADOPT_ANNOTATION, "").split(",")}
    return live["metadata"]["uid"] in wanted


def refuse_controlled(live: Manifest) -> None:
    """Raise NotOwned if another controller would go on writing the object."""
    if controller := controller_of(live):
        raise NotOwned(
            f"{live['kind']} {live['metadata']['name']} cannot be adopted while {controller['kind']} "
            f"{controller['name']} controls it: delete that one, leaving this one (--cascade=orphan)"
        )


def take_over(live: Manifest, desired: Manifest) -> list[Manifest]:
    """JSON Patch that makes a live object the desired child. Other labels and annotations stay.

    Raises NotOwned for a Service with another port, which its clients would lose.
    """
    metadata = live["metadata"]
    wanted = desired["metadata"]
    others = metadata.get("ownerReferences", [])
    operations = [
        {"op": "add", "path": "/metadata/labels", "value": metadata.get("labels", {}) | wanted["labels"]},
        {"op": "add", "path": "/metadata/ownerReferences", "value": [*others, *wanted["ownerReferences"]]},
        {"op": "replace", "path": "/spec", "value": _spec(live, desired)},
    ]
    if annotations := metadata.get("annotations", {}) | wanted.get("annotations", {}):
        operations.append({"op": "add", "path": "/metadata/annotations", "value": annotations})
    return operations


def _spec(live: Manifest, desired: Manifest) -> Manifest:
    before: Manifest = live["spec"]
    spec: Manifest = desired["spec"]
    if live["kind"] == "Deployment":
        return {**keeping_selector(live, desired)["spec"], "replicas": before.get("replicas", 1)}
    if live["kind"] == "Service":
        port = spec["ports"][0]["port"]
        if others := [entry["port"] for entry in before["ports"] if entry["port"] != port]:
            raise NotOwned(
                f"Service {live['metadata']['name']} has port {others[0]}, which its clients would lose: "
                f"set spec.service.port: {others[0]}, or adopt a Service of one port"
            )
        return {**before, **spec}  # addresses and node ports are kept
    return spec


def keeping_selector(live: Manifest | None, deployment: Manifest) -> Manifest:
    """The desired Deployment with the selector of the live one, which is immutable.

    Its pods get the labels that this selector matches beside our own, so that earlier Services select them, too.
    """
    if live is None or live["spec"]["selector"] == deployment["spec"]["selector"]:
        return deployment
    selector = live["spec"]["selector"]
    asked = {*selector.get("matchLabels", {}), *(term["key"] for term in selector.get("matchExpressions", []))}
    template = deployment["spec"]["template"]
    labels = {
        **template["metadata"]["labels"],
        **{name: value for name, value in live["spec"]["template"]["metadata"]["labels"].items() if name in asked},
    }
    template = {**template, "metadata": {**template["metadata"], "labels": labels}}
    return {**deployment, "spec": {**deployment["spec"], "selector": selector, "template": template}}


def claim(live: Manifest) -> list[Manifest] | None:
    """JSON Patch that makes server-side apply the owner of the fields that `take_over` wrote, None if it is already.

    The patch of `take_over` owns them as an update, beside any apply, so a field that is later dropped would stay; and
    a field that a former field manager still owns could never be removed.
    """
    entries = live["metadata"].get("managedFields") or []
    if not any(entry.get("manager") == FIELD_MANAGER and entry.get("operation") == "Update" for entry in entries):
        return None
    ours = [
        {**entry, "operation": "Apply"}
        for entry in entries
        if entry.get("manager") == FIELD_MANAGER and entry.get("operation") == "Update"
    ]
    controllers = [entry for entry in entries if entry.get("subresource")]
    return [{"op": "replace", "path": "/metadata/managedFields", "value": [*ours, *controllers]}]
