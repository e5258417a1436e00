"""Autoscaling on what the pods measure, judged by the real autoscaler."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dev.control_plane import ControlPlane
from hca_operator.api.spec import parse_object
from hca_operator.desired.children import desired_children
from hca_operator.desired.sizing import size
from tests.controlplane.api_server import ApiServer, Manifest, eventually
from tests.controlplane.fake_external_metrics import FakeExternalMetrics
from tests.controlplane.fake_kubelet import report_ready, roll_out
from tests.controlplane.fake_metrics import FakeMetrics
from tests.controlplane.objects import KIND, api, condition_of, conditions, scaling, status
from tests.controlplane.operator_process import OperatorProcess

RATE = {"name": "rps", "type": "RequestsPerSecond", "requestsPerSecond": {"targetPerPod": "50"}}
LAG = {"name": "lag", "type": "EventLoopLag", "eventLoopLag": {"target": "50ms"}}
MEMORY = {"name": "memory", "type": "Memory", "memory": {}}
"""Of pods in which nothing runs, the autoscaler takes this one as it is reported."""
FALLBACK = {"replicas": 5, "after": "15s"}


@pytest.fixture
def operator(control_plane: ControlPlane, server: ApiServer, tmp_path: Path) -> Iterator[OperatorProcess]:
    """An operator that serves external metrics, not started yet."""
    del server  # the CRD must be there first
    options = ["--external-metrics", "hca-operator-metrics"]
    process = OperatorProcess(control_plane.kubeconfig, tmp_path / "log", options=options)
    yield process
    process.end()


def autoscaler(server: ApiServer, namespace: str) -> Manifest:
    found = server.get("HorizontalPodAutoscaler", namespace, "shop")
    assert found is not None
    return found


def count(server: ApiServer, namespace: str) -> int:
    found = server.get("Deployment", namespace, "shop")
    assert found is not None
    return int(found["spec"]["replicas"])


def carry_out(server: ApiServer, namespace: str, *metrics: Manifest) -> None:
    """An object and its children with two pods that serve, without an operator."""
    stored = parse_object(server.create(api(namespace, autoscaling={"metrics": list(metrics)})))
    children = {child.kind: child.manifest for child in desired_children(stored, size(stored.spec))}
    deployment, scaler = children["Deployment"], children["HorizontalPodAutoscaler"]
    assert deployment is not None
    assert scaler is not None
    server.apply({**deployment, "spec": {**deployment["spec"], "replicas": 2}}, manager="tests")
    eventually(lambda: len(server.find("Pod", namespace)) == 2)
    report_ready(server, namespace, "hca-operator.io/api=shop")
    server.apply(scaler)


@pytest.mark.parametrize(
    ("metric", "name", "value", "pods"),
    [
        (RATE, "hca-requests-per-second", "330", 7),  # a total: each pod is to take 50
        (LAG, "hca-event-loop-lag", "400m", 4),  # eight times too late: eight times the pods, but for the bound
    ],
    ids=["requests", "lag"],
)
def test_the_autoscaler_reads_the_metric_of_the_object_and_comes_to_as_many_pods(
    metric: Manifest, name: str, value: str, pods: int,
    *, control_plane: ControlPlane, server: ApiServer, namespace: str,
) -> None:  # fmt: skip
    with FakeExternalMetrics(server, control_plane, name) as external:
        external.tell(namespace, "shop", value)
        external.tell(namespace, "another", "1000")
        carry_out(server, namespace, metric)
        eventually(lambda: count(server, namespace) == pods, within=60)
        active = eventually(lambda: _active(autoscaler(server, namespace)))
        assert active is not None
        assert (active["status"], active["reason"]) == ("True", "ValidMetricFound"), active


def _active(found: Manifest) -> Manifest | None:
    return next((entry for entry in found["status"].get("conditions", []) if entry["type"] == "ScalingActive"), None)


@pytest.mark.long
def test_while_another_server_has_the_api_cpu_decides_and_when_it_goes_the_metrics_are_back(
    control_plane: ControlPlane, server: ApiServer, namespace: str, operator: OperatorProcess
) -> None:
    def decided_by() -> list[str]:
        return [metric["type"] for metric in autoscaler(server, namespace)["spec"]["metrics"]]

    with FakeExternalMetrics(server, control_plane, "hca-requests-per-second") as another:
        operator.start()
        server.create(api(namespace, **scaling(metrics=[RATE])))
        eventually(lambda: decided_by() == ["ContainerResource"])
        (entry,) = eventually(lambda: status(server, namespace)["unsupported"])
        assert entry["field"] == "spec.autoscaling.metrics[rps]"
        assert "the API server itself serves the external metrics API" in entry["reason"]
        another.end()
    eventually(lambda: decided_by() == ["External"], within=60)
    eventually(lambda: "unsupported" not in status(server, namespace))


@pytest.mark.long
def test_fault_32_without_metrics_there_are_as_many_pods_as_the_fallback_says_until_they_are_back(
    server: ApiServer, namespace: str, operator: OperatorProcess
) -> None:
    def floor() -> int:
        return int(autoscaler(server, namespace)["spec"]["minReplicas"])

    operator.start()
    server.create(api(namespace, **scaling(metrics=[MEMORY], fallback=FALLBACK)))
    roll_out(server, namespace, "shop")
    since = server.version("Deployment", namespace)
    reported = eventually(lambda: condition_of(server, namespace, "ScalingActive", "FallbackInForce"), within=60)
    assert reported["status"] == "False"
    assert floor() == 5
    eventually(lambda: count(server, namespace) == 5)
    with FakeMetrics(server) as metrics:
        eventually(_all_measured(server, namespace, metrics), within=60)
        eventually(lambda: condition_of(server, namespace, "ScalingActive", "ScalingActive"), within=60)
        assert floor() == 2
    counts = [seen["spec"]["replicas"] for seen in server.changes_since(since, "Deployment", namespace)]
    assert counts[: counts.index(5)] == sorted(counts[: counts.index(5)]), "it fell while the metrics were unknown"
    reasons = {event["reason"] for event in server.find("Event", namespace) if event["involvedObject"]["kind"] == KIND}
    assert {"FallbackInForce", "ScalingActive"} <= reasons


def test_a_tolerance_is_stored_by_this_kubernetes_and_nothing_is_reported(
    server: ApiServer, namespace: str, operator: OperatorProcess
) -> None:
    operator.start()
    server.create(api(namespace, **scaling(behavior={"scaleDown": {"tolerance": "0.2"}})))
    eventually(lambda: conditions(server, namespace))
    assert autoscaler(server, namespace)["spec"]["behavior"]["scaleDown"]["tolerance"] == "200m"
    assert "unsupported" not in status(server, namespace)


def _all_measured(server: ApiServer, namespace: str, metrics: FakeMetrics) -> Callable[[], Any]:
    """Has every pod serve and be measured, and is true once the autoscaler says that it can decide."""

    def look() -> bool:
        report_ready(server, namespace, "hca-operator.io/api=shop")
        for pod in server.find("Pod", namespace):
            metrics.fill(pod, 100)
        active = _active(autoscaler(server, namespace))
        return active is not None and active["status"] == "True"

    return look
