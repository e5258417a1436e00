"""Tolerances of an object that the cluster does not store: pure.

Kubernetes stores the field from 1.35 on; before, an API server without the feature gate drops it silently. The gate may
be set either way on any version, so only the stored HorizontalPodAutoscaler shows it.
"""

from collections.abc import Sequence

from hca_operator.api.spec import ApiObject
from hca_operator.api.status import Unsupported
from hca_operator.core.names import Manifest


def dropped_tolerances(api: ApiObject, autoscaler: Manifest | None) -> Sequence[Unsupported]:
    """Entries of status.unsupported: the tolerances that are missing in the stored HorizontalPodAutoscaler."""
    behavior = api.spec.autoscaling.behavior
    if autoscaler is None:
        return ()
    stored = autoscaler["spec"].get("behavior", {})
    return [
        Unsupported(
            field=f"spec.autoscaling.behavior.{direction}.tolerance",
            reason="this cluster's API server does not store it, so the cluster's own tolerance applies (10 % by "
            "default): ask the platform team for Kubernetes 1.35 or newer, or for the feature gate "
            "HPAConfigurableTolerance",
        )
        for direction, rules in (("scaleUp", behavior.scale_up), ("scaleDown", behavior.scale_down))
        if rules is not None and rules.tolerance is not None and "tolerance" not in stored.get(direction, {})
    ]
