"""From what is seen of an object and its children to the status and the reason of each condition."""

from dataclasses import replace

import pytest

from hca_operator.api.status import Problem, Reason
from hca_operator.scaling.floors import Floor, Source
from hca_operator.status.conditions import Observation, Problems, next_status
from tests.unit.operator.objects import deployment
from tests.unit.operator.status.observations import NOW, conditions, seen

BLIND = {
    "status": {"conditions": [{"type": "ScalingActive", "status": "False", "reason": "FailedGetExternalMetric"}]},
}

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
        seen(deployment=PAUSED_EARLY, problems=Problems(pods=Problem(Reason.PAUSED, "kubectl rollout resume"))),
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
        seen(deployment=ROLLING, problems=Problems(pods=PASSING)),
        {
            "Available": ("True", "PodsAvailable"),
            "Ready": ("False", "ImagePullFailed"),
            "Reconciling": ("True", "ImagePullFailed"),
            "Stalled": ("False", "NoProblem"),
        },
    ),
    "a rollout that cannot succeed": (
        seen(deployment=ROLLING, problems=Problems(pods=STUCK)),
        {
            "Available": ("True", "PodsAvailable"),
            "Ready": ("False", "ImageRunsAsRoot"),
            "Reconciling": ("False", "ImageRunsAsRoot"),
            "Stalled": ("True", "ImageRunsAsRoot"),
        },
    ),
    "invalid while the last good one serves": (
        seen(api=None, sizing=None, problems=Problems(blocked=Problem(Reason.INVALID_SPEC, "spec.port: too large"))),
        {
            "Available": ("True", "PodsAvailable"),
            "Ready": ("False", "InvalidSpec"),
            "Reconciling": ("False", "InvalidSpec"),
            "Stalled": ("True", "InvalidSpec"),
            "TrafficReady": ("Unknown", "InvalidSpec"),
        },
    ),
    "a conflict": (
        seen(problems=Problems(blocked=CONFLICT)),
        {
            "Available": ("True", "PodsAvailable"),
            "Ready": ("False", "ResourceConflict"),
            "Stalled": ("True", "ResourceConflict"),
        },
    ),
    "not allowed": (
        seen(problems=Problems(blocked=Problem(Reason.FORBIDDEN, "services is forbidden"))),
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


def test_fault_71_what_is_not_applied_is_not_reported_as_applied() -> None:
    routes = {"traffic": {"routes": [{"host": "new.example.com"}]}, "autoscaling": {"mode": "Disabled"}}
    before = next_status(seen(spec={"traffic": {"routes": [{"host": "shop.example.com"}]}}), NOW)
    paused = seen(spec={**routes, "reconciliation": "Paused"}, previous=before)
    assert conditions(paused)["TrafficReady"] == ("Unknown", "Paused")
    assert conditions(paused)["ScalingActive"] == ("True", "ScalingActive"), "of the autoscaler that is still there"
    assert conditions(replace(paused, autoscaler=None))["ScalingActive"] == ("Unknown", "Paused")
    refused = replace(
        seen(spec=routes, previous=before), restarts=None, autoscaler=None,
        problems=Problems(blocked=STUCK, scaling=STUCK, traffic=STUCK),
    )  # fmt: skip
    assert conditions(refused)["ScalingActive"] == ("Unknown", "ImageRunsAsRoot")
    for observation in (paused, refused):
        assert next_status(observation, NOW)["url"] == before["url"] == "http://shop.example.com/"
