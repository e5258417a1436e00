"""From what pods and the kubelet's events look like to what the user reads."""

from datetime import UTC, datetime
from typing import Any

import pytest

from hca_operator.api.status import Problem, Reason
from hca_operator.core.names import Manifest
from hca_operator.status.diagnosis import diagnose, event_reasons
from tests.unit.operator.objects import IMAGE, deployment, spec

NOW = datetime(2026, 1, 2, 4, 0, tzinfo=UTC)
ROLLING = deployment(progressing="ReplicaSetUpdated")


def pod(name: str = "shop-5d8f", *, ready: bool = False, state: Manifest | None = None, **more: Any) -> Manifest:
    status: Manifest = {"conditions": [{"type": "Ready", "status": "True" if ready else "False"}]}
    status["containerStatuses"] = [{"name": "api", "state": state or {}, "lastState": more.pop("last", {})}]
    status["conditions"] += more.pop("conditions", [])
    return {"metadata": {"name": name, **more}, "status": status}


def waiting(reason: str, message: str = "") -> Manifest:
    return {"waiting": {"reason": reason, "message": message}}


def unhealthy(code: int, *, name: str = "shop-5d8f", probe: str = "Readiness") -> Manifest:
    message = f"{probe} probe failed: HTTP probe failed with statuscode: {code}"
    return {"involvedObject": {"kind": "Pod", "name": name}, "reason": "Unhealthy", "message": message}


def unschedulable(message: str) -> Manifest:
    scheduled = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    return pod(conditions=[scheduled])


RUNNING: Manifest = {"running": {"startedAt": "2026-01-02T03:04:05Z"}}
NO_ROOT = 'container has runAsNonRoot and image will run as root (pod: "shop-5d8f_default(0d9)", container: api)'
NO_NUMBER = 'container has runAsNonRoot and image has non-numeric user (app), cannot verify user is non-root (pod: "x")'
NO_SECRET = 'secret "shop" not found (pod: "shop-5d8f_default(0d9)")'
NODES = "0/3 nodes are available: 1 node(s) had untolerated taint {a: b}, 2 Insufficient cpu. preemption: 0/3 nodes."

PODS: dict[str, tuple[Manifest, Reason, str]] = {
    "image cannot be pulled": (
        pod(state=waiting("ImagePullBackOff")),
        Reason.IMAGE_PULL_FAILED,
        f"image {IMAGE} cannot be pulled: check its name and tag, and spec.imagePullSecrets",
    ),
    "image is no name": (pod(state=waiting("InvalidImageName")), Reason.IMAGE_PULL_FAILED, IMAGE),
    "runs as root": (
        pod(state=waiting("CreateContainerConfigError", NO_ROOT)),
        Reason.IMAGE_RUNS_AS_ROOT,
        "the image runs as root, which profile Restricted refuses: put a numeric USER other than 0 into the image",
    ),
    "user has a name": (
        pod(state=waiting("CreateContainerConfigError", NO_NUMBER)),
        Reason.IMAGE_RUNS_AS_ROOT,
        "the image names its user instead of a number",
    ),
    "secret is missing": (
        pod(state=waiting("CreateContainerConfigError", NO_SECRET)),
        Reason.CONTAINER_CONFIG_ERROR,
        'the container cannot be created: secret "shop" not found',
    ),
    "crashes": (
        pod(state=waiting("CrashLoopBackOff"), last={"terminated": {"exitCode": 3, "reason": "Error"}}),
        Reason.CRASH_LOOP,
        "the container ends with exit code 3: its log says why",
    ),
    "out of memory": (
        pod(state=waiting("CrashLoopBackOff"), last={"terminated": {"exitCode": 137, "reason": "OOMKilled"}}),
        Reason.OUT_OF_MEMORY,
        "at its memory limit: raise spec.resources.limits.memory, now 512Mi, or use fewer workers",
    ),
    "no node": (
        unschedulable(NODES),
        Reason.UNSCHEDULABLE,
        (
            "no node can take a pod: nodes have a taint {a: b} that is not in spec.tolerations; "
            "too little CPU is free for a request of 0"
        ),
    ),
}


@pytest.mark.parametrize(("broken", "reason", "message"), PODS.values(), ids=PODS)
def test_a_pod_that_does_not_serve_is_explained(broken: Manifest, reason: Reason, message: str) -> None:
    problem = diagnose(spec(), ROLLING, [broken], [], NOW)
    assert problem is not None
    assert problem.reason == reason
    assert message in problem.message
    assert "shop-5d8f" not in problem.message, "a message that differs by pod would be written again and again"


@pytest.mark.parametrize("broken", [broken for broken, _, _ in PODS.values()], ids=PODS)
def test_the_order_and_number_of_pods_change_nothing(broken: Manifest) -> None:
    other = {**broken, "metadata": {"name": "shop-7c4a"}}
    answers = [diagnose(spec(), ROLLING, pods, [], NOW) for pods in ([broken], [broken, other], [other, broken])]
    assert answers[0] == answers[1] == answers[2]


def test_the_number_of_nodes_is_no_news() -> None:
    before, after = (
        diagnose(spec(), ROLLING, [unschedulable(text)], [], NOW) for text in (NODES, NODES.replace("2 Ins", "7 Ins"))
    )
    assert before == after


def test_the_order_of_troubles_is_fixed() -> None:
    pods = [broken for broken, _, _ in PODS.values()]
    first, backwards = (diagnose(spec(), ROLLING, listed, [], NOW) for listed in (pods, reversed(pods)))
    assert first == backwards
    assert first is not None
    assert first.reason == Reason.IMAGE_RUNS_AS_ROOT


def test_pods_that_are_ready_or_going_are_not_looked_at() -> None:
    crashed = {"terminated": {"exitCode": 1}}
    pods = [
        pod(ready=True, state=RUNNING, last=crashed),
        pod(state=waiting("CrashLoopBackOff"), last=crashed, deletionTimestamp="2026-01-02T03:04:05Z"),
    ]
    assert diagnose(spec(), ROLLING, pods, [], NOW) is None


def ended(phase: str, reason: str | None, exit_code: int, why: str) -> Manifest:
    """A pod that is history, as the kubelet leaves it."""
    gone = pod(state={"terminated": {"exitCode": exit_code, "reason": why}})
    gone["status"] |= {"phase": phase} | ({"reason": reason} if reason else {})
    return gone


@pytest.mark.parametrize(
    "history",
    [
        ended("Failed", "Evicted", 0, "Completed"),
        ended("Failed", "Evicted", 137, "ContainerStatusUnknown"),
        ended("Failed", "Terminated", 143, "Error"),  # with its node, by a graceful shutdown
        ended("Failed", "NodeLost", 137, "ContainerStatusUnknown"),
        ended("Failed", None, 1, "Error"),
        ended("Succeeded", None, 0, "Completed"),
        {"metadata": {"name": "shop-5d8f"}, "status": {"phase": "Failed", "reason": "OutOfcpu"}},
    ],
    ids=lambda pod: str(pod["status"].get("reason", pod["status"]["phase"])),
)
def test_fault_50_pods_that_have_ended_say_nothing_of_those_that_run(history: Manifest) -> None:
    assert diagnose(spec(), ROLLING, [history], [], NOW) is None
    assert not event_reasons(spec(volumes=[{"name": "a", "configMap": {"name": "b"}}]), [history])
    assert diagnose(spec(), ROLLING, [history, pod(state=RUNNING)], [unhealthy(503, name="shop-gone")], NOW) is None


@pytest.mark.parametrize(
    ("codes", "reason", "message"),
    [
        ([404], Reason.READINESS_PATH_NOT_FOUND, "GET /ready on port 8000 answers 404: set spec.health.readinessPath"),
        ([503, 404], Reason.READINESS_PATH_NOT_FOUND, "answers 404"),
        ([503], Reason.READINESS_FAILING, "GET /ready on port 8000 answers 503 instead of 200"),
        ([503, 500], Reason.READINESS_FAILING, "answers 500"),
    ],
)
def test_the_answer_to_the_readiness_check_is_quoted(codes: list[int], reason: Reason, message: str) -> None:
    asked = spec(health={"readinessPath": "/ready"})
    problem = diagnose(asked, ROLLING, [pod(state=RUNNING)], [unhealthy(code) for code in codes], NOW)
    assert problem is not None
    assert (problem.reason, message in problem.message) == (reason, True)


def test_events_of_other_pods_and_probes_are_not_ours() -> None:
    events = [unhealthy(404, name="cart-1"), unhealthy(404, probe="Liveness"), {"message": "no such thing"}]
    assert diagnose(spec(), ROLLING, [pod(state=RUNNING)], events, NOW) is None


def test_pods_that_the_api_server_refuses_are_explained_without_the_pods_name() -> None:
    refused = deployment(progressing="ReplicaSetUpdated")
    quota = 'pods "shop-5d8f-x7k2p" is forbidden: exceeded quota: small'
    refused["status"]["conditions"].append({"type": "ReplicaFailure", "status": "True", "message": quota})
    expected = Problem(Reason.PODS_REJECTED, "the API server refuses the pods: forbidden: exceeded quota: small")
    assert diagnose(spec(), refused, [], [], NOW) == expected


def paused(**state: Any) -> Manifest:
    """A Deployment after `kubectl rollout pause`, as its controller reports it."""
    live = deployment(progressing="DeploymentPaused", **state)
    live["spec"]["paused"] = True
    live["status"]["conditions"][0]["status"] = "Unknown"
    return live


def test_fault_54_a_paused_deployment_is_reported_with_the_command_that_resumes_it() -> None:
    expected = Problem(
        Reason.PAUSED,
        "the Deployment is paused, so the latest generation is not rolled out: run kubectl rollout resume "
        "deployment/shop --namespace default",
    )
    assert diagnose(spec(), paused(updated=0), [], [], NOW) == expected
    crashed = pod(state=waiting("CrashLoopBackOff"), last={"terminated": {"exitCode": 1}})
    assert diagnose(spec(), paused(updated=1), [crashed], [], NOW) == expected, "what would cure it waits, too"
    assert diagnose(spec(), paused(), [], [], NOW) is None, "nothing waits"


def test_fault_09_a_rollout_that_takes_too_long_is_said_only_when_nothing_better_is_known() -> None:
    late = deployment(progressing="ProgressDeadlineExceeded")
    problem = diagnose(spec(), late, [pod(state=RUNNING)], [], NOW)
    assert problem is not None
    assert problem.reason == Reason.PROGRESS_DEADLINE_EXCEEDED
    problem = diagnose(spec(), late, [pod(state=waiting("ErrImagePull"))], [], NOW)
    assert problem is not None
    assert problem.reason == Reason.IMAGE_PULL_FAILED


@pytest.mark.parametrize("status", [{}, {"containerStatuses": None}, {"containerStatuses": []}, {"conditions": None}])
def test_a_pod_that_was_just_made_is_no_problem(status: Manifest) -> None:
    young = {"metadata": {"name": "shop-5d8f"}, "status": status}
    assert diagnose(spec(), ROLLING, [young], [], NOW) is None
    assert not event_reasons(spec(), [young])


CREATING = pod(state=waiting("ContainerCreating"))


def test_events_are_listed_only_where_they_can_explain_more() -> None:
    files = spec(volumes=[{"name": "a", "configMap": {"name": "settings"}}])
    assert event_reasons(spec(), [pod(state=RUNNING)]) == ["Unhealthy"]
    assert event_reasons(files, [CREATING, pod(state=RUNNING)]) == ["Unhealthy", "FailedMount"]
    assert not event_reasons(spec(volumes=[{"name": "a", "emptyDir": {}}]), [CREATING])
    assert not event_reasons(files, [pod(state=RUNNING, ready=True), pod(state=waiting("ErrImagePull"))])


def failed_mount(cause: str, name: str = "shop-5d8f") -> Manifest:
    message = f'MountVolume.SetUp failed for volume "settings" : {cause}'
    return {"involvedObject": {"kind": "Pod", "name": name}, "reason": "FailedMount", "message": message}


@pytest.mark.parametrize(
    ("cause", "reported"),
    [
        ('configmap "settings" not found', 'configmap "settings" not found'),
        ('secret "shop-keys" not found', 'secret "shop-keys" not found'),
        ("configmap references non-existent config key: a.toml", "references non-existent config key: a.toml"),
        ("references non-existent secret key: tls.key", "references non-existent secret key: tls.key"),
        ("failed to sync configmap cache: timed out waiting for the condition", None),
    ],
)
def test_what_is_missing_for_a_volume_is_reported_from_the_events_of_its_pod(cause: str, reported: str | None) -> None:
    expected = reported and Problem(Reason.CONTAINER_CONFIG_ERROR, f"a volume cannot be mounted: {reported}")
    assert diagnose(spec(), ROLLING, [CREATING], [failed_mount(cause)], NOW) == expected
    assert diagnose(spec(), ROLLING, [CREATING], [failed_mount(cause, name="cart-1")], NOW) is None
    assert diagnose(spec(), ROLLING, [pod(state=RUNNING)], [failed_mount(cause)], NOW) is None, "an event of before"


def test_nothing_is_wrong_without_a_deployment() -> None:
    assert diagnose(spec(), None, [], [], NOW) is None
