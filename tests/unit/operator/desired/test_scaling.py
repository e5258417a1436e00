"""The autoscaler: what it looks at, and how fast it follows."""

from typing import Any

import pytest

from hca_operator.core.names import Manifest
from hca_operator.desired.scaling import autoscaler
from hca_operator.desired.sizing import size
from tests.unit.operator.objects import api_object

CPU: Manifest = {"name": "cpu", "type": "CPU", "cpu": {}}
RATE: Manifest = {"name": "rps", "type": "RequestsPerSecond", "requestsPerSecond": {"targetPerPod": 50}}


def built(**fields: Any) -> Manifest:
    made = api_object(**fields)
    found = autoscaler(made, size(made.spec))
    assert found is not None
    spec: Manifest = found["spec"]
    return spec


@pytest.mark.parametrize("kind", ["CPU", "Memory"])
def test_fault_61_what_stands_beside_the_api_in_its_pods_is_not_counted(kind: str) -> None:
    (metric,) = built(autoscaling={"metrics": [{"name": "m", "type": kind, kind.lower(): {}}]})["metrics"]
    target = {"type": "Utilization", "averageUtilization": 70}
    resource = {"name": kind.lower(), "container": "api", "target": target}
    assert metric == {"type": "ContainerResource", "containerResource": resource}


@pytest.mark.parametrize(
    ("fields", "seconds"),
    [
        ({}, 120),
        ({"health": {"startupTimeout": "5m"}}, 360),
        ({"health": {"startupTimeout": "1h"}}, 3600),
        ({"autoscaling": {"metrics": [RATE, CPU]}}, 120),
        ({"autoscaling": {"metrics": [RATE]}}, None),
        ({"autoscaling": {"behavior": {"scaleUp": {"stabilizationWindowSeconds": 0}}}}, 0),
        ({"autoscaling": {"behavior": {"scaleUp": {"selectPolicy": "Min"}}}}, 120),
    ],
)
def test_fault_61_the_cpu_of_pods_that_start_adds_none(fields: dict[str, Any], seconds: int | None) -> None:
    found = built(**fields).get("behavior", {}).get("scaleUp", {})
    assert found.get("stabilizationWindowSeconds") == seconds


def recommended(seconds: int, burning: list[range], pods: int) -> int:
    """What the autoscaler comes to at a time: pods that start use ten times what they request, the target is 70 %."""
    used = sum(1000 for each in burning if seconds in each)
    return max(pods, -(-used // 70)) if used > 77 * pods else pods


def most_pods(window: int) -> int:
    """The most pods within half an hour after a rollout of two, as `HorizontalPodAutoscaler` counts them, of 2 to 8.

    A pod warms up for 60 s, and its samples tell of it from 15 s after its start until 90 s after it.
    """
    pods, burning, recommendations = 2, [range(15, 90), range(25, 100)], [(0, 2)]
    for now in range(15, 1800, 15):
        recommendations.append((now, recommended(burning=burning, seconds=now, pods=pods)))
        lowest = min(count for at, count in recommendations if now - window <= at <= now)
        wanted = min(8, max(pods, min(lowest, max(2 * pods, pods + 4))))
        burning += [range(now + 15, now + 90)] * (wanted - pods)
        pods = wanted
    return pods


def test_fault_61_a_rollout_of_pods_that_warm_up_for_a_minute_multiplies_none() -> None:
    assert most_pods(window=0) == 8, "the speed of Kubernetes"
    assert most_pods(window=built()["behavior"]["scaleUp"]["stabilizationWindowSeconds"]) == 2
