"""From what a real Envoy counts to the count of pods, of an app without metrics."""

from pathlib import Path

import pytest

from dev.control_plane import HOST, ControlPlane
from dev.steps import ClusterError
from tests.controlplane.api_server import ApiServer, eventually
from tests.controlplane.loopback_envoy import App, LoopbackEnvoy
from tests.controlplane.objects import api
from tests.controlplane.operator_process import OperatorProcess
from tests.controlplane.test_load_to_replicas import WholeProcess
from tests.controlplane.test_metrics_api import AVAILABLE_WITHIN_SECONDS, NAME, Install, available, install, raw

__all__ = ["install"]  # a fixture
METRICS = [
    {"name": "requests", "type": "RequestsPerSecond", "requestsPerSecond": {"targetPerPod": "2"}},
    {"name": "slowest", "type": "Latency", "latency": {"percentile": 50, "target": "10s"}},
]


@pytest.mark.long
def test_requests_that_an_envoy_counts_become_pods_and_an_envoy_that_is_lost_takes_none_away(
    control_plane: ControlPlane, server: ApiServer, install: Install, tmp_path: Path
) -> None:
    namespace = install.namespace
    envoy = LoopbackEnvoy(f"{namespace}_shop_80", tmp_path)
    place = ["--ingress-namespace", namespace, "--ingress-selector", "app=envoy", "--ingress-port"]
    kubeconfig = control_plane.kubeconfig_for(install.account.name)
    whole = WholeProcess(install, kubeconfig, tmp_path / "whole", *place, str(envoy.admin_port))
    operator = OperatorProcess(
        control_plane.kubeconfig, tmp_path / "operator", lease_namespace=namespace,
        options=["--external-metrics", NAME, "--reads-ingress"],
    )  # fmt: skip

    def value(metric: str) -> float | None:
        """In thousandths, None where it is unknown."""
        try:
            (item,) = raw(control_plane, install.path(metric))["items"]
        except ClusterError:
            return None
        return float(item["value"].removesuffix("m"))

    def replicas() -> int:
        deployment = server.get("Deployment", namespace, "shop")
        return 0 if deployment is None else deployment["spec"].get("replicas", 0)

    with envoy, whole, operator:
        create_envoy_pod(server, namespace)
        server.create(
            api(
                namespace,
                monitoring={"source": "Ingress"},
                traffic={"routes": [{"host": "shop.example.com"}]},
                autoscaling={"minReplicas": 1, "maxReplicas": 4, "metrics": METRICS},
            )
        )
        eventually(lambda: available(server), within=AVAILABLE_WITHIN_SECONDS)
        eventually(lambda: value("hca-requests-per-second") == 0, within=AVAILABLE_WITHIN_SECONDS, pause=0.5)
        assert value("hca-latency-p50") == 0, "no client waits"

        envoy.begin_load()
        eventually(lambda: (value("hca-requests-per-second") or 0) > 4000, within=AVAILABLE_WITHIN_SECONDS, pause=0.5)
        eventually(
            lambda: (value("hca-latency-p50") or 0) >= App.takes * 500, within=AVAILABLE_WITHIN_SECONDS, pause=0.5
        )
        eventually(lambda: replicas() > 1, within=AVAILABLE_WITHIN_SECONDS, pause=0.5)
        before = replicas()

        envoy.end_load()
        envoy.kill()
        eventually(lambda: value("hca-requests-per-second") is None, within=AVAILABLE_WITHIN_SECONDS, pause=0.5)
        assert replicas() >= before

        envoy.start()
        eventually(lambda: value("hca-requests-per-second") == 0, within=AVAILABLE_WITHIN_SECONDS, pause=0.5)


def create_envoy_pod(server: ApiServer, namespace: str) -> None:
    spec = {"containers": [{"name": "envoy", "image": "registry.example.com/envoy:1"}]}
    server.create(
        {"kind": "Pod", "metadata": {"name": "envoy", "namespace": namespace, "labels": {"app": "envoy"}}, "spec": spec}
    )
    status = {"phase": "Running", "podIP": HOST, "conditions": [{"type": "Ready", "status": "True"}]}
    server.patch("Pod", namespace, "envoy/status", {"status": status})
