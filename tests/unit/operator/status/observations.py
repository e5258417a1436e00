"""What a reconcile has seen of an API that is rolled out and serves, but for what a test says."""

from datetime import UTC, datetime, timedelta
from typing import Any

from hca_operator.desired.sizing import size
from hca_operator.restarts.requested import Restarts
from hca_operator.status.conditions import Observation, next_status
from tests.unit.operator.objects import api_object, deployment

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
AUTOSCALER = {"status": {"conditions": [{"type": "ScalingActive", "status": "True", "reason": "ValidMetricFound"}]}}


def seen(*, spec: dict[str, Any] | None = None, **facts: Any) -> Observation:
    """An API that is rolled out and serves, but for these facts."""
    api = api_object(**(spec or {}))
    usual: dict[str, Any] = {
        "generation": 1,
        "previous": {},
        "api": api,
        "sizing": size(api.spec),
        "deployment": deployment(),
        "autoscaler": AUTOSCALER,
        "restarts": Restarts(),
    }
    return Observation(**usual | facts)


def conditions(observation: Observation) -> dict[str, tuple[str, str]]:
    stored = next_status(observation, NOW)["conditions"]
    return {entry["type"]: (entry["status"], entry["reason"]) for entry in stored}
