"""The metrics API behind a real API server: aggregation, its authentication, RBAC, and a real autoscaler."""

import json
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import yaml
from cryptography import x509

from dev import tools
from dev.control_plane import HOST, ControlPlane
from dev.steps import ClusterError
from dev.workloads import CHART, RELEASE
from tests.controlplane.api_server import ApiServer, Manifest, eventually
from tests.controlplane.kubeconfig import client_context
from tests.controlplane.metrics_process import MetricsProcess, Written
from tests.controlplane.test_rights import Account, Right, needed, requests, rights

NAME = f"{RELEASE}-metrics"
API_SERVICE = "v1beta1.external.metrics.k8s.io"
GROUP_VERSION = "external.metrics.k8s.io/v1beta1"
AVAILABLE_WITHIN_SECONDS = 60.0
"""Seconds within which the next look has been taken for sure."""
SCRAPING: set[Right] = {("", "pods", verb) for verb in ("list", "watch")}
"""For where readings come from, for which a test's file stands here."""


@dataclass(frozen=True)
class Install:
    """The metrics API with the rights of the chart, and what leads to it."""

    process: MetricsProcess
    written: Written
    account: Account
    namespace: str

    def path(self, metric: str = "hca-requests-per-second", api: str = "shop") -> str:
        """Where an autoscaler asks."""
        of = f"namespaces/{self.namespace}/{metric}?labelSelector=hca-operator.io%2Fapi%3D{api}"
        return f"/apis/{GROUP_VERSION}/{of}"

    def serial(self) -> int:
        """Of the certificate that is served."""
        served = ssl.get_server_certificate((HOST, self.process.port), timeout=10)
        return x509.load_pem_x509_certificate(served.encode()).serial_number


@pytest.fixture
def install(server: ApiServer, control_plane: ControlPlane, namespace: str, tmp_path: Path) -> Iterator[Install]:
    """An install whose process is not started yet."""
    with installed(server, control_plane, namespace, tmp_path) as made:
        yield made


@contextmanager
def installed(server: ApiServer, control_plane: ControlPlane, namespace: str, folder: Path) -> Iterator[Install]:
    """What the chart brings for the metrics API, but for its process."""
    rendered = subprocess.run(
        [tools.HELM.program(), "template", RELEASE, CHART, "--namespace", namespace, "--kube-version=1.36.0",
         "--set=externalMetrics.enabled=true", "--show-only=templates/metrics/rbac.yaml"],
        capture_output=True, text=True, check=True, timeout=60,
    ).stdout  # fmt: skip
    control_plane.kubectl("apply", "-f", "-", stdin=rendered)
    server.create({"kind": "Secret", "metadata": {"name": NAME, "namespace": namespace}})
    # No network of Services here: this one leads to the machine itself.
    outside = {"type": "ExternalName", "externalName": "localhost"}
    server.create({"kind": "Service", "metadata": {"name": NAME, "namespace": namespace}, "spec": outside})
    account = Account(
        f"system:serviceaccount:{namespace}:{NAME}", [], rights(list(yaml.safe_load_all(rendered)), namespace, NAME)
    )
    written = Written(folder / "readings.json")
    written.write({f"{namespace}/shop/hca-requests-per-second": 12.5})
    process = MetricsProcess(
        control_plane.kubeconfig_for(account.name), folder / "log", written, namespace=namespace, name=NAME
    )
    try:
        yield Install(process, written, account, namespace)
    finally:
        process.end()
        control_plane.kubectl("delete", "--ignore-not-found", "-f", "-", stdin=rendered)
        control_plane.kubectl("delete", "--ignore-not-found", "apiservice", API_SERVICE)


@pytest.fixture
def running(install: Install, server: ApiServer) -> Install:
    """The same, started and asked by the API server."""
    install.process.start()
    eventually(lambda: available(server), within=AVAILABLE_WITHIN_SECONDS)
    return install


def available(server: ApiServer) -> bool:
    service = server.get("APIService", "", API_SERVICE)
    assert service is not None
    return any(c["type"] == "Available" and c["status"] == "True" for c in service["status"]["conditions"])


def raw(control_plane: ControlPlane, path: str, kubeconfig: Path | None = None) -> Manifest:
    """What kubectl gets through the API server."""
    asked = ("--kubeconfig", str(kubeconfig)) if kubeconfig else ()
    answer: Manifest = json.loads(control_plane.kubectl(*asked, "get", "--raw", path))
    return answer


def test_a_value_and_discovery_come_through_the_api_server(control_plane: ControlPlane, running: Install) -> None:
    (item,) = raw(control_plane, running.path())["items"]
    assert (item["metricName"], item["value"]) == ("hca-requests-per-second", "12500m")
    assert item["metricLabels"] == {"hca-operator.io/api": "shop"}
    assert "externalmetrics" in control_plane.kubectl("api-resources", "--api-group=external.metrics.k8s.io")
    with pytest.raises(ClusterError, match="no pod of cart tells hca-requests-per-second: wait until one does"):
        raw(control_plane, running.path(api="cart"))
    with pytest.raises(ClusterError, match=r"labelSelector must be hca-operator\.io/api=NAME"):
        raw(control_plane, running.path().replace("api%3Dshop", "api"))
    assert "hca_external_metrics_registered 1.0" in running.process.metrics()


AUTOSCALED = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: shop}
spec:
  selector: {matchLabels: {app: shop}}
  template:
    metadata: {labels: {app: shop}}
    spec: {containers: [{name: shop, image: shop}]}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: shop}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: shop}
  minReplicas: 1
  maxReplicas: 10
  metrics:
  - type: External
    external:
      metric: {name: hca-concurrency, selector: {matchLabels: {hca-operator.io/api: shop}}}
      target: {type: AverageValue, averageValue: "20"}
"""


def test_an_autoscaler_shows_why_it_knows_nothing_and_then_acts_on_the_value(
    control_plane: ControlPlane, server: ApiServer, running: Install
) -> None:
    control_plane.kubectl("apply", "-n", running.namespace, "-f", "-", stdin=AUTOSCALED)

    def active() -> Manifest:
        hpa = server.get("HorizontalPodAutoscaler", running.namespace, "shop")
        assert hpa is not None
        conditions = {entry["type"]: entry for entry in hpa["status"]["conditions"]}
        condition: Manifest = conditions["ScalingActive"]
        return condition

    def shown() -> bool:
        return "no pod of shop tells hca-concurrency: wait until one does" in active()["message"]

    eventually(shown, within=60)
    assert (active()["status"], active()["reason"]) == ("False", "FailedGetExternalMetric")
    running.written.write({f"{running.namespace}/shop/hca-concurrency": 70})

    def scaled() -> bool:
        deployment = server.get("Deployment", running.namespace, "shop")
        return deployment is not None and deployment["spec"]["replicas"] == 4

    eventually(scaled, within=60)
    eventually(lambda: active()["status"] == "True")  # it scales first, and tells of it then


def direct(running: Install, context: ssl.SSLContext, **headers: str) -> httpx.Response:
    """The answer to a client that goes around the API server."""
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # whom the server takes for whom is asked here, not whom the client does
    with httpx.Client(verify=context, trust_env=False, timeout=10) as client:
        return client.get(f"https://{HOST}:{running.process.port}{running.path()}", headers=headers)


MASTER = {"X-Remote-User": "forged", "X-Remote-Group": "system:masters"}


def test_only_the_api_server_is_believed(control_plane: ControlPlane, running: Install) -> None:
    def context(name: str) -> ssl.SSLContext:
        made = ssl.create_default_context()
        pki = control_plane.folder / "pki"
        made.load_cert_chain(pki / f"{name}.crt", pki / f"{name}.key")
        return made

    assert direct(running, context("front-proxy-client"), **MASTER).status_code == 200, "so the API server is"
    assert direct(running, ssl.create_default_context(), **MASTER).status_code == 401
    for another in (client_context(control_plane.kubeconfig), context("apiserver-kubelet-client")):
        with pytest.raises(httpx.TransportError):
            direct(running, another, **MASTER)


def test_who_may_not_list_the_metric_gets_nothing(control_plane: ControlPlane, running: Install) -> None:
    ann = control_plane.kubeconfig_for("ann")
    with pytest.raises(ClusterError, match='"ann" cannot list resource "hca-requests-per-second"'):
        raw(control_plane, running.path(), ann)
    control_plane.kubectl("create", "clusterrolebinding", "ann", f"--clusterrole={NAME}-reader", "--user=ann")
    try:

        def allowed() -> bool:
            try:
                return bool(raw(control_plane, running.path(), ann)["items"])
            except ClusterError:
                return False

        eventually(allowed, within=30, pause=1)
    finally:
        control_plane.kubectl("delete", "clusterrolebinding", "ann")


@pytest.mark.long
def test_another_servers_apiservice_is_left_alone_and_taken_when_it_goes(server: ApiServer, install: Install) -> None:
    spec = {
        "group": "external.metrics.k8s.io", "version": "v1beta1", "groupPriorityMinimum": 100, "versionPriority": 100,
        "service": {"namespace": "default", "name": "elsewhere", "port": 443}, "insecureSkipTLSVerify": True,
    }  # fmt: skip
    theirs: Manifest = {"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "spec": spec}
    server.create({**theirs, "metadata": {"name": API_SERVICE}})
    install.process.start()

    def said() -> list[str]:
        return [line["message"] for line in install.process.log() if "elsewhere" in line["message"]]

    eventually(said, within=AVAILABLE_WITHIN_SECONDS)
    found = server.get("APIService", "", API_SERVICE)
    assert found is not None
    assert found["spec"] == spec
    assert "hca_external_metrics_registered 0.0" in install.process.metrics()
    server.delete("APIService", "", API_SERVICE)
    eventually(lambda: available(server), within=AVAILABLE_WITHIN_SECONDS)
    assert len(said()) == 1, "it is said once"
    assert "hca_external_metrics_registered 1.0" in install.process.metrics()


@pytest.mark.long
def test_the_certificate_is_renewed_while_requests_go_on(
    control_plane: ControlPlane, server: ApiServer, install: Install
) -> None:
    values = {f"{install.namespace}/shop/hca-requests-per-second": 12.5}
    install.written.write(values, days=-70)  # so it has been there for long
    install.process.start()
    eventually(lambda: available(server), within=AVAILABLE_WITHIN_SECONDS)
    before, bundle = install.serial(), trusted(server)
    install.written.write(values)
    lost = 0

    def renewed() -> bool:
        nonlocal lost
        try:
            raw(control_plane, install.path())
        except ClusterError:
            lost += 1
        return install.serial() != before

    eventually(renewed, within=AVAILABLE_WITHIN_SECONDS)
    assert raw(control_plane, install.path())["items"]
    assert lost == 0
    assert trusted(server) == bundle, "the authority stays"


def trusted(server: ApiServer) -> str:
    service = server.get("APIService", "", API_SERVICE)
    assert service is not None
    bundle: str = service["spec"]["caBundle"]
    return bundle


def test_a_second_replica_serves_the_same_certificate(
    control_plane: ControlPlane, running: Install, tmp_path: Path
) -> None:
    with MetricsProcess(
        control_plane.kubeconfig_for(running.account.name), tmp_path / "second", running.written,
        namespace=running.namespace, name=NAME,
    ) as second:  # fmt: skip
        other = Install(second, running.written, running.account, running.namespace)
        assert other.serial() == running.serial()


def test_the_rights_of_the_chart_are_those_that_are_used_and_the_apiservice_goes_with_them(
    control_plane: ControlPlane, server: ApiServer, running: Install
) -> None:
    ann = control_plane.kubeconfig_for("ann")
    with pytest.raises(ClusterError):
        raw(control_plane, running.path(), ann)

    seen = requests(control_plane, running.account)
    assert [entry for entry in seen if entry["responseStatus"]["code"] == 403] == []
    kube_system: Right = ("", "configmaps", "get")  # of a role that every cluster has
    assert set().union(*map(needed, seen)) == (running.account.given - SCRAPING) | {kube_system}

    running.process.stop()
    server.delete("ClusterRole", "", NAME)
    eventually(lambda: server.get("APIService", "", API_SERVICE) is None, within=60)
