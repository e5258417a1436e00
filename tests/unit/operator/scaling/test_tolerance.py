"""What is reported of tolerances where the API server drops them, as one without the feature gate does."""

import copy
from typing import Any

import pytest

from hca_operator.core.names import Manifest
from tests.unit.operator.fake_cluster import FakeCluster
from tests.unit.operator.objects import manifest
from tests.unit.operator.reconcile.passes import API, AUTOSCALER, KEY, reconciler, settle

BEHAVIOR = {
    "scaleUp": {"tolerance": "0.05", "stabilizationWindowSeconds": 30},
    "scaleDown": {"tolerance": "0.2", "stabilizationWindowSeconds": 60},
}
FIELDS = [f"spec.autoscaling.behavior.{direction}.tolerance" for direction in BEHAVIOR]


class OlderCluster(FakeCluster):
    """Stores autoscalers without what it does not know."""

    async def apply_new(self, manifest: Manifest) -> Manifest:
        return await super().apply_new(_without_tolerance(manifest))

    async def apply(self, manifest: Manifest, *, subresource: str = "") -> Manifest:
        return await super().apply(_without_tolerance(manifest), subresource=subresource)


def _without_tolerance(manifest: Manifest) -> Manifest:
    stored = copy.deepcopy(manifest)
    if stored["kind"] == "HorizontalPodAutoscaler":
        for rules in stored["spec"].get("behavior", {}).values():
            rules.pop("tolerance", None)
    return stored


async def reported(cluster: FakeCluster, **fields: Any) -> list[str]:
    cluster.put(manifest(**{"autoscaling": {"behavior": BEHAVIOR}} | fields))
    await settle(cluster)
    return [entry["field"] for entry in cluster.objects[API]["status"].get("unsupported", [])]


async def test_where_it_is_stored_it_is_passed_through_and_nothing_is_reported() -> None:
    cluster = FakeCluster()
    assert await reported(cluster) == []
    assert cluster.objects[AUTOSCALER]["spec"]["behavior"] == BEHAVIOR


async def test_where_it_is_dropped_each_is_named_with_what_to_do() -> None:
    cluster = OlderCluster()
    assert await reported(cluster) == FIELDS
    (reason,) = {entry["reason"] for entry in cluster.objects[API]["status"]["unsupported"]}
    assert reason == (
        "this cluster's API server does not store it, so the cluster's own tolerance applies (10 % by default): ask "
        "the platform team for Kubernetes 1.35 or newer, or for the feature gate HPAConfigurableTolerance"
    )


async def test_where_it_is_dropped_it_is_not_written_again_and_again() -> None:
    cluster = OlderCluster()
    cluster.put(manifest(autoscaling={"behavior": BEHAVIOR}))
    looking = reconciler(cluster)
    await settle(cluster, looking)
    done = len(cluster.writes)
    await looking.reconcile(KEY)
    assert cluster.writes[done:] == []


@pytest.mark.parametrize(
    "fields", [{"autoscaling": {"mode": "Disabled", "behavior": BEHAVIOR}}, {"reconciliation": "Paused"}], ids=str
)
async def test_what_was_not_to_be_stored_is_not_missed(fields: dict[str, Any]) -> None:
    assert await reported(OlderCluster(), **fields) == []
