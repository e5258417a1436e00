"""What an object comes to in an install, before anything is read."""

from typing import Any

import pytest

from hca_operator.api.fleet_policy import NO_POLICY, parse_policy
from hca_operator.api.status import Reason
from hca_operator.reconcile.resolve import DEFAULT_CAPABILITIES, Capabilities, Refused, Resolved, resolve
from hca_operator.scaling.capabilities import OFF, ExternalMetrics
from tests.unit.operator.objects import manifest

RATE = {"name": "rps", "type": "RequestsPerSecond", "requestsPerSecond": {"targetPerPod": "50"}}
QUERIED = Capabilities(ExternalMetrics(queries=True))
QUERY = {"name": "q", "type": "Prometheus", "prometheus": {"query": "sum(q", "targetPerPod": 1}}


@pytest.mark.parametrize(
    ("fields", "policy", "reason", "parsed", "sized"),
    [
        ({"port": 0}, "{}", Reason.INVALID_SPEC, False, False),
        ({}, "limits: {maxReplicas: 5}", Reason.LIMIT_EXCEEDED, False, False),
        ({"workers": {"count": 64}}, "{}", Reason.INVALID_SPEC, True, False),
        ({"restartSchedule": {"cron": "0 0 31 2 *"}}, "{}", Reason.INVALID_SPEC, True, True),
        ({"autoscaling": {"metrics": [QUERY]}}, "{}", Reason.INVALID_SPEC, True, True),
    ],
)
def test_a_refused_object_keeps_what_could_be_computed_for_its_status(
    fields: dict[str, Any], policy: str, reason: Reason, *, parsed: bool, sized: bool
) -> None:
    refused = resolve(manifest(**fields), parse_policy(policy, "policy"), QUERIED)
    assert isinstance(refused, Refused)
    assert (refused.problem.reason, refused.api is not None, refused.sizing is not None) == (reason, parsed, sized)


def test_the_object_stays_as_written_and_its_children_have_the_metrics_of_the_install() -> None:
    stored = manifest(autoscaling={"metrics": [RATE], "burst": {"mode": "Enabled"}})
    capabilities = Capabilities(ExternalMetrics(OFF))
    found = resolve(stored, NO_POLICY, capabilities)
    assert isinstance(found, Resolved)
    assert [metric.name for metric in found.api.spec.autoscaling.metrics] == ["rps"]
    autoscaler = next(child.manifest for child in found.children if child.kind == "HorizontalPodAutoscaler")
    assert autoscaler is not None
    assert [metric["type"] for metric in autoscaler["spec"]["metrics"]] == ["ContainerResource"]
    assert found.burst is None, "no load is measured here"
    assert [entry.field for entry in found.unsupported] == [
        "spec.autoscaling.metrics[rps]", "spec.autoscaling.burst",
    ]  # fmt: skip
    assert found == resolve(stored, NO_POLICY, capabilities)


def test_a_query_is_not_parsed_where_none_is_asked() -> None:
    assert isinstance(resolve(manifest(autoscaling={"metrics": [QUERY]}), NO_POLICY, DEFAULT_CAPABILITIES), Resolved)
