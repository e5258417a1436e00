"""Why pods do not serve, in words that say what to do: pure, from the pods and the kubelet's events.

Messages carry no pod names, counts or times: a message that changes each second would be written each second.
"""

import re
from collections.abc import Iterable, Iterator, Sequence

from hca_operator.api.spec import HighConcurrencyApiSpec
from hca_operator.api.status import Problem, Reason
from hca_operator.core.names import Manifest
from hca_operator.core.observed import condition, has_ended
from hca_operator.status.containers import container_problems, own_container

_MISSING = re.compile(r'(configmap|secret) "[^"]+" not found|references non-existent (config|secret) key: \S+')
_GENERATED_NAME = re.compile(r'pods "[^"]*" (is|are) ')


def diagnose(
    spec: HighConcurrencyApiSpec, deployment: Manifest | None, pods: Iterable[Manifest], events: Iterable[Manifest]
) -> Problem | None:
    """The first thing to look at, None where nothing is wrong (yet).

    `events` are the kubelet's, of the reasons that `event_reasons` names. The order of the checks is fixed, so that two
    pods with different troubles do not make the answer flap.
    """
    waiting = [pod for pod in pods if _waits(pod)]
    found = [problem for pod in waiting for problem in _pod_problems(spec, pod)]
    if found:
        return min(found, key=lambda problem: (_ORDER.index(problem.reason), problem.message))
    if problem := _rejected(deployment):
        return problem
    events = list(events)
    if problem := _missing_files(waiting, events) or _probe_problem(spec, waiting, events):
        return problem
    if condition(deployment, "Progressing").get("reason") == "ProgressDeadlineExceeded":
        return Problem(
            Reason.PROGRESS_DEADLINE_EXCEEDED,
            "the new pods did not become ready in time; the old ones keep serving: look at the new pods' logs",
        )
    return None


def event_reasons(spec: HighConcurrencyApiSpec, pods: Iterable[Manifest]) -> Sequence[str]:
    """Reasons of the kubelet's events that can tell more than the pods themselves."""
    states = [own_container(pod).status.get("state", {}) for pod in pods if _waits(pod)]
    reasons = []
    if any("running" in state for state in states):
        reasons.append("Unhealthy")
    files = any(volume.config_map or volume.secret or volume.projected for volume in spec.volumes)
    if files and any(state.get("waiting", {}).get("reason") == "ContainerCreating" for state in states):
        reasons.append("FailedMount")
    return reasons


def _waits(pod: Manifest) -> bool:
    """Whether a pod is still to serve: not one that does, that is going, or that has ended and has a successor."""
    ready = condition(pod, "Ready").get("status") == "True"
    return not (ready or has_ended(pod) or "deletionTimestamp" in pod["metadata"])


def _pod_problems(spec: HighConcurrencyApiSpec, pod: Manifest) -> Iterator[Problem]:
    yield from container_problems(spec, pod)
    if problem := _scheduling(pod):
        yield problem


def _scheduling(pod: Manifest) -> Problem | None:
    scheduled = condition(pod, "PodScheduled")
    if scheduled.get("reason") != "Unschedulable":
        return None
    # What follows the count of nodes changes with each pod that comes or goes.
    cause = scheduled.get("message", "").split(". ")[0]
    return Problem(Reason.UNSCHEDULABLE, f"no node can take a pod: {re.sub(r'[0-9]+(/[0-9]+)? ', '', cause)}")


_ORDER = (
    Reason.IMAGE_RUNS_AS_ROOT,
    Reason.CONTAINER_CONFIG_ERROR,
    Reason.IMAGE_PULL_FAILED,
    Reason.OUT_OF_MEMORY,
    Reason.CRASH_LOOP,
    Reason.UNSCHEDULABLE,
)


def _rejected(deployment: Manifest | None) -> Problem | None:
    failure = condition(deployment, "ReplicaFailure")
    if failure.get("status") != "True":
        return None
    return Problem(
        Reason.PODS_REJECTED, f"the API server refuses the pods: {_GENERATED_NAME.sub('', failure.get('message', ''))}"
    )


def _missing_files(pods: list[Manifest], events: Iterable[Manifest]) -> Problem | None:
    """A pod that waits for its volumes does not say for which."""
    names = {pod["metadata"]["name"] for pod in pods if own_container(pod).waiting}
    found = {
        match[0]
        for event in events
        if event.get("involvedObject", {}).get("name") in names and (match := _MISSING.search(event.get("message", "")))
    }
    if not found:
        return None
    return Problem(Reason.CONTAINER_CONFIG_ERROR, f"a volume cannot be mounted: {min(found)}")


def _probe_problem(spec: HighConcurrencyApiSpec, pods: list[Manifest], events: Iterable[Manifest]) -> Problem | None:
    names = {pod["metadata"]["name"] for pod in pods}
    codes = {
        match[1]
        for event in events
        if event.get("involvedObject", {}).get("name") in names
        and "Readiness" in event.get("message", "")
        and (match := re.search(r"statuscode: (\d{3})", event["message"]))
    }
    path = spec.health.readiness_path
    if "404" in codes:
        return Problem(
            Reason.READINESS_PATH_NOT_FOUND,
            f"GET {path} on port {spec.port} answers 404: set spec.health.readinessPath to a path that answers 200 "
            "while the API can serve",
        )
    if codes:
        return Problem(
            Reason.READINESS_FAILING,
            f"GET {path} on port {spec.port} answers {min(codes)} instead of 200: the API says that it cannot serve",
        )
    return None
