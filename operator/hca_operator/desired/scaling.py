"""The HorizontalPodAutoscaler."""

from decimal import Decimal
from typing import NamedTuple

from hca_operator.api.metric_types import (
    CONCURRENCY,
    CPU,
    EVENT_LOOP_LAG,
    LATENCY,
    METRIC_TYPES,
    PROMETHEUS,
    REQUESTS_PER_SECOND,
    Aggregation,
)
from hca_operator.api.metrics import EXTERNAL, Metric, seconds
from hca_operator.api.scaling import LONGEST_STABILIZATION, Autoscaling
from hca_operator.api.spec import ApiObject
from hca_operator.core.names import CONTAINER, METRIC_LABEL, Manifest
from hca_operator.core.quantities import decimal_text, parse_quantity
from hca_operator.desired.metadata import api_selector, child_metadata
from hca_operator.desired.sizing import Sizing

_HELD = {"None": (), "ScaleUp": ("scaleUp",), "ScaleDown": ("scaleDown",), "Both": ("scaleUp", "scaleDown")}
_COMPOUNDING = {metric.name for metric in METRIC_TYPES if metric.aggregation is not Aggregation.SUM}
"""Types that the HPA compares directly: every 15 s it multiplies the ready pods by the ratio of value to target,
although the value still includes the time before the last pods became ready."""
_STEP_UP: Manifest = {
    "policies": [
        {"type": "Percent", "value": 50, "periodSeconds": 60},
        {"type": "Pods", "value": 2, "periodSeconds": 60},
    ]
}
"""The larger of the two within a minute: a small API gets to double its size, a large one is not sent to its maximum by
one slow minute."""
_SETTLING_SECONDS = 60
"""Beyond spec.health.startupTimeout, until the CPU of pods that have just started tells of load: samples of
metrics-server are up to half a minute old, and the autoscaler looks each quarter."""


class PodLoad(NamedTuple):
    """An external metric that is a total of the API, and how much of it one pod is to take."""

    metric: str
    target: Decimal


def pod_load(metric: Metric, sizing: Sizing) -> PodLoad | None:
    """The load of a metric, None if the metric is not a total of the API."""
    if metric.requests_per_second is not None:
        return PodLoad(REQUESTS_PER_SECOND.external, parse_quantity(metric.requests_per_second.target_per_pod))
    if metric.concurrency is not None:
        return PodLoad(CONCURRENCY.external, Decimal(metric.concurrency.target_per_worker * sizing.workers))
    return None


def autoscaling_wanted(api: ApiObject) -> bool:
    """Whether a HorizontalPodAutoscaler owns the number of pods."""
    return api.spec.autoscaling.mode == "Horizontal"


def fewest_pods(api: ApiObject) -> int:
    """The number of pods that the object asks for at least, not counting pods that the HPA adds."""
    return api.spec.autoscaling.min_replicas if autoscaling_wanted(api) else api.spec.replicas


def autoscaler(api: ApiObject, sizing: Sizing) -> Manifest | None:
    """The HorizontalPodAutoscaler of the stable track; None if spec.replicas decides the number of pods."""
    if not autoscaling_wanted(api):
        return None
    scaling = api.spec.autoscaling
    spec: Manifest = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": api.name},
        "minReplicas": scaling.min_replicas,
        "maxReplicas": scaling.max_replicas,
        "metrics": [_metric(api, metric, sizing) for metric in scaling.metrics],
    }
    if behavior := _behavior(scaling, sizing):
        spec["behavior"] = behavior
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": child_metadata(api, api.name),
        "spec": spec,
    }


def _behavior(scaling: Autoscaling, sizing: Sizing) -> Manifest:
    behavior: Manifest = scaling.behavior.model_dump(by_alias=True, exclude_none=True)
    if any(metric.type == CPU.name for metric in scaling.metrics):
        # A pod that warms up needs more CPU than it ever does again, and those that are added for it do so as well.
        settled = min(LONGEST_STABILIZATION, sizing.startup_timeout + _SETTLING_SECONDS)
        behavior["scaleUp"] = {"stabilizationWindowSeconds": settled} | behavior.get("scaleUp", {})
    if any(metric.type in _COMPOUNDING for metric in scaling.metrics):
        behavior["scaleUp"] = _STEP_UP | behavior.get("scaleUp", {})
    for direction in _HELD[scaling.hold]:
        behavior[direction] = {**behavior.get(direction, {}), "selectPolicy": "Disabled"}
    return behavior


def _metric(api: ApiObject, metric: Metric, sizing: Sizing) -> Manifest:
    if metric.type in EXTERNAL:
        name, target = _external(metric, sizing)
        labels = api_selector(api.name) | ({METRIC_LABEL: metric.name} if metric.prometheus else {})
        identifier = {"name": name, "selector": {"matchLabels": labels}}
        return {"type": "External", "external": {"metric": identifier, "target": target}}
    utilization = metric.cpu or metric.memory
    assert utilization is not None, "the rules of Metric ask for the member that type names"  # noqa: S101
    target = {"type": "Utilization", "averageUtilization": utilization.target_utilization_percent}
    # Of the API's container: with an injected container without a request, the HPA could compute no utilization.
    resource = {"name": metric.type.lower(), "container": CONTAINER, "target": target}
    return {"type": "ContainerResource", "containerResource": resource}


def _external(metric: Metric, sizing: Sizing) -> tuple[str, Manifest]:
    """Name and target of what the external metrics API answers: totals of the API, or a time as it is.

    Few fixed names, with the object in the selector: the names are what its rights are asked and remembered for.
    """
    if total := pod_load(metric, sizing):
        return total.metric, _for_each_pod(total.target)
    if metric.latency is not None:
        return LATENCY.external_name(metric.latency.percentile), _as_it_is(metric.latency.target)
    if metric.prometheus is not None:
        return PROMETHEUS.external, _for_each_pod(parse_quantity(metric.prometheus.target_per_pod))
    assert metric.event_loop_lag is not None, "the rules of Metric ask for the member that type names"  # noqa: S101
    return EVENT_LOOP_LAG.external, _as_it_is(metric.event_loop_lag.target)


def _for_each_pod(value: Decimal) -> Manifest:
    return {"type": "AverageValue", "averageValue": decimal_text(value)}


def _as_it_is(time: str) -> Manifest:
    return {"type": "Value", "value": decimal_text(seconds(time))}
