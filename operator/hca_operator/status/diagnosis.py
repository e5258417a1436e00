"""Why pods do not serve, in words that say what to do: pure, from the pods and the kubelet's events.

Messages carry no pod names, counts or times: a message that changes each second would be written each second.
"""

import re
from collections.abc import Callable, Iterable, Sequence

from hca_operator.api.spec import HighConcurrencyApiSpec
from hca_operator.api.status import Problem, Reason
from hca_operator.core.names import Manifest
from hca_operator.core.observed import condition, has_ended

_PULL_REASONS = {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "RegistryUnavailable"}
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
    found = [problem for pod in waiting if (problem := _pod_problem(spec, pod))]
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
    states = [_container(pod).get("state", {}) for pod in pods if _waits(pod)]
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


def _container(pod: Manifest) -> Manifest:
    statuses: list[Manifest] = pod.get("status", {}).get("containerStatuses") or [{}]
    return statuses[0]


def _pod_problem(spec: HighConcurrencyApiSpec, pod: Manifest) -> Problem | None:
    return next((problem for check in _CHECKS if (problem := check(spec, pod))), None)


def _image(spec: HighConcurrencyApiSpec, pod: Manifest) -> Problem | None:
    if _container(pod).get("state", {}).get("waiting", {}).get("reason") not in _PULL_REASONS:
        return None
    return Problem(
        Reason.IMAGE_PULL_FAILED,
        f"image {spec.image} cannot be pulled: check its name and tag, and spec.imagePullSecrets for a private "
        "registry (kubectl describe pod shows the registry's answer)",
    )


def _configuration(_spec: HighConcurrencyApiSpec, pod: Manifest) -> Problem | None:
    waiting = _container(pod).get("state", {}).get("waiting", {})
    if waiting.get("reason") not in {"CreateContainerConfigError", "CreateContainerError"}:
        return None
    message = waiting.get("message", "")
    if "runAsNonRoot" in message:
        cause = "names its user instead of a number" if "non-numeric" in message else "runs as root"
        return Problem(
            Reason.IMAGE_RUNS_AS_ROOT,
            f"the image {cause}, which profile Restricted refuses: put a numeric USER other than 0 into the image, "
            "set spec.podSecurity.runAsUser to the number of a user that can run it, or set "
            "spec.podSecurity.profile: Baseline",
        )
    return Problem(Reason.CONTAINER_CONFIG_ERROR, f"the container cannot be created: {message.split(' (pod:')[0]}")


def _crash(spec: HighConcurrencyApiSpec, pod: Manifest) -> Problem | None:
    container = _container(pod)
    state = container.get("state", {})
    ended = state.get("terminated") or container.get("lastState", {}).get("terminated")
    if ended is None:
        return None
    if ended.get("reason") == "OOMKilled":
        return Problem(
            Reason.OUT_OF_MEMORY,
            "the kernel ended the container at its memory limit: raise spec.resources.limits.memory, now "
            f"{spec.resources.limits.memory}, or use fewer workers (spec.workers.count)",
        )
    return Problem(
        Reason.CRASH_LOOP,
        f"the container ends with exit code {ended.get('exitCode')}: its log says why (kubectl logs --previous)",
    )


def _scheduling(_spec: HighConcurrencyApiSpec, pod: Manifest) -> Problem | None:
    scheduled = condition(pod, "PodScheduled")
    if scheduled.get("reason") != "Unschedulable":
        return None
    # What follows the count of nodes changes with each pod that comes or goes.
    cause = scheduled.get("message", "").split(". ")[0]
    return Problem(Reason.UNSCHEDULABLE, f"no node can take a pod: {re.sub(r'[0-9]+(/[0-9]+)? ', '', cause)}")


_CHECKS: tuple[Callable[[HighConcurrencyApiSpec, Manifest], Problem | None], ...] = (
    _image,
    _configuration,
    _crash,
    _scheduling,
)
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
    names = {pod["metadata"]["name"] for pod in pods if "waiting" in _container(pod).get("state", {})}
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
