"""Facts read off live objects: pure parsing, tolerant of what is missing."""

import re
from typing import Any

from hca_operator.core.names import (
    API_LABEL,
    FIELD_MANAGER,
    GROUP,
    HASH_LABEL,
    KIND,
    MANAGED_BY,
    MANAGED_BY_LABEL,
    REVISION_ANNOTATION,
    SCOPE_LABEL,
    SCOPE_NAMESPACE,
    Manifest,
)

_OBJECT_NAME = re.compile("[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")


def serves(pod: Manifest) -> bool:
    """Whether a pod is ready and is not being deleted."""
    return "deletionTimestamp" not in pod["metadata"] and condition(pod, "Ready").get("status") == "True"


def controller_of(manifest: Manifest) -> Manifest | None:
    """The owner reference of the controller, None without one."""
    references = manifest["metadata"].get("ownerReferences", [])
    return next((reference for reference in references if reference.get("controller")), None)


def owner_of(child: Manifest) -> str | None:
    """Name of the object that a child belongs to, by its owner or, where that was removed by hand, by its label."""
    controller = controller_of(child)
    if controller is None:
        return labelled_owner(child)
    ours = controller["kind"] == KIND and controller["apiVersion"].startswith(f"{GROUP}/")
    return _object_name(controller["name"]) if ours else None


def labelled_owner(manifest: Manifest) -> str | None:
    """Name of the object to which a child or a pod belongs by its label."""
    return _object_name(manifest["metadata"].get("labels", {}).get(API_LABEL))


def holding_pod(lease: Manifest) -> str | None:
    """Name of the pod that holds a Lease, None if nobody does, or what no pod can be."""
    return _object_name((lease.get("spec") or {}).get("holderIdentity"))


def is_of_one_namespace(lease: Manifest) -> bool:
    """Whether a Lease is that of an install for its own namespace only."""
    return bool((lease["metadata"].get("labels") or {}).get(SCOPE_LABEL) == SCOPE_NAMESPACE)


def _object_name(text: str | None) -> str | None:
    """The same text; None if no object can have that name: any client may write it, and it becomes a part of a URL."""
    return text if text is not None and _OBJECT_NAME.fullmatch(text) else None


def edited(obj: Manifest) -> bool:
    """Whether an object has changed since the operator last stored its status."""
    return bool(obj.get("status", {}).get("observedGeneration") != obj["metadata"].get("generation"))


def is_new(obj: Manifest) -> bool:
    """Whether an object has no status yet: its children, if any, were created a moment ago."""
    return not obj.get("status")


def is_ours(manifest: Manifest, owner_uid: str) -> bool:
    """Whether a live object is a child of the object with that uid.

    One that lost its owner reference by hand is still ours where our field manager has written it.
    """
    controller = controller_of(manifest)
    if controller is not None:
        return bool(controller["uid"] == owner_uid)
    labelled = manifest["metadata"].get("labels", {}).get(MANAGED_BY_LABEL) == MANAGED_BY
    return labelled and any(entry.get("manager") == FIELD_MANAGER for entry in _managed_fields(manifest))


def belongs_to_predecessor(manifest: Manifest, name: str) -> bool:
    """Whether a live object is the child of a deleted object of the same name, about to be garbage collected."""
    controller = controller_of(manifest)
    return controller is not None and controller["kind"] == KIND and controller["name"] == name


def owns_replicas(deployment: Manifest | None) -> bool:
    """Whether the operator owns `spec.replicas`: no other client has changed it since."""
    return deployment is not None and any(
        entry.get("manager") == FIELD_MANAGER
        and entry.get("operation") == "Apply"
        and "f:replicas" in entry.get("fieldsV1", {}).get("f:spec", {})
        for entry in _managed_fields(deployment)
    )


def replicas_of(deployment: Manifest) -> int:
    """Pods that the Deployment should have."""
    return int(deployment["spec"].get("replicas", 1))


def available_replicas(deployment: Manifest | None) -> int:
    """Pods of a Deployment that serve."""
    return int((deployment or {}).get("status", {}).get("availableReplicas", 0))


def is_observed(deployment: Manifest) -> bool:
    """Whether the Deployment controller has observed the latest generation, which scaling raises, too."""
    return bool(deployment.get("status", {}).get("observedGeneration", 0) >= deployment["metadata"]["generation"])


def rolled_out(deployment: Manifest | None) -> bool:
    """Whether every pod is of the current template.

    Read off the Progressing condition: it stays NewReplicaSetAvailable while an autoscaler adds or removes pods, which
    is no rollout. The counts are asked as well, because a template that changes during such a scaling is reported as
    observed, with the condition of the rollout before, until the controller comes to roll it out. For a Deployment that
    is paused the condition says nothing else, so that only the counts are left.
    """
    if deployment is None or not is_observed(deployment):
        return False
    if not all_updated(deployment):
        return False
    return is_paused(deployment) or condition(deployment, "Progressing").get("reason") == "NewReplicaSetAvailable"


def all_updated(deployment: Manifest) -> bool:
    """Whether every pod is of the template that the Deployment controller has observed last."""
    status = deployment.get("status", {})
    return bool(status.get("updatedReplicas", 0) == status.get("replicas", 0))


def has_revision_of(deployment: Manifest, replica_set: Manifest) -> bool:
    """Whether a ReplicaSet has the latest template of a Deployment."""
    controller = controller_of(replica_set)
    revisions = [each["metadata"].get("annotations", {}).get(REVISION_ANNOTATION) for each in (deployment, replica_set)]
    return bool(controller and controller["uid"] == deployment["metadata"]["uid"] and revisions[0] == revisions[1])


def hash_of(manifest: Manifest) -> str | None:
    """By which template a pod or a ReplicaSet was made."""
    found: str | None = manifest["metadata"].get("labels", {}).get(HASH_LABEL)
    return found


def is_paused(deployment: Manifest | None) -> bool:
    """Whether the rollouts of a Deployment are paused, as by `kubectl rollout pause`: scaling goes on."""
    return bool((deployment or {}).get("spec", {}).get("paused"))


def all_ready(deployment: Manifest) -> bool:
    """Whether every pod that there should be is of the current template and serves."""
    ready = deployment.get("status", {}).get("readyReplicas", 0)
    return rolled_out(deployment) and bool(ready == replicas_of(deployment))


def has_ended(pod: Manifest) -> bool:
    """Whether a pod is history: evicted, shut down with its node, failed or completed. It runs never again."""
    return pod.get("status", {}).get("phase") in {"Failed", "Succeeded"}


def condition(manifest: Manifest | None, kind: str) -> Manifest:
    """A condition of a live object; empty where it has none of that type."""
    conditions: list[Manifest] = (manifest or {}).get("status", {}).get("conditions") or []
    return next((entry for entry in conditions if entry["type"] == kind), {})


def _managed_fields(manifest: Manifest) -> list[dict[str, Any]]:
    return manifest["metadata"].get("managedFields") or []
