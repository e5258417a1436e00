"""The HorizontalPodAutoscaler."""

from hca_operator.api.scaling import Autoscaling, Metric
from hca_operator.api.spec import ApiObject
from hca_operator.desired.metadata import child_metadata
from hca_operator.names import Manifest
from hca_operator.sizing import Sizing

_HELD = {"None": (), "ScaleUp": ("scaleUp",), "ScaleDown": ("scaleDown",), "Both": ("scaleUp", "scaleDown")}


def autoscaling_wanted(api: ApiObject) -> bool:
    """Whether an autoscaler owns the number of pods."""
    return api.spec.autoscaling.mode == "Horizontal"


def fewest_pods(api: ApiObject) -> int:
    """How many pods the object asks for at the least; what an autoscaler adds is its own affair."""
    return api.spec.autoscaling.min_replicas if autoscaling_wanted(api) else api.spec.replicas


def autoscaler(api: ApiObject, _sizing: Sizing) -> Manifest | None:
    """The autoscaler of the stable track; None where spec.replicas decides."""
    if not autoscaling_wanted(api):
        return None
    scaling = api.spec.autoscaling
    spec: Manifest = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": api.name},
        "minReplicas": scaling.min_replicas,
        "maxReplicas": scaling.max_replicas,
        "metrics": [_metric(metric) for metric in scaling.metrics],
    }
    if behavior := _behavior(scaling):
        spec["behavior"] = behavior
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": child_metadata(api, api.name),
        "spec": spec,
    }


def _behavior(scaling: Autoscaling) -> Manifest:
    behavior: Manifest = scaling.behavior.model_dump(by_alias=True, exclude_none=True)
    for direction in _HELD[scaling.hold]:
        behavior[direction] = {**behavior.get(direction, {}), "selectPolicy": "Disabled"}
    return behavior


def _metric(metric: Metric) -> Manifest:
    utilization = metric.cpu or metric.memory
    assert utilization is not None, "the rules of Metric ask for the member that type names"  # noqa: S101
    target = {"type": "Utilization", "averageUtilization": utilization.target_utilization_percent}
    return {"type": "Resource", "resource": {"name": metric.type.lower(), "target": target}}
