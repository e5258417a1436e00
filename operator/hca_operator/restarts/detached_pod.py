"""The controller of a detached pod: a ReplicaSet of its own, which adopts it (docs/design/0028). Pure.

`kubectl drain` refuses a pod without a controller, the cluster autoscaler keeps its node, and the disruption controller
warns. The ReplicaSet is deleted after the pod: the disruption controller reports an error for a pod whose controller
does not exist.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from hca_operator.api.spec import ApiObject
from hca_operator.core.names import CONTAINER, DETACHED_LABEL, GROUP, REPLACED_FOR_MEMORY, REPLACED_LABEL, Manifest
from hca_operator.desired.metadata import child_metadata

GATE = f"{GROUP}/detached"
_LITTLE = {"cpu": "1m", "memory": "1Mi"}
_NEVER_RUN: Manifest = {
    "schedulingGates": [{"name": GATE}],
    "automountServiceAccountToken": False,
    "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
}
"""Of the pod that the ReplicaSet creates once the detached one has gone: no scheduler binds it to a node."""


@dataclass(frozen=True)
class ReplicaSetPlan:
    """What is to be done about the ReplicaSets of detached pods."""

    create: Sequence[Manifest] = ()
    orphan: Sequence[Manifest] = ()
    """To be deleted without their pod, which is then not counted by the disruption budget any more."""
    delete: Sequence[Manifest] = ()
    """To be deleted because their pod has gone, with the pod that they have created in its place."""


def plan_replica_sets(
    api: ApiObject, detached: Sequence[Manifest], found: Sequence[Manifest], *, counted: Collection[str], late: bool
) -> ReplicaSetPlan:
    """`detached`: pods that are detached, or are to be now. `found`: ReplicaSets of detached pods.

    `counted`: uids of the pods whose replacement is counted in the stored status: the ReplicaSet of another one is what
    a later pass will count it by. `late`: whether the pods are to be evicted although too few others serve.

    A late pod loses its ReplicaSet, because with it the disruption budget wants one pod more to serve.
    """
    going = {pod["metadata"]["uid"]: "deletionTimestamp" in pod["metadata"] for pod in detached}
    having = {selected_uid(replica_set): replica_set for replica_set in found}
    alive = {uid: owner for uid, owner in having.items() if "deletionTimestamp" not in owner["metadata"]}
    return ReplicaSetPlan(
        create=[replica_set_of(api, pod) for pod in detached if _needs_one(pod, having)] if not late else (),
        orphan=[owner for uid, owner in alive.items() if late and not going.get(uid, True)],
        delete=[owner for uid, owner in alive.items() if uid not in going and (uid in counted or not uid)],
    )


def replica_set_of(api: ApiObject, pod: Manifest) -> Manifest:
    """A ReplicaSet that selects exactly this pod.

    Its template is accepted by the restricted level of Pod Security, and has no label by which a Service, a budget, an
    autoscaler or the operator would take its pod for one of the object.
    """
    uid = {DETACHED_LABEL: pod["metadata"]["uid"]}
    metadata = child_metadata(api, pod["metadata"]["name"])
    container = {
        "name": CONTAINER,
        "image": api.spec.image,
        "resources": {"requests": _LITTLE, "limits": _LITTLE},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {**metadata, "labels": {**metadata["labels"], REPLACED_LABEL: REPLACED_FOR_MEMORY}},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": uid},
            "template": {"metadata": {"labels": uid}, "spec": {**_NEVER_RUN, "containers": [container]}},
        },
    }


def pod_of(replica_set: Manifest) -> Manifest:
    """Name and uid of the pod that a ReplicaSet was made for, which may have gone."""
    return {"metadata": {"name": replica_set["metadata"]["name"], "uid": selected_uid(replica_set)}}


def selected_uid(replica_set: Manifest) -> str:
    """The uid of the pod that a ReplicaSet was made for; empty if it was made for none."""
    labels = replica_set["spec"]["selector"].get("matchLabels") or {}
    return str(labels.get(DETACHED_LABEL, ""))


def _needs_one(pod: Manifest, having: Mapping[str, Manifest]) -> bool:
    """Whether a pod needs a ReplicaSet, which selects it: not one that an earlier release has detached."""
    metadata = pod["metadata"]
    selected = REPLACED_LABEL not in metadata["labels"] or DETACHED_LABEL in metadata["labels"]
    return selected and metadata["uid"] not in having and "deletionTimestamp" not in metadata
