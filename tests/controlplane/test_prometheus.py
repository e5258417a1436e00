"""From what Prometheus has scraped to the count of pods: every part is real but the kubelet and the pod."""

from pathlib import Path

import pytest

from dev.control_plane import ControlPlane
from dev.steps import ClusterError
from tests.controlplane.api_server import ApiServer, eventually
from tests.controlplane.objects import api
from tests.controlplane.operator_process import OperatorProcess
from tests.controlplane.prometheus_process import PrometheusProcess
from tests.controlplane.test_load_to_replicas import WholeProcess, exposition, serve
from tests.controlplane.test_metrics_api import AVAILABLE_WITHIN_SECONDS, NAME, Install, available, install, raw

__all__ = ["install"]  # a fixture
QUEUE = "%2Chca-operator.io%2Fmetric%3Dqueue"
METRICS = [
    {"name": "inflight", "type": "Concurrency", "concurrency": {"targetPerWorker": 20}},
    {"name": "queue", "type": "Prometheus", "prometheus": {"query": "max(queue_length)", "targetPerPod": 100}},
]


@pytest.mark.long
def test_what_prometheus_has_scraped_becomes_the_count_and_an_outage_takes_no_pods(
    control_plane: ControlPlane, server: ApiServer, install: Install, tmp_path: Path
) -> None:
    load = {"http_requests_in_flight": 70, "queue_length": 0}
    prometheus = PrometheusProcess(tmp_path / "prometheus")
    whole = WholeProcess(
        install, control_plane.kubeconfig_for(install.account.name), tmp_path / "whole",
        "--prometheus-url",
        prometheus.url,
        "--custom-queries",
    )  # fmt: skip
    operator = OperatorProcess(
        control_plane.kubeconfig, tmp_path / "operator", lease_namespace=install.namespace,
        options=["--external-metrics", NAME, "--custom-queries"],
    )  # fmt: skip

    def reported() -> str:
        return "".join(f"# TYPE {name} gauge\n{name} {value}\n" for name, value in load.items())

    def value(path: str) -> str:
        try:
            (item,) = raw(control_plane, path)["items"]
        except ClusterError as error:
            return str(error)
        return str(item["value"])

    def pods() -> int:
        deployment = server.get("Deployment", install.namespace, "shop")
        return deployment["spec"].get("replicas", 1) if deployment else 0

    def sentence() -> str:
        autoscaler = server.get("HorizontalPodAutoscaler", install.namespace, "shop") or {}
        found = {c["type"]: c for c in (autoscaler.get("status") or {}).get("conditions", [])}
        return str(found.get("ScalingActive", {}).get("message"))

    queue = f"{install.path('hca-prometheus')}{QUEUE}"
    with exposition(reported) as port, prometheus, whole, operator:
        eventually(lambda: available(server), within=AVAILABLE_WITHIN_SECONDS)
        # At once, or the count would follow the load down, which is what is not to happen without metrics.
        behavior = {"scaleDown": {"stabilizationWindowSeconds": 0}}
        scaling = {"minReplicas": 1, "maxReplicas": 9, "metrics": METRICS, "behavior": behavior}
        server.create(api(install.namespace, port=port, autoscaling=scaling))
        eventually(lambda: serve(server, install.namespace))
        served = [pod["metadata"]["name"] for pod in server.find("Pod", install.namespace)]
        prometheus.find(*((install.namespace, name) for name in served), port=port)
        eventually(lambda: value(install.path("hca-concurrency")) == "70000m", within=180, pause=0.5)
        eventually(lambda: pods() == 4, within=180, pause=0.5)

        load["queue_length"] = 700
        eventually(lambda: value(queue) == "700000m", within=180, pause=0.5)
        eventually(lambda: pods() == 7, within=180, pause=0.5)

        prometheus.stop()
        load["queue_length"], load["http_requests_in_flight"] = 0, 1
        eventually(lambda: "Prometheus cannot be reached" in value(queue), within=90, pause=0.5)
        eventually(lambda: "Prometheus cannot be reached" in sentence(), within=90, pause=0.5)
        assert pods() == 7

        prometheus.start()
        eventually(lambda: value(queue) == "0m", within=180, pause=0.5)
        eventually(lambda: pods() < 7, within=90, pause=0.5)
