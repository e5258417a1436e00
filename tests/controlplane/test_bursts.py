"""A jump of the load on a real API server, with the real autoscaler and the metrics API between them."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, groupby
from pathlib import Path

import pytest

from dev.control_plane import ControlPlane
from hca_operator.core.names import BURST_MANAGER, FIELD_MANAGER
from tests.controlplane.api_server import ApiServer, Manifest, eventually
from tests.controlplane.fake_kubelet import roll_out
from tests.controlplane.objects import KIND, api, condition_of, scaling, status
from tests.controlplane.operator_process import OperatorProcess
from tests.controlplane.test_metrics_api import AVAILABLE_WITHIN_SECONDS, Install, available, install
from tests.controlplane.test_rights import BURSTS, installed, needed, requests

__all__ = ["install"]  # a fixture
RATE = {"name": "rps", "type": "RequestsPerSecond", "requestsPerSecond": {"targetPerPod": "50"}}
BEHAVIOR = {"scaleUp": {"stabilizationWindowSeconds": 300}, "scaleDown": {"stabilizationWindowSeconds": 0}}
"""An autoscaler that by itself adds no pod within a test, and takes one away as soon as it may."""
ENDED = 60.0
"""Seconds within which a floor of the shortest window has gone for sure."""


@dataclass
class Shop:
    """An object that follows bursts, its operator, and the load that the metrics API serves."""

    server: ApiServer
    install: Install
    operator: OperatorProcess

    def begin(self, **fields: object) -> None:
        """With one pod that serves, and half of its load."""
        self.load(25)
        burst = {"mode": "Enabled", "window": "30s"}
        wanted = {"minReplicas": 1, "maxReplicas": 9, "metrics": [RATE], "burst": burst, "behavior": BEHAVIOR}
        self.server.create(api(self.install.namespace, **scaling(**wanted | fields)))
        roll_out(self.server, self.install.namespace, "shop")
        eventually(lambda: self.reported("ScalingActive"))
        self.since = self.server.version("Deployment", self.install.namespace)
        self.floors_since = self.server.version("HorizontalPodAutoscaler", self.install.namespace)

    def reported(self, reason: str) -> Manifest:
        """What ScalingActive says, for this reason."""
        return condition_of(self.server, self.install.namespace, "ScalingActive", reason)

    def load(self, requests: float | None) -> None:
        """Requests in a second from now on, None if the load is unknown."""
        values: Mapping[str, float] = {}
        if requests is not None:
            values = {f"{self.install.namespace}/shop/hca-requests-per-second": requests}
        self.install.written.write(values)

    def deployment(self) -> Manifest:
        return self._found("Deployment")

    def autoscaler(self) -> Manifest:
        return self._found("HorizontalPodAutoscaler")

    def _found(self, kind: str) -> Manifest:
        found = self.server.get(kind, self.install.namespace, "shop")
        assert found is not None
        return found

    def count_is(self, pods: int) -> Callable[[], bool]:
        return lambda: self.deployment()["spec"]["replicas"] == pods

    def floor_is(self, pods: int) -> Callable[[], bool]:
        return lambda: self.autoscaler()["spec"]["minReplicas"] == pods

    def counts(self) -> list[int]:
        """Every count since it began with one pod."""
        return _without_repetitions(
            seen["spec"]["replicas"]
            for seen in self.server.changes_since(self.since, "Deployment", self.install.namespace)
        )

    def floors(self) -> list[int]:
        """The same of the autoscaler's minimum."""
        return _without_repetitions(
            seen["spec"]["minReplicas"]
            for seen in self.server.changes_since(self.floors_since, "HorizontalPodAutoscaler", self.install.namespace)
        )

    def owners_of_the_count(self) -> set[tuple[str, str]]:
        """Manager and operation."""
        return {
            (entry["manager"], entry["operation"])
            for entry in self.deployment()["metadata"]["managedFields"]
            if "f:replicas" in entry["fieldsV1"].get("f:spec", {})
        }


def _without_repetitions(values: Iterable[int]) -> list[int]:
    return [value for value, _ in groupby(chain([1], values))]


@pytest.fixture
def shop(control_plane: ControlPlane, server: ApiServer, install: Install, tmp_path: Path) -> Iterator[Shop]:
    """With the rights of the chart."""
    install.written.write({})
    install.process.start()
    eventually(lambda: available(server), within=AVAILABLE_WITHIN_SECONDS)
    with installed(control_plane, install.namespace) as account:
        kubeconfig = control_plane.kubeconfig_for(account.name)
        operator = OperatorProcess(
            kubeconfig, tmp_path / "operator", lease_namespace=install.namespace, options=account.options
        )
        operator.start()
        try:
            yield Shop(server, install, operator)
        finally:
            operator.end()
        seen = requests(control_plane, account)
    assert [entry for entry in seen if entry["responseStatus"]["code"] == 403] == []
    assert set().union(*map(needed, seen)) >= BURSTS


@pytest.mark.long
def test_a_jump_raises_the_count_once_and_the_autoscaler_has_it_back(shop: Shop) -> None:
    shop.begin()
    assert shop.owners_of_the_count() == {(FIELD_MANAGER, "Apply")}, "the count of a new object is unchanged"
    shop.load(410)
    eventually(shop.count_is(9))
    assert shop.owners_of_the_count() == {(BURST_MANAGER, "Update")}, "the operator does not own it any more"
    assert shop.floor_is(9)()
    assert eventually(lambda: shop.reported("BurstInForce"))["status"] == "True"
    assert status(shop.server, shop.install.namespace)["burst"]["replicas"] == 9

    shop.server.patch(KIND, shop.install.namespace, "shop", {"spec": {"podLabels": {"team": "a"}}})
    eventually(lambda: shop.deployment()["spec"]["template"]["metadata"]["labels"].get("team") == "a")
    assert shop.count_is(9)(), "the next apply neither has the count nor drops it"

    shop.load(160)  # the autoscaler would have four pods, but for the floor
    eventually(shop.count_is(4), within=ENDED)
    assert shop.owners_of_the_count() == {("kube-controller-manager", "Update")}
    assert (shop.counts(), shop.floors()) == ([1, 9, 4], [1, 9, 1])
    eventually(lambda: shop.reported("ScalingActive"))
    assert "burst" not in status(shop.server, shop.install.namespace)
    events = shop.server.find("Event", shop.install.namespace)
    reported = [event["reason"] for event in events if event["involvedObject"]["kind"] == KIND]
    assert reported.count("BurstInForce") == 1


@pytest.mark.long
def test_a_killed_operator_ends_it_on_time_when_it_is_back_and_without_the_metrics_api_no_pod_goes(shop: Shop) -> None:
    shop.begin()
    shop.load(210)
    eventually(lambda: status(shop.server, shop.install.namespace)["burst"])
    shop.operator.kill()
    shop.install.process.kill()
    shop.operator.start()
    eventually(shop.floor_is(1), within=ENDED)
    eventually(lambda: "burst" not in status(shop.server, shop.install.namespace))
    assert (shop.counts(), shop.floors()) == ([1, 5], [1, 5, 1])
