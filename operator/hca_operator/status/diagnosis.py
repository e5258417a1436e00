"""Why pods are not ready, and what to do about it: pure, from the pods and the kubelet's Events.

Messages contain no pod names, counts or times: a message that changes each second would be written each second.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from hca_operator.api.spec import HighConcurrencyApiSpec
from hca_operator.api.status import Problem, Reason
from hca_operator.core.names import Manifest
from hca_operator.core.observed import available_replicas, condition, has_ended, is_paused, rolled_out
from hca_operator.status.containers import container_problems, containers_of, own_container
from hca_operator.status.placement import is_mounting, scheduling_problem, volume_events, volume_problem
from hca_operator.status.probes import UNHEALTHY, gate_problem, killed_by_probe, probe_problem, sidecar_probe_problem

_GENERATED_NAME = re.compile(r'pods "[^"]*" (is|are) ')


def diagnose(
    spec: HighConcurrencyApiSpec,
    deployment: Manifest | None,
    pods: Iterable[Manifest],
    events: Sequence[Manifest],
    now: datetime,
) -> Problem | None:
    """The most important problem of the pods; None if there is none, or if they still have time to start.

    `events` are the kubelet's, of the reasons that `event_reasons` names. The order of the problems is fixed, so that
    two pods with different problems do not make the result alternate.
    """
    waiting = [pod for pod in pods if _is_waiting(pod)]
    found = [problem for pod in waiting for problem in _pod_problems(spec, pod, events, now)]
    found += [problem for check in (_paused_problem, _rejected, _too_late) if (problem := check(deployment))]
    if problem := volume_problem(spec, waiting, events):
        found.append(problem)
    return min(found, key=lambda problem: (_ORDER.index(problem.reason), problem.message), default=None)


def event_reasons(spec: HighConcurrencyApiSpec, pods: Iterable[Manifest]) -> Sequence[str]:
    """Reasons of the kubelet's Events that explain more than the status of the pods."""
    waiting = [pod for pod in pods if _is_waiting(pod)]
    containers = [own_container(pod) for pod in waiting]
    reasons = []
    if any("running" in each.status.get("state", {}) or killed_by_probe(spec, each) for each in containers):
        reasons.append(UNHEALTHY)
    if any(map(is_mounting, waiting)):
        reasons += volume_events(spec)
    return reasons


def _is_waiting(pod: Manifest) -> bool:
    """Whether a pod is not ready yet: neither ready, nor being deleted, nor ended and replaced by another pod."""
    ready = condition(pod, "Ready").get("status") == "True"
    return not (ready or has_ended(pod) or "deletionTimestamp" in pod["metadata"])


def _pod_problems(
    spec: HighConcurrencyApiSpec, pod: Manifest, events: Sequence[Manifest], now: datetime
) -> Iterator[Problem]:
    probe = probe_problem(spec, pod, events, now)
    for container in containers_of(pod):
        # The exit code is that of the kubelet's kill; the failed probe is the reason.
        if not (container.own and probe and killed_by_probe(spec, container)):
            yield from container_problems(spec, container)
    sidecar = sidecar_probe_problem(spec, pod, events)
    yield from filter(None, (scheduling_problem(pod), probe, sidecar, gate_problem(pod, now)))


_ORDER = (
    Reason.PAUSED,
    Reason.IMAGE_RUNS_AS_ROOT,
    Reason.CONTAINER_CONFIG_ERROR,
    Reason.IMAGE_PULL_FAILED,
    Reason.OUT_OF_MEMORY,
    Reason.CRASH_LOOP,
    Reason.UNSCHEDULABLE,
    Reason.VOLUME_NOT_ATTACHED,
    Reason.PODS_REJECTED,
    Reason.READINESS_PATH_NOT_FOUND,
    Reason.NOTHING_LISTENS,
    Reason.LIVENESS_FAILING,
    Reason.READINESS_FAILING,
    Reason.PROGRESS_DEADLINE_EXCEEDED,
)


def _paused_problem(deployment: Manifest | None) -> Problem | None:
    if deployment is None or not is_paused(deployment) or rolled_out(deployment):
        return None
    metadata = deployment["metadata"]
    return Problem(
        Reason.PAUSED,
        "the Deployment is paused, so the latest generation is not rolled out: run kubectl rollout resume "
        f"deployment/{metadata['name']} --namespace {metadata['namespace']}",
    )


def _rejected(deployment: Manifest | None) -> Problem | None:
    failure = condition(deployment, "ReplicaFailure")
    if failure.get("status") != "True":
        return None
    return Problem(
        Reason.PODS_REJECTED, f"the API server refuses the pods: {_GENERATED_NAME.sub('', failure.get('message', ''))}"
    )


def _too_late(deployment: Manifest | None) -> Problem | None:
    if condition(deployment, "Progressing").get("reason") != "ProgressDeadlineExceeded":
        return None
    rest = "; the old ones keep serving" if available_replicas(deployment) else ""
    return Problem(
        Reason.PROGRESS_DEADLINE_EXCEEDED,
        f"the new pods did not become ready in time{rest}: see the logs of the new pods",
    )
