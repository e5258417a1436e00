"""What the scheduler and the volume controller say, word for word, and what the user reads."""

from datetime import UTC, datetime
from typing import Any

import pytest

from hca_operator.api.status import Problem, Reason
from hca_operator.core.names import Manifest
from hca_operator.status.diagnosis import diagnose, event_reasons
from tests.unit.operator.objects import deployment, spec

NOW = datetime(2026, 1, 2, 4, 0, tzinfo=UTC)
ROLLING = deployment(progressing="ReplicaSetUpdated")
CONTROL_PLANE = "{node-role.kubernetes.io/control-plane: }"
NO_HELP = (
    "no new claims to deallocate, preemption: 0/5 nodes are available: 5 Preemption is not helpful for scheduling."
)
FEW_CPUS = "too little CPU is free for a request of 2"


def unschedulable(message: str, **requests: str) -> Manifest:
    """A pod with these requests, and a sidecar with some of its own."""
    scheduled = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    containers = [{"name": "api", "resources": {"requests": requests}}, {"name": "proxy", "resources": {}}]
    return {
        "metadata": {"name": "shop-5d8f"},
        "spec": {"containers": containers},
        "status": {"conditions": [scheduled]},
    }


@pytest.mark.parametrize(
    ("message", "reported"),
    [
        (f"0/3 nodes are available: 3 Insufficient cpu. {NO_HELP}", FEW_CPUS),
        (
            f"0/3 nodes are available: 1 node(s) had untolerated taint {CONTROL_PLANE}, 2 Insufficient cpu. {NO_HELP}",
            f"nodes have a taint {CONTROL_PLANE} that is not in spec.tolerations; {FEW_CPUS}",
        ),
        (
            "0/12 nodes are available: 10 Insufficient cpu, 2 node(s) had untolerated taint(s). preemption: 0/12 nodes",
            f"nodes have a taint that is not in spec.tolerations; {FEW_CPUS}",
        ),
        (
            "0/2 nodes are available: 1 Insufficient memory, 1 Too many pods.",
            "nodes run their maximum number of pods; too little memory is free for a request of 1Gi",
        ),
        ("0/2 nodes are available: 2 Insufficient nvidia.com/gpu.", "too little nvidia.com/gpu is free"),
        (
            "0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector. " + NO_HELP,
            "nodes do not have the labels of spec.nodeSelector",
        ),
        (
            "0/2 nodes are available: 2 node(s) didn't match pod topology spread constraints.",
            "spec.availability.spread allows no more pods on nodes that have room",
        ),
        (
            "0/2 nodes are available: pod has unbound immediate PersistentVolumeClaims. " + NO_HELP,
            "a PersistentVolumeClaim is not bound",
        ),
        ('0/2 nodes are available: persistentvolumeclaim "data" not found.', 'persistentvolumeclaim "data" not found'),
        ("0/2 nodes are available: 2 node(s) were unschedulable.", "nodes are cordoned"),
        ("0/2 nodes are available: 2 had volume node affinity conflict", "nodes cannot reach a volume of the pod"),
        ("no nodes available to schedule pods", "the cluster has no nodes"),
        ("0/1 nodes are available: 1 a plugin of tomorrow said no.", "a plugin of tomorrow said no"),
    ],
)  # fmt: skip
def test_fault_56_what_the_scheduler_says_keeps_its_sense_without_its_counts(message: str, reported: str) -> None:
    problem = diagnose(spec(), ROLLING, [unschedulable(message, cpu="2", memory="1Gi")], [], NOW)
    assert problem == Problem(Reason.UNSCHEDULABLE, f"no node can take a pod: {reported}")


def test_the_order_of_the_scheduler_which_is_that_of_its_counts_is_no_news() -> None:
    before, after = (
        diagnose(spec(), ROLLING, [unschedulable(f"0/30 nodes are available: {causes}.", cpu="2")], [], NOW)
        for causes in ("10 Insufficient cpu, 20 Too many pods", "21 Too many pods, 9 Insufficient cpu")
    )
    assert before == after


CREATING: Manifest = {
    "metadata": {"name": "shop-5d8f"},
    "status": {"containerStatuses": [{"name": "api", "state": {"waiting": {"reason": "ContainerCreating"}}}]},
}
CLAIM = spec(volumes=[{"name": "a", "persistentVolumeClaim": {"claimName": "data"}}])


def failed_attach(message: str, **more: Any) -> Manifest:
    return {"involvedObject": {"name": "shop-5d8f"}, "reason": "FailedAttachVolume", "message": message} | more


NOT_ATTACHED = 'Multi-Attach error for volume "pvc-1" Volume is already '
ELSEWHERE = (
    "it is attached to another node, where another pod uses it. Pods on several nodes need a claim with access mode "
    "ReadWriteMany"
)
STORAGE = "kubectl describe pod shows the answer of the storage"


@pytest.mark.parametrize(
    ("message", "reported"),
    [
        (f"{NOT_ATTACHED}exclusively attached to one node and can't be attached to another", ELSEWHERE),
        (f"{NOT_ATTACHED}used by pod(s) shop-7c4a-x7k2p", ELSEWHERE),
        ('AttachVolume.Attach failed for volume "pvc-1" : rpc error: code = Internal, request 7d1c', STORAGE),
    ],
)
def test_fault_57_a_volume_that_cannot_be_attached_is_reported_by_its_claim(message: str, reported: str) -> None:
    assert event_reasons(CLAIM, [CREATING]) == ["FailedAttachVolume"]
    expected = f"the volume of a PersistentVolumeClaim (data) cannot be attached to the node: {reported}"
    found = diagnose(CLAIM, ROLLING, [CREATING], [failed_attach(message)], NOW)
    assert found == Problem(Reason.VOLUME_NOT_ATTACHED, expected)
    assert diagnose(CLAIM, ROLLING, [CREATING], [failed_attach(message, involvedObject={})], NOW) is None


def test_fault_72_a_pod_with_a_scheduling_gate_waits_for_the_controller_that_has_set_it() -> None:
    pod = unschedulable("Scheduling is blocked due to non-empty scheduling gates")
    pod["status"]["conditions"][0]["reason"] = "SchedulingGated"
    problem = diagnose(spec(), ROLLING, [pod], [], NOW)
    assert problem is not None
    assert (problem.reason, "spec.schedulingGates" in problem.message) == (Reason.UNSCHEDULABLE, True)
