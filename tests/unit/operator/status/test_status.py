from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hca_operator.api.status import STALLING, ConditionType, Problem, Reason
from hca_operator.core.names import Manifest
from hca_operator.core.observed import condition
from hca_operator.desired.sizing import size
from hca_operator.restarts.requested import Restarts
from hca_operator.scaling.floors import Floor, Source
from hca_operator.status.conditions import Observation, next_status
from hca_operator.status.diagnosis import diagnose
from tests.unit.operator.objects import api_object, deployment

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
AUTOSCALER = {"status": {"conditions": [{"type": "ScalingActive", "status": "True", "reason": "ValidMetricFound"}]}}

BLIND = {
    "status": {"conditions": [{"type": "ScalingActive", "status": "False", "reason": "FailedGetExternalMetric"}]},
}


def seen(*, spec: dict[str, Any] | None = None, **facts: Any) -> Observation:
    """An API that is rolled out and serves, but for these facts."""
    api = api_object(**(spec or {}))
    usual: dict[str, Any] = {
        "generation": 1,
        "previous": {},
        "api": api,
        "sizing": size(api.spec),
        "deployment": deployment(),
        "rolls": False,
        "autoscaler": AUTOSCALER,
        "blocked": None,
        "pod_problem": None,
        "restarts": Restarts(),
    }
    return Observation(**usual | facts)


def conditions(observation: Observation) -> dict[str, tuple[str, str]]:
    stored = next_status(observation, NOW)["conditions"]
    return {entry["type"]: (entry["status"], entry["reason"]) for entry in stored}


ROLLING = deployment(progressing="ReplicaSetUpdated")
PAUSED = deployment(progressing="DeploymentPaused") | {"spec": {"replicas": 2, "paused": True}}
PAUSED_EARLY = deployment(progressing="DeploymentPaused", updated=0) | {"spec": PAUSED["spec"]}
STUCK = Problem(Reason.IMAGE_RUNS_AS_ROOT, "the image runs as root")
PASSING = Problem(Reason.IMAGE_PULL_FAILED, "no such image")
CONFLICT = Problem(Reason.RESOURCE_CONFLICT, "Service shop exists")

CASES: dict[str, tuple[Observation, dict[str, tuple[str, str]]]] = {
    "serving": (
        seen(),
        {
            "Available": ("True", "PodsAvailable"),
            "Ready": ("True", "RolledOut"),
            "Reconciling": ("False", "RolledOut"),
            "Stalled": ("False", "NoProblem"),
            "ScalingActive": ("True", "ScalingActive"),
            "TrafficReady": ("True", "NotRequested"),
        },
    ),
    "first sight": (
        seen(deployment=None, autoscaler=None),
        {
            "Available": ("False", "NoPodsAvailable"),
            "Ready": ("False", "RollingOut"),
            "Reconciling": ("True", "RollingOut"),
            "Stalled": ("False", "NoProblem"),
            "ScalingActive": ("Unknown", "AutoscalerPending"),
        },
    ),
    "rolling": (
        seen(deployment=ROLLING),
        {
            "Available": ("True", "PodsAvailable"),
            "Ready": ("False", "RollingOut"),
            "Reconciling": ("True", "RollingOut"),
        },
    ),
    "the controller has not seen the latest template": (
        seen(deployment=deployment(observed=0)),
        {"Ready": ("False", "RollingOut"), "Reconciling": ("True", "RollingOut")},
    ),
    "the autoscaler adds pods": (
        seen(deployment=deployment(replicas=6, available=2)),
        {"Ready": ("True", "RolledOut"), "Reconciling": ("False", "RolledOut")},
    ),
    "the autoscaler removes pods": (
        seen(deployment=deployment(replicas=2, available=5)),
        {"Ready": ("True", "RolledOut"), "Reconciling": ("False", "RolledOut")},
    ),
    "every pod was lost": (
        seen(deployment=deployment(available=0)),
        {"Available": ("False", "NoPodsAvailable"), "Ready": ("False", "NoPodsAvailable")},
    ),
    "paused by kubectl, with nothing to roll out": (
        seen(deployment=PAUSED),
        {"Ready": ("True", "RolledOut")},
    ),
    "paused by kubectl, with a change": (
        seen(deployment=PAUSED_EARLY, pod_problem=Problem(Reason.PAUSED, "kubectl rollout resume")),
        {
            "Available": ("True", "PodsAvailable"),
            "Ready": ("False", "Paused"),
            "Reconciling": ("False", "Paused"),
            "Stalled": ("True", "Paused"),
        },
    ),
    "paused by kubectl, while the autoscaler adds pods": (
        seen(deployment=deployment(replicas=4, available=2, progressing="DeploymentPaused") | {"spec": PAUSED["spec"]}),
        {"Ready": ("True", "RolledOut")},
    ),
    "scaled to zero": (
        seen(
            spec={"autoscaling": {"mode": "Disabled"}, "replicas": 0},
            deployment=deployment(replicas=0, available=0),
            autoscaler=None,
        ),
        {
            "Available": ("False", "ScaledToZero"),
            "Ready": ("True", "RolledOut"),
            "ScalingActive": ("False", "AutoscalingDisabled"),
        },
    ),
    "a rollout that may yet succeed": (
        seen(deployment=ROLLING, pod_problem=PASSING),
        {
            "Available": ("True", "PodsAvailable"),
            "Ready": ("False", "ImagePullFailed"),
            "Reconciling": ("True", "ImagePullFailed"),
            "Stalled": ("False", "NoProblem"),
        },
    ),
    "a rollout that cannot succeed": (
        seen(deployment=ROLLING, pod_problem=STUCK),
        {
            "Available": ("True", "PodsAvailable"),
            "Ready": ("False", "ImageRunsAsRoot"),
            "Reconciling": ("False", "ImageRunsAsRoot"),
            "Stalled": ("True", "ImageRunsAsRoot"),
        },
    ),
    "invalid while the last good one serves": (
        seen(api=None, sizing=None, blocked=Problem(Reason.INVALID_SPEC, "spec.port: too large")),
        {
            "Available": ("True", "PodsAvailable"),
            "Ready": ("False", "InvalidSpec"),
            "Reconciling": ("False", "InvalidSpec"),
            "Stalled": ("True", "InvalidSpec"),
            "TrafficReady": ("Unknown", "InvalidSpec"),
        },
    ),
    "a conflict": (
        seen(blocked=CONFLICT),
        {
            "Available": ("True", "PodsAvailable"),
            "Ready": ("False", "ResourceConflict"),
            "Stalled": ("True", "ResourceConflict"),
        },
    ),
    "not allowed": (
        seen(blocked=Problem(Reason.FORBIDDEN, "services is forbidden")),
        {"Ready": ("False", "Forbidden"), "Reconciling": ("True", "Forbidden"), "Stalled": ("False", "NoProblem")},
    ),
    "paused": (
        seen(spec={"reconciliation": "Paused"}),
        {"Available": ("True", "PodsAvailable"), "Ready": ("Unknown", "Paused"), "Reconciling": ("False", "Paused")},
    ),
    "no metrics": (
        seen(autoscaler={"status": {"conditions": [{"type": "ScalingActive", "status": "False", "reason": "Failed"}]}}),
        {
            "Available": ("True", "PodsAvailable"),
            "Ready": ("True", "RolledOut"),
            "ScalingActive": ("False", "AutoscalerFailing"),
        },
    ),
    "no metrics of its own": (
        seen(autoscaler=BLIND),
        {"Ready": ("True", "RolledOut"), "ScalingActive": ("False", "ApiMetricsUnavailable")},
    ),
    "fallback": (
        seen(autoscaler=BLIND, floors=[Floor(Source.FALLBACK, 6)]),
        {"Ready": ("True", "RolledOut"), "ScalingActive": ("False", "FallbackInForce")},
    ),
    "fallback that is about to end": (
        seen(floors=[Floor(Source.FALLBACK, 6)]),
        {"ScalingActive": ("True", "FallbackInForce")},
    ),
    "no pods for the autoscaler": (
        seen(
            autoscaler={
                "status": {
                    "conditions": [{"type": "ScalingActive", "status": "False", "reason": "ScalingDisabled"}],
                },
            },
        ),
        {"ScalingActive": ("False", "ScaledToZero")},
    ),
    "routes": (
        seen(spec={"traffic": {"routes": [{"host": "shop.example.com"}]}}),
        {"TrafficReady": ("True", "RoutesApplied")},
    ),
}


@pytest.mark.parametrize(("observation", "expected"), CASES.values(), ids=CASES)
def test_what_is_seen_is_what_the_conditions_say(
    observation: Observation, expected: dict[str, tuple[str, str]]
) -> None:
    found = conditions(observation)
    assert {kind: found[kind] for kind in expected} == expected


def is_ready(status: Manifest) -> bool:
    """Whether a status says that the latest generation is rolled out."""
    return bool(condition({"status": status}, "Ready").get("status") == "True")


problems = st.none() | st.builds(Problem, st.sampled_from(list(Reason)), st.text(max_size=3000))
deployments = st.none() | st.builds(
    deployment,
    replicas=st.integers(0, 3),
    available=st.integers(0, 3),
    observed=st.integers(0, 1),
    progressing=st.sampled_from(["NewReplicaSetAvailable", "ReplicaSetUpdated", "ProgressDeadlineExceeded"]),
)
specs = st.sampled_from(
    [
        {},
        {"autoscaling": {"mode": "Disabled"}},
        {"reconciliation": "Paused"},
        {"traffic": {"routes": [{"host": "a.b"}]}},
    ]
)
observations = st.builds(
    seen,
    spec=specs,
    generation=st.integers(1, 5),
    deployment=deployments,
    autoscaler=st.sampled_from([None, {}, AUTOSCALER, {"status": {"conditions": None}}]),
    blocked=problems,
    pod_problem=problems,
) | st.builds(
    seen,
    api=st.none(),
    sizing=st.none(),
    deployment=deployments,
    blocked=st.just(Problem(Reason.INVALID_SPEC, "spec.port: too large")),
)


@given(observations)
def test_every_condition_is_there_for_this_generation_with_a_reason_of_the_list(observation: Observation) -> None:
    status = next_status(observation, NOW)
    assert [entry["type"] for entry in status["conditions"]] == list(ConditionType)
    assert status["observedGeneration"] == observation.generation
    for entry in status["conditions"]:
        assert entry["observedGeneration"] == observation.generation
        assert entry["reason"] in list(Reason)
        assert entry["status"] in {"True", "False", "Unknown"}
        assert len(entry["message"]) <= 2048


@given(observations)
def test_stalled_is_only_what_a_retry_cannot_cure_and_never_beside_ready_or_reconciling(seen: Observation) -> None:
    found = conditions(seen)
    if found["Stalled"][0] == "True":
        assert found["Stalled"][1] in STALLING
        assert found["Reconciling"][0] == "False"
        assert found["Ready"][0] == "False"
    if found["Ready"][0] == "True":
        assert found["Reconciling"][0] == "False"
    if found["Ready"][0] == "False":
        assert "True" in {found["Stalled"][0], found["Reconciling"][0]}, "kstatus would call it current"


@given(observations)
def test_ready_needs_the_latest_template_rolled_out(observation: Observation) -> None:
    status = next_status(observation, NOW)
    live = observation.deployment
    if is_ready(status):
        assert live is not None
        assert live["status"]["observedGeneration"] == live["metadata"]["generation"]
        assert condition(live, "Progressing")["reason"] == "NewReplicaSetAvailable"
        assert observation.blocked is None


def test_a_template_that_changes_while_the_autoscaler_acts_is_not_called_rolled_out() -> None:
    """The Deployment's controller then reports the new generation, and the last rollout's reason, before it starts."""
    assert not is_ready(next_status(seen(deployment=deployment(replicas=3, available=3, updated=0)), NOW))


def test_a_count_that_the_controller_has_not_seen_yet_is_no_rollout() -> None:
    ready = next_status(seen(), NOW)
    scaled = seen(deployment=deployment(observed=0), previous=ready)
    assert is_ready(next_status(scaled, LATER))
    assert not is_ready(next_status(replace(scaled, rolls=True), LATER)), "a template of ours is one"
    assert not is_ready(next_status(replace(scaled, generation=2), LATER)), "what was said of another generation"
    assert not is_ready(next_status(replace(scaled, previous={}), LATER))


@given(observations, observations)
def test_transition_times_move_only_when_a_status_flips(before: Observation, after: Observation) -> None:
    first = next_status(before, NOW)
    second = next_status(replace(after, previous=first), LATER)
    for old, new in zip(first["conditions"], second["conditions"], strict=True):
        moved = new["lastTransitionTime"] != old["lastTransitionTime"]
        assert moved == (new["status"] != old["status"])


@given(observations)
def test_nothing_changes_unless_something_changed(observation: Observation) -> None:
    first = next_status(observation, NOW)
    assert next_status(replace(observation, previous=first), LATER) == first


@pytest.mark.parametrize(
    "stored",
    [
        {"conditions": None},
        {"conditions": [{"type": "Ready", "status": "True"}]},
        {"conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-02T03:04:05+99:99"}]},
        {"conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "9999-12-31T23:59:59Z"}]},
        {"conditions": [{"type": "Other", "status": "True", "lastTransitionTime": "x"}], "observedGeneration": 7},
    ],
    ids=str,
)
def test_a_status_written_by_others_is_replaced_by_a_right_one(stored: Manifest) -> None:
    status = next_status(seen(previous=stored), NOW)
    assert status == next_status(seen(), NOW)


def test_fault_71_what_is_not_applied_is_not_reported_as_applied() -> None:
    routes = {"traffic": {"routes": [{"host": "new.example.com"}]}, "autoscaling": {"mode": "Disabled"}}
    before = next_status(seen(spec={"traffic": {"routes": [{"host": "shop.example.com"}]}}), NOW)
    paused = seen(spec={**routes, "reconciliation": "Paused"}, previous=before)
    assert conditions(paused)["TrafficReady"] == ("Unknown", "Paused")
    assert conditions(paused)["ScalingActive"] == ("True", "ScalingActive"), "of the autoscaler that is still there"
    assert conditions(replace(paused, autoscaler=None))["ScalingActive"] == ("Unknown", "Paused")
    refused = replace(
        seen(spec=routes, previous=before), restarts=None, blocked=STUCK, scaling_problem=STUCK, traffic_problem=STUCK,
        autoscaler=None,
    )  # fmt: skip
    assert conditions(refused)["ScalingActive"] == ("Unknown", "ImageRunsAsRoot")
    for observation in (paused, refused):
        assert next_status(observation, NOW)["url"] == before["url"] == "http://shop.example.com/"


@pytest.mark.parametrize("available", [0, 2])
def test_fault_71_old_pods_are_said_to_serve_only_if_they_do(available: int) -> None:
    late = deployment(available=available, updated=1, progressing="ProgressDeadlineExceeded")
    problem = diagnose(api_object().spec, late, [], [], NOW)
    assert problem is not None
    assert ("old ones keep serving" in problem.message) == bool(available)


def test_a_part_of_a_cpu_that_gives_no_worker_is_said() -> None:
    spec = {"resources": {"limits": {"cpu": "1500m"}}}
    ready = condition({"status": next_status(seen(spec=spec), NOW)}, "Ready")
    assert ready["message"].endswith(
        "CPURoundedDown: 1500m CPU gives 1 worker(s), a whole number of CPUs leaves none idle"
    )


@pytest.mark.parametrize(
    ("spec", "url"),
    [
        ({}, "http://shop.default.svc"),
        ({"service": {"port": 8080}}, "http://shop.default.svc:8080"),
        ({"traffic": {"routes": [{"host": "a.example.com"}]}}, "http://a.example.com/"),
        ({"traffic": {"routes": [{"host": "a.example.com", "path": "/v1", "tls": {"secretName": "t"}}]}}, "https://a.example.com/v1"),
    ],
)  # fmt: skip
def test_the_url_is_where_the_api_answers(spec: dict[str, Any], url: str) -> None:
    assert next_status(seen(spec=spec), NOW)["url"] == url


def test_numbers_are_those_of_the_deployment() -> None:
    status = next_status(seen(deployment=deployment(replicas=5, available=3)), NOW)
    shown = ("replicas", "readyReplicas", "desiredReplicas", "revision", "workersPerPod", "selector")
    selector = "hca-operator.io/api=shop,hca-operator.io/track=stable"
    assert [status[name] for name in shown] == [5, 3, 5, "3", 1, selector]


def test_a_held_count_is_said() -> None:
    status = next_status(seen(spec={"autoscaling": {"hold": "ScaleDown"}}), NOW)
    assert condition({"status": status}, "ScalingActive")["message"].endswith("; autoscaling.hold is ScaleDown")


@pytest.mark.parametrize(
    ("autoscaling", "reported"),
    [
        ({}, False),
        ({"schedules": [{"name": "day", "cron": "0 3 * * *", "duration": "2h", "minReplicas": 4}]}, True),
        ({"fallback": {"replicas": 6}}, True),
    ],
)
def test_what_a_paused_object_does_not_carry_out_is_reported(autoscaling: dict[str, Any], *, reported: bool) -> None:
    status = next_status(seen(spec={"reconciliation": "Paused", "autoscaling": autoscaling}), NOW)
    message = condition({"status": status}, "ScalingActive")["message"]
    assert ("Paused, so autoscaling.schedules, fallback and burst change nothing" in message) == reported


@pytest.mark.parametrize(
    ("restarts", "reason", "message"),
    [
        (Restarts(), "NoRestartDue", "no restart is requested"),
        (
            Restarts(due="2026-01-02T03:00:00Z", requested=True),
            "RestartPending",
            "a restart is due and starts once spec.reconciliation is Active",
        ),
        (
            Restarts(next_at=LATER),
            "RestartPending",
            "the next restart is due at 2026-01-02T04:04:05Z, unless spec.reconciliation is still Paused then",
        ),
    ],
)
def test_no_restart_is_promised_while_an_object_is_paused(restarts: Restarts, reason: str, message: str) -> None:
    status = next_status(seen(spec={"reconciliation": "Paused"}, restarts=restarts), NOW)
    rollout = condition({"status": status}, "RolloutHealthy")
    assert (rollout["reason"], rollout["message"]) == (reason, message)


@pytest.mark.parametrize(
    ("container", "field"), [("api", "set spec.resources.requests.cpu"), ("istio-proxy", "set its resources.requests")]
)
def test_fault_55_a_container_without_a_request_is_named(container: str, field: str) -> None:
    said = f"failed to get cpu utilization: missing request for cpu in container {container} of Pod shop-5d8f"
    blind = {"type": "ScalingActive", "status": "False", "reason": "FailedGetResourceMetric", "message": said}
    status = next_status(seen(autoscaler={"status": {"conditions": [blind]}}), NOW)
    scaling = condition({"status": status}, "ScalingActive")
    assert scaling["reason"] == "AutoscalerFailing"
    assert scaling["message"] == (
        f"the HorizontalPodAutoscaler cannot set the number of pods: container {container} requests no cpu, so there "
        f"is no utilization: {field}"
    )


RATE = {"metrics": [{"name": "rps", "type": "RequestsPerSecond", "requestsPerSecond": {"targetPerPod": "50"}}]}


@pytest.mark.parametrize(
    ("route", "monitoring", "public"),
    [
        ({}, {}, True),
        ({"path": "/internal"}, {"path": "/internal/metrics"}, True),
        ({"path": "/internal/"}, {"path": "/internal/metrics"}, True),
        ({"path": "/metrics", "pathType": "Exact"}, {}, True),
        ({"path": "/", "pathType": "Exact"}, {}, False),
        ({"path": "/internal"}, {"path": "/internalmetrics"}, False),
        ({"path": "/v1"}, {}, False),
        ({}, {"port": 8000}, True),
        ({}, {"port": 9090}, False),
        ({}, {"source": "Ingress"}, False),
    ],
)
def test_metrics_that_a_route_leads_to_are_said_to_be_public(
    route: Manifest, monitoring: Manifest, public: bool
) -> None:
    routes = {"traffic": {"routes": [{"host": "shop.example.com", **route}]}}

    def said(**scaling: Any) -> str:
        status = next_status(seen(spec={**routes, "monitoring": monitoring, **scaling}), NOW)
        return str(condition({"status": status}, "TrafficReady")["message"])

    assert ("MetricsPublic" in said(autoscaling=RATE)) == public
    assert "MetricsPublic" not in said(), "whether it has metrics at all is not known"


def test_a_rollout_that_waits_is_said_beside_a_rounded_cpu() -> None:
    spec = {"resources": {"limits": {"cpu": "1500m", "memory": "1Gi"}}}
    message = condition({"status": next_status(seen(spec=spec, rollout_waits=True), NOW)}, "Ready")["message"]
    assert message.startswith("all pods run the latest generation; CPURoundedDown: ")
    assert "; RolloutWaits: " in message
