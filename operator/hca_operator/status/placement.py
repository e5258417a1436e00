"""Why no node can run a pod, and why its volumes cannot be mounted."""

import re
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import NamedTuple

from hca_operator.api.spec import HighConcurrencyApiSpec
from hca_operator.api.status import Problem, Reason
from hca_operator.core.names import Manifest
from hca_operator.core.observed import condition
from hca_operator.core.quantities import decimal_text, memory_text, parse_quantity
from hca_operator.status.containers import containers_of

_CREATING = {"ContainerCreating", "PodInitializing"}
"""Reasons for which a container waits while the volumes are mounted."""
_MISSING = re.compile(r'(configmap|secret) "[^"]+" not found|references non-existent (config|secret) key: \S+')
_ATTACHED_ELSEWHERE = re.compile(r"Multi-Attach error|Volume is already (exclusively attached|used by)")


class _Cause(NamedTuple):
    """A pattern in the scheduler's message about nodes, and its meaning for the pod."""

    said: re.Pattern[str]
    meaning: str
    """`{cpu}` and `{memory}` are the requests of the pod, `{0}` is the first group of `said`."""


_CAUSES: Sequence[_Cause] = (
    _Cause(re.compile(r"Insufficient cpu"), "too little CPU is free for a request of {cpu}"),
    _Cause(re.compile(r"Insufficient memory"), "too little memory is free for a request of {memory}"),
    _Cause(re.compile(r"Insufficient (.+)"), "too little {0} is free"),
    _Cause(re.compile(r"untolerated taint(?:\(s\))? ?(.*)"), "nodes have a taint {0} that is not in spec.tolerations"),
    _Cause(re.compile(r"node affinity/selector"), "nodes do not have the labels of spec.nodeSelector"),
    _Cause(re.compile(r"topology spread"), "spec.availability.spread allows no more pods on nodes that have room"),
    _Cause(re.compile(r"were unschedulable"), "nodes are cordoned"),
    _Cause(re.compile(r"Too many pods"), "nodes run their maximum number of pods"),
    _Cause(re.compile(r"volume node affinity conflict"), "nodes cannot reach a volume of the pod"),
    _Cause(
        re.compile(r"unbound immediate PersistentVolumeClaims|find available persistent volumes"),
        "a PersistentVolumeClaim is not bound",
    ),
    _Cause(re.compile(r"no nodes available"), "the cluster has no nodes"),
)


def scheduling_problem(pod: Manifest) -> Problem | None:
    """Why no node can run a pod. The causes are sorted, since the scheduler orders them by counts, which change."""
    scheduled = condition(pod, "PodScheduled")
    if scheduled.get("reason") == "SchedulingGated":
        return Problem(
            Reason.UNSCHEDULABLE,
            "a pod has a scheduling gate, so no node is chosen for it: the controller that has set "
            "spec.schedulingGates of the pod, such as that of a queue, must remove it",
        )
    if scheduled.get("reason") != "Unschedulable":
        return None
    requested = {
        "cpu": decimal_text(_requested_amount(pod, "cpu")),
        "memory": memory_text(_requested_amount(pod, "memory")),
    }
    meanings = sorted({_meaning(cause, requested) for cause in _causes(scheduled.get("message", ""))})
    return Problem(Reason.UNSCHEDULABLE, f"no node can take a pod: {'; '.join(meanings)}")


def _causes(message: str) -> Iterator[str]:
    """The causes in "0/5 nodes are available: ONE. 3 TWO, 2 THREE. preemption: ...", without counts."""
    text = re.sub(r"^\d+/\d+ nodes are available: ", "", message)
    text = re.split(r"no new claims to deallocate|preemption: ", text)[0]
    for sentence in re.split(r"\.(?: |$)", text):
        for cause in re.split(r", (?=\d+ )", sentence):
            if cause.strip():
                yield re.sub(r"^\d+ ", "", cause.strip(" ,"))


def _meaning(cause: str, requested: dict[str, str]) -> str:
    for said, meaning in _CAUSES:
        if match := said.search(cause):
            return " ".join(meaning.format(*match.groups(), **requested).split())
    return cause


def _requested_amount(pod: Manifest, resource: str) -> Decimal:
    """The sum of the requests of all containers of a pod."""
    containers = pod.get("spec", {}).get("containers") or []
    requests = (each.get("resources", {}).get("requests", {}).get(resource, "0") for each in containers)
    return sum(map(parse_quantity, requests), Decimal(0))


def is_mounting(pod: Manifest) -> bool:
    """Whether a pod waits for its volumes: none of its containers was created so far."""
    return all(each.waiting.get("reason") in _CREATING for each in containers_of(pod))


def volume_events(spec: HighConcurrencyApiSpec) -> Iterator[str]:
    """Reasons of the kubelet's Events that explain why a volume is not mounted, for a spec with volumes."""
    if any(volume.config_map or volume.secret or volume.projected for volume in spec.volumes):
        yield "FailedMount"
    if any(volume.persistent_volume_claim for volume in spec.volumes):
        yield "FailedAttachVolume"


def volume_problem(
    spec: HighConcurrencyApiSpec, pods: Iterable[Manifest], events: Sequence[Manifest]
) -> Problem | None:
    """Why the volumes of the pods that wait for them cannot be attached or mounted; None if no Event says so."""
    names = {pod["metadata"]["name"] for pod in pods if is_mounting(pod)}
    found = [event for event in events if event.get("involvedObject", {}).get("name") in names]
    missing = {match[0] for event in found if (match := _MISSING.search(event.get("message", "")))}
    if missing:
        return Problem(Reason.CONTAINER_CONFIG_ERROR, f"a volume cannot be mounted: {min(missing)}")
    attaching = [event.get("message", "") for event in found if event.get("reason") == "FailedAttachVolume"]
    if not attaching:
        return None
    claims = [volume.persistent_volume_claim.claim_name for volume in spec.volumes if volume.persistent_volume_claim]
    cause = "kubectl describe pod shows the answer of the storage"
    if any(map(_ATTACHED_ELSEWHERE.search, attaching)):
        cause = (
            "it is attached to another node, where another pod uses it. Pods on several nodes need a claim with access "
            "mode ReadWriteMany"
        )
    return Problem(
        Reason.VOLUME_NOT_ATTACHED,
        f"the volume of a PersistentVolumeClaim ({', '.join(sorted(claims))}) cannot be attached to the node: {cause}",
    )
