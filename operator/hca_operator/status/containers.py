"""Why a container of a pod does not run: the API's own container, an init container or a sidecar."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from hca_operator.api.spec import HighConcurrencyApiSpec
from hca_operator.api.status import Problem, Reason
from hca_operator.core.names import CONTAINER, Manifest

_PULL_REASONS = {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "RegistryUnavailable"}
_CREATE_REASONS = {"CreateContainerConfigError", "CreateContainerError"}
_START_REASONS = {"StartError", "ContainerCannotRun"}
"""Reasons of a terminated container whose program never started: the message is the container runtime's."""
_RUNTIME_PREFIX = re.compile(r"^failed to create (containerd task|shim task).*container process: ")
_RUNTIME_ID = re.compile(r"\b[0-9a-f]{12,64}\b")
_LONGEST_QUOTE = 200
_READ_ONLY = (
    ". The root file system is read-only: let the program write below /tmp or into a volume (spec.volumeMounts), or "
    "set spec.podSecurity.readOnlyRootFilesystem: false"
)
_UNKNOWN_USER = (
    ". The user that the program runs as is not in /etc/passwd of the image: add it there, or set "
    "spec.podSecurity.runAsUser to one that is"
)
_HINTS: Mapping[str, str] = {
    r"(?i)read-only file ?system|\bEROFS\b": _READ_ONLY,
    r"(?i)uid not found|no passwd entry|cannot find name for user ID": _UNKNOWN_USER,
    r"(?i)unable to find user|no matching entries in passwd": _UNKNOWN_USER,
}
"""Patterns of termination messages, and what to do about each."""


class Container(NamedTuple):
    """A container of a pod, as the kubelet reports it."""

    status: Manifest
    """Its entry in the pod's status; empty if the kubelet has not reported any yet."""
    title: str
    """How messages name it, such as "sidecar container proxy"."""
    own: bool
    """Whether it runs the API."""
    once: bool
    """Whether it is expected to end: an init container."""

    @property
    def waiting(self) -> Manifest:
        """`state.waiting` of its status; empty if it does not wait."""
        found: Manifest = self.status.get("state", {}).get("waiting") or {}
        return found

    @property
    def ended(self) -> Manifest | None:
        """`terminated` of its present or last state; None if it never ended."""
        states = (self.status.get(name) or {} for name in ("state", "lastState"))
        return next((state["terminated"] for state in states if "terminated" in state), None)

    @property
    def logs(self) -> str:
        """The command that shows its last output."""
        return "kubectl logs --previous" + ("" if self.own else f" --container {self.status['name']}")


def containers_of(pod: Manifest) -> Iterator[Container]:
    """The containers of a pod in the order in which they start."""
    status = pod.get("status", {})
    restarted = {
        each["name"]
        for each in pod.get("spec", {}).get("initContainers") or []
        if each.get("restartPolicy") == "Always"  # a native sidecar: starts like an init container, and stays
    }
    for entry in status.get("initContainerStatuses") or []:
        once = entry["name"] not in restarted
        yield Container(entry, f"{'init' if once else 'sidecar'} container {entry['name']}", own=False, once=once)
    entries = status.get("containerStatuses") or []
    own: Manifest = next((entry for entry in entries if entry["name"] == CONTAINER), {})
    yield Container(own, "the container", own=True, once=False)
    for entry in entries:
        if entry is not own:
            yield Container(entry, f"sidecar container {entry['name']}", own=False, once=False)


def own_container(pod: Manifest) -> Container:
    """The container that runs the API."""
    return next(container for container in containers_of(pod) if container.own)


def container_problems(spec: HighConcurrencyApiSpec, container: Container) -> Iterator[Problem]:
    """Why a container does not run; nothing for one that is ready again."""
    if not container.status.get("ready"):
        yield from (problem for check in _CHECKS if (problem := check(spec, container)))


def _image(spec: HighConcurrencyApiSpec, container: Container) -> Problem | None:
    if container.waiting.get("reason") not in _PULL_REASONS:
        return None
    if container.own:
        image, secrets = spec.image, "spec.imagePullSecrets"
    else:
        image, secrets = f"{container.status.get('image')} of {container.title}", "the pod's imagePullSecrets"
    return Problem(
        Reason.IMAGE_PULL_FAILED,
        f"image {image} cannot be pulled: check its name and tag, and {secrets} for a private registry "
        "(kubectl describe pod shows the registry's answer)",
    )


def _configuration(_spec: HighConcurrencyApiSpec, container: Container) -> Problem | None:
    if container.waiting.get("reason") not in _CREATE_REASONS:
        return None
    message = container.waiting.get("message", "")
    if container.own and "runAsNonRoot" in message:
        cause = "names its user instead of a number" if "non-numeric" in message else "runs as root"
        return Problem(
            Reason.IMAGE_RUNS_AS_ROOT,
            f"the image {cause}, which profile Restricted refuses: put a numeric USER other than 0 into the image, "
            "set spec.podSecurity.runAsUser to the number of a user that can run it, or set "
            "spec.podSecurity.profile: Baseline",
        )
    hint = _hint(container, message)
    return Problem(
        Reason.CONTAINER_CONFIG_ERROR,
        f"{container.title} cannot be created: {_quoted(message.split(' (pod:')[0])}{hint}",
    )


def _end(spec: HighConcurrencyApiSpec, container: Container) -> Problem | None:
    """Why a container ended. An init container that ended with exit code 0 is no problem."""
    ended = container.ended
    if ended is None or (container.once and ended.get("exitCode") == 0):
        return None
    if ended.get("reason") == "OOMKilled":
        return Problem(Reason.OUT_OF_MEMORY, _out_of_memory(spec, container))
    message = ended.get("message", "")
    hint = _hint(container, message)
    if ended.get("reason") in _START_REASONS:
        cause = _quoted(_RUNTIME_PREFIX.sub("", message))
        return Problem(Reason.CONTAINER_CONFIG_ERROR, f"{container.title} cannot be started: {cause}{hint}")
    return Problem(
        Reason.CRASH_LOOP,
        f"{container.title} ends with exit code {ended.get('exitCode')}{_last_line(message)}: its log says why "
        f"({container.logs}){hint}",
    )


def _out_of_memory(spec: HighConcurrencyApiSpec, container: Container) -> str:
    killed = f"the kernel ended {container.title} at its memory limit: raise "
    if not container.own:
        return f"{killed}resources.limits.memory of that container"
    return (
        f"{killed}spec.resources.limits.memory, now {spec.resources.limits.memory}, or use fewer workers "
        "(spec.workers.count)"
    )


def _hint(container: Container, message: str) -> str:
    """What to do about a known message; empty for sidecars, as the fields concern the API's container."""
    return next((advice for said, advice in _HINTS.items() if container.own and re.search(said, message)), "")


def _last_line(message: str) -> str:
    """The last line of a termination message, or of the log with terminationMessagePolicy FallbackToLogsOnError."""
    lines = [line for line in map(_quoted, message.splitlines()) if line]
    return f" after '{lines[-1]}'" if lines else ""


def _quoted(text: str) -> str:
    """A text on one line, without identifiers that differ between the containers of different pods."""
    return _RUNTIME_ID.sub("...", " ".join(text.split()))[:_LONGEST_QUOTE]


_CHECKS: tuple[Callable[[HighConcurrencyApiSpec, Container], Problem | None], ...] = (_image, _configuration, _end)
