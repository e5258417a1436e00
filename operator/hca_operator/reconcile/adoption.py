"""Adoption of objects that ran the API before: `metadata.annotations["hca-operator.io/adopt"]` names them by uid.

For teams whose API already runs (docs/design/0007): the Deployment keeps its selector, which is immutable, and rolls
from its old pods to ours; the Service follows when the last old pod is gone. Pure: JSON Patch operations.
"""

from collections.abc import Sequence

from hca_operator.api.spec import ApiObject
from hca_operator.core.errors import NotOwned
from hca_operator.core.names import ADOPT_ANNOTATION, ADOPT_WITH_LOSS_ANNOTATION, FIELD_MANAGER, KIND, Manifest
from hca_operator.core.observed import controller_of, is_ours
from hca_operator.core.selectors import selects
from hca_operator.reconcile.adoption_losses import losses

NEIGHBOURS = ("HorizontalPodAutoscaler", "PodDisruptionBudget", "Ingress")
"""Kinds of objects of other owners that may act on an adopted Deployment, or route to its Service."""
MAX_LISTED = 20
"""Most losses that a message lists."""


def is_requested(api: ApiObject, live: Manifest, annotation: str = ADOPT_ANNOTATION) -> bool:
    """Whether the annotation names the uid of this live object."""
    wanted = {uid.strip() for uid in api.annotations.get(annotation, "").split(",")}
    return live["metadata"]["uid"] in wanted


def refuse_controlled(live: Manifest) -> None:
    """Raise NotOwned if another controller would go on writing the object."""
    if controller := controller_of(live):
        raise NotOwned(
            f"{live['kind']} {live['metadata']['name']} cannot be adopted while {controller['kind']} "
            f"{controller['name']} controls it: delete that one, leaving this one (--cascade=orphan)"
        )


def refuse_losses(api: ApiObject, live: Manifest, desired: Manifest, neighbours: Sequence[Manifest]) -> None:
    """Raise NotOwned if the adoption would lose fields or leave other objects in place, unless that is confirmed."""
    if is_requested(api, live, ADOPT_WITH_LOSS_ANNOTATION):
        return
    lost, left = losses(live, desired), [_described(other) for other in neighbours if _acts_on(other, live, api)]
    if not lost and not left:
        return
    kind, name, uid = live["kind"], live["metadata"]["name"], live["metadata"]["uid"]
    parts = [f"would lose {_listed(lost)}, which this object does not have"] if lost else []
    parts += [f"would keep {_listed(left)}: delete each that this object replaces"] if left else []
    raise NotOwned(
        f"{kind} {name} {', and '.join(parts)}. To adopt it nevertheless, annotate this {KIND} with "
        f"{ADOPT_WITH_LOSS_ANNOTATION}: {uid}"
    )


def _listed(items: Sequence[str]) -> str:
    more = [f"{len(items) - MAX_LISTED} more"] if len(items) > MAX_LISTED else []
    return ", ".join([*items[:MAX_LISTED], *more])


def _described(other: Manifest) -> str:
    controller = controller_of(other)
    made_by = f" of {controller['kind']} {controller['name']}" if controller else ""
    return f"{other['kind']} {other['metadata']['name']}{made_by}"


def _acts_on(other: Manifest, live: Manifest, api: ApiObject) -> bool:
    """Whether an object that is not adopted scales the Deployment, selects its pods, or routes to its Service."""
    if live["kind"] != "Deployment" or is_ours(other, api.uid) or is_requested(api, other):
        return False
    spec = other["spec"]
    match other["kind"]:
        case "HorizontalPodAutoscaler":
            return (spec["scaleTargetRef"]["kind"], spec["scaleTargetRef"]["name"]) == ("Deployment", api.name)
        case "PodDisruptionBudget":
            return selects(spec.get("selector"), live["spec"]["template"]["metadata"].get("labels") or {})
        case _:
            paths = [path for rule in spec.get("rules") or [] for path in (rule.get("http") or {}).get("paths") or []]
            backends = [spec.get("defaultBackend") or {}, *(path["backend"] for path in paths)]
            return any((backend.get("service") or {}).get("name") == api.name for backend in backends)


def take_over(live: Manifest, desired: Manifest) -> list[Manifest]:
    """JSON Patch that makes a live object the desired child. Other labels and annotations stay."""
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
