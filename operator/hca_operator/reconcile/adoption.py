"""Taking over objects that ran the API before: `metadata.annotations["hca-operator.io/adopt"]` names them by uid.

The way in for teams that run today (docs/design/0007): the Deployment keeps its selector, which cannot change, and
rolls from its old pods to ours; the Service follows when the last old pod is gone. Pure: JSON Patch operations.
"""

from hca_operator.api.spec import ApiObject
from hca_operator.core.errors import NotOwned
from hca_operator.core.names import ADOPT_ANNOTATION, FIELD_MANAGER, Manifest
from hca_operator.core.observed import controller_of


def asked_for(api: ApiObject, live: Manifest) -> bool:
    """Whether the object asks for this very object to be taken over.

    Raises NotOwned where another controller would go on writing it.
    """
    wanted = {uid.strip() for uid in api.annotations.get(ADOPT_ANNOTATION, "").split(",")}
    if live["metadata"]["uid"] not in wanted:
        return False
    if controller := controller_of(live):
        raise NotOwned(
            f"{live['kind']} {live['metadata']['name']} cannot be adopted while {controller['kind']} "
            f"{controller['name']} controls it: delete that one, leaving this one (--cascade=orphan)"
        )
    return True


def take_over(live: Manifest, desired: Manifest) -> list[Manifest]:
    """What makes the live object ours: labels and annotations of others stay, the spec becomes the desired one."""
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
    """The desired Deployment with the selector that the live one was made with: nobody can change it.

    Pods carry what it asks for beside our own labels, so that a Service of old finds them too.
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
    """What makes server-side apply the owner of what `take_over` wrote, None where nothing is left to do.

    An update owns what it wrote beside any apply, so a field that later leaves the object would stay; and what the
    former owners keep could never be removed either.
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
