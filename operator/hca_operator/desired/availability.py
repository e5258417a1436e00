"""The PodDisruptionBudget."""

from hca_operator.api.spec import ApiObject
from hca_operator.core.names import Manifest
from hca_operator.desired.metadata import api_selector, child_metadata
from hca_operator.desired.sizing import Sizing


def disruption_budget(api: ApiObject, _sizing: Sizing) -> Manifest:
    """How many pods a drain may take at a time.

    `maxUnavailable`, since `minAvailable: 1` of one pod blocks every drain; AlwaysAllow, since a pod that is not
    ready serves no requests and must not block a drain either.
    """
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": child_metadata(api, api.name),
        "spec": {
            "maxUnavailable": api.spec.availability.max_unavailable,
            "selector": {"matchLabels": api_selector(api.name)},
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    }
