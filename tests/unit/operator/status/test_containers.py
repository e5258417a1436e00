"""Containers beside the API's own: init containers and sidecars, named in what the user reads."""

from datetime import UTC, datetime
from typing import Any

import pytest

from hca_operator.api.status import Problem, Reason
from hca_operator.core.names import Manifest
from hca_operator.status.diagnosis import diagnose
from tests.unit.operator.objects import deployment, spec

NOW = datetime(2026, 1, 2, 4, 0, tzinfo=UTC)
ROLLING = deployment(progressing="ReplicaSetUpdated")
RUNNING: Manifest = {"running": {"startedAt": "2026-01-02T03:04:05Z"}}
INITIALIZING: Manifest = {"waiting": {"reason": "PodInitializing"}}
BACK_OFF: Manifest = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s restarting failed container"}}


def reported(name: str, state: Manifest, *, last: Manifest | None = None, ready: bool = False) -> Manifest:
    """One entry of the pod's status."""
    image = f"registry.example.com/{name}:1"
    return {"name": name, "state": state, "lastState": last or {}, "ready": ready, "image": image}


def ended(code: int, reason: str = "Error", message: str | None = None) -> Manifest:
    return {"terminated": {"exitCode": code, "reason": reason} | ({"message": message} if message else {})}


def pod(own: Manifest, *, init: Manifest | None = None, sidecar: Manifest | None = None, **spec: Any) -> Manifest:
    """A pod that is not ready; the kubelet sorts containers by name."""
    containers = sorted([own, *([sidecar] if sidecar else [])], key=lambda entry: str(entry["name"]))
    status: Manifest = {"phase": "Pending", "conditions": [{"type": "Ready", "status": "False"}]}
    status["containerStatuses"] = containers
    if init:
        status["initContainerStatuses"] = [init]
    return {"metadata": {"name": "shop-5d8f"}, "spec": spec, "status": status}


WAITS = reported("api", INITIALIZING)
RUNS = reported("api", RUNNING, ready=True)
NATIVE: dict[str, Any] = {"initContainers": [{"name": "agent", "restartPolicy": "Always"}]}
NOT_FOUND = (
    "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: "
    'unable to start container process: exec: "serve": executable file not found in $PATH: unknown'
)

PODS: dict[str, tuple[Manifest, Reason, str]] = {
    "init container": (
        pod(WAITS, init=reported("agent", BACK_OFF, last=ended(3))),
        Reason.CRASH_LOOP,
        "init container agent ends with exit code 3: its log says why (kubectl logs --previous --container agent)",
    ),
    "init container that runs once more": (
        pod(WAITS, init=reported("agent", RUNNING, last=ended(3))),
        Reason.CRASH_LOOP,
        "init container agent ends with exit code 3: ",
    ),
    "last line": (
        pod(WAITS, init=reported("agent", BACK_OFF, last=ended(1, message="vault: login\nno role\t'shop'\n\n"))),
        Reason.CRASH_LOOP,
        "init container agent ends with exit code 1 after 'no role 'shop'': ",
    ),
    "native sidecar": (
        pod(WAITS, init=reported("agent", BACK_OFF, last=ended(0, "Completed")), **NATIVE),
        Reason.CRASH_LOOP,
        "sidecar container agent ends with exit code 0: ",
    ),
    "sidecar": (
        pod(RUNS, sidecar=reported("a-proxy", BACK_OFF, last=ended(255))),
        Reason.CRASH_LOOP,
        "sidecar container a-proxy ends with exit code 255: ",
    ),
    "sidecar at its memory limit": (
        pod(RUNS, sidecar=reported("a-proxy", BACK_OFF, last=ended(137, "OOMKilled"))),
        Reason.OUT_OF_MEMORY,
        "the kernel ended sidecar container a-proxy at its memory limit: raise resources.limits.memory of that",
    ),
    "image": (
        pod(WAITS, init=reported("agent", {"waiting": {"reason": "ImagePullBackOff"}})),
        Reason.IMAGE_PULL_FAILED,
        "image registry.example.com/agent:1 of init container agent cannot be pulled",
    ),
    "root": (
        pod(WAITS, init=reported("agent", {"waiting": {"reason": "CreateContainerConfigError", "message": (
            'container has runAsNonRoot and image will run as root (pod: "shop-5d8f_default(0d9)", container: agent)'
        )}})),
        Reason.CONTAINER_CONFIG_ERROR,
        "init container agent cannot be created: container has runAsNonRoot and image will run as root",
    ),
    "command": (
        pod(reported("api", BACK_OFF, last=ended(128, "StartError", NOT_FOUND))),
        Reason.CONTAINER_CONFIG_ERROR,
        'the container cannot be started: exec: "serve": executable file not found in $PATH: unknown',
    ),
}  # fmt: skip


@pytest.mark.parametrize(("broken", "reason", "message"), PODS.values(), ids=PODS)
def test_fault_51_the_container_that_fails_is_named(broken: Manifest, reason: Reason, message: str) -> None:
    problem = diagnose(spec(), ROLLING, [broken], [], NOW)
    assert problem is not None
    assert problem.reason == reason
    assert message in problem.message
    assert "shop-5d8f" not in problem.message


@pytest.mark.parametrize(
    "fine",
    [
        pod(WAITS, init=reported("agent", ended(0, "Completed"), ready=True)),
        pod(WAITS, init=reported("agent", RUNNING, last=ended(0, "Completed"))),  # once more, in a new sandbox
        pod(WAITS, init=reported("agent", RUNNING, last=ended(1), ready=True), **NATIVE),
        pod(reported("api", RUNNING), sidecar=reported("a-proxy", RUNNING, last=ended(1), ready=True)),
        pod(WAITS, init=reported("agent", INITIALIZING)),
    ],
)
def test_a_container_that_has_done_its_part_is_no_problem(fine: Manifest) -> None:
    assert diagnose(spec(), ROLLING, [fine], [], NOW) is None


def test_what_a_runtime_says_is_the_same_for_each_container() -> None:
    said = "mounting /run/containerd/task/%s/rootfs: permission denied"
    first, other = (
        diagnose(
            spec(),
            ROLLING,
            [pod(reported("api", BACK_OFF, last=ended(128, "StartError", said % (digit * 64))))],
            [],
            NOW,
        )
        for digit in "ab"
    )
    assert (
        first
        == other
        == Problem(
            Reason.CONTAINER_CONFIG_ERROR,
            "the container cannot be started: mounting /run/containerd/task/.../rootfs: permission denied",
        )
    )


READ_ONLY = "OSError: [Errno 30] Read-only file system: '/app/cache'"
NO_ENTRY = "unable to find user app: no matching entries in passwd file"
NO_USER = "KeyError: 'getpwuid(): uid not found: 10001'"


@pytest.mark.parametrize(
    ("state", "last", "field"),
    [
        (BACK_OFF, ended(1, message=f"Traceback\n{READ_ONLY}"), "spec.podSecurity.readOnlyRootFilesystem: false"),
        (BACK_OFF, ended(128, "StartError", f"{NOT_FOUND} read-only file system"), "readOnlyRootFilesystem: false"),
        (BACK_OFF, ended(1, message=NO_USER), "spec.podSecurity.runAsUser"),
        (
            {"waiting": {"reason": "CreateContainerError", "message": NO_ENTRY}},
            None,
            "spec.podSecurity.runAsUser",
        ),
    ],
)  # fmt: skip
def test_fault_58_a_read_only_file_and_an_unknown_user_are_reported_with_the_field_that_cures_them(
    state: Manifest, last: Manifest | None, field: str
) -> None:
    problem = diagnose(spec(), ROLLING, [pod(reported("api", state, last=last))], [], NOW)
    assert problem is not None
    assert field in problem.message
    other = diagnose(spec(), ROLLING, [pod(WAITS, init=reported("agent", state, last=last))], [], NOW)
    assert other is not None
    assert field not in other.message, "that container is not the object's"
