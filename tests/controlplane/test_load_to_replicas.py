"""From the metrics of a pod to the number of pods: every part is real but the kubelet and the pod."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from dev.control_plane import HOST, ControlPlane, free_ports
from dev.steps import ClusterError
from tests.controlplane.api_server import ApiServer, eventually
from tests.controlplane.fake_kubelet import report_ready
from tests.controlplane.objects import api
from tests.controlplane.operator_process import OperatorProcess
from tests.controlplane.test_metrics_api import (
    AVAILABLE_WITHIN_SECONDS,
    NAME,
    SCRAPING,
    Install,
    available,
    install,
    raw,
)
from tests.controlplane.test_rights import needed, requests

__all__ = ["install"]  # a fixture
SELECTOR = "hca-operator.io/api=shop"


class WholeProcess(OperatorProcess):
    """`hca-operator metrics` as the chart starts it."""

    def __init__(self, install: Install, kubeconfig: Path, log: Path, *options: str) -> None:
        super().__init__(kubeconfig, log, forked=False)
        self._more = options
        self._namespace = install.namespace
        (self.port,) = free_ports(1)

    def _command(self) -> Sequence[str]:
        place = ["--namespace", self._namespace, "--name", NAME, *self._more]
        return ["hca_operator", "metrics", *place, "--port", str(self.port), "--telemetry-port", str(self._port)]


@contextmanager
def exposition(reported: Callable[[], str]) -> Iterator[int]:
    """A pod's /metrics; its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            text = reported()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer((HOST, 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def serve(server: ApiServer, namespace: str) -> bool:
    """Have the pods that are there serve on the machine itself; whether there are any."""
    pods = server.find("Pod", namespace, labelSelector=SELECTOR)
    for pod in pods:
        status = {"podIP": HOST, "podIPs": [{"ip": HOST}]}
        server.patch("Pod", namespace, f"{pod['metadata']['name']}/status", {"status": status})
    report_ready(server, namespace, SELECTOR)
    return bool(pods)


@pytest.mark.long
def test_the_load_of_the_pods_becomes_their_count(
    control_plane: ControlPlane, server: ApiServer, install: Install, tmp_path: Path
) -> None:
    whole = WholeProcess(install, control_plane.kubeconfig_for(install.account.name), tmp_path / "whole")
    operator = OperatorProcess(
        control_plane.kubeconfig, tmp_path / "operator", lease_namespace=install.namespace,
        options=["--external-metrics", NAME],
    )  # fmt: skip
    reported = "# TYPE http_requests_in_flight gauge\nhttp_requests_in_flight 70\n"
    with exposition(lambda: reported) as port, whole, operator:
        eventually(lambda: available(server), within=AVAILABLE_WITHIN_SECONDS)
        metric = {"name": "inflight", "type": "Concurrency", "concurrency": {"targetPerWorker": 20}}
        scaling = {"minReplicas": 1, "maxReplicas": 9, "metrics": [metric]}
        server.create(api(install.namespace, monitoring={"port": port}, autoscaling=scaling))

        def known() -> bool:
            try:
                (item,) = raw(control_plane, install.path("hca-concurrency"))["items"]
            except ClusterError:
                return False
            return bool(item["value"] == "70000m")

        def scaled() -> bool:
            deployment = server.get("Deployment", install.namespace, "shop")
            return deployment is not None and deployment["spec"].get("replicas") == 4

        eventually(lambda: serve(server, install.namespace))
        eventually(known, pause=0.5)
        eventually(scaled, within=60)
        seen = requests(control_plane, install.account)
        assert [entry for entry in seen if entry["responseStatus"]["code"] == 403] == []
        assert set().union(*map(needed, seen)) >= SCRAPING
