"""The fields of a status beside its conditions, and what the messages of its conditions say."""

from typing import Any

import pytest

from hca_operator.core.names import Manifest
from hca_operator.core.observed import condition
from hca_operator.restarts.requested import Restarts
from hca_operator.status.conditions import RolloutState, next_status
from hca_operator.status.diagnosis import diagnose
from tests.unit.operator.objects import api_object, deployment
from tests.unit.operator.status.observations import LATER, NOW, seen


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
    status = next_status(seen(spec=spec, rollout=RolloutState(waits=True)), NOW)
    message = condition({"status": status}, "Ready")["message"]
    assert message.startswith("all pods run the latest generation; CPURoundedDown: ")
    assert "; RolloutWaits: " in message
