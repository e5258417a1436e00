"""Three minutes without one part that autoscaling needs, under load: no pod goes, nothing is lost, all is reported."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from tests.e2e import prometheus
from tests.e2e.cluster import Cluster, Object
from tests.e2e.journeys import INGRESS, living, pods, replicas
from tests.e2e.load import OpenLoopLoad, Report
from tests.e2e.test_autoscaling import FEWEST, manifest, scaling_active

SECONDS = 180
REPORTED_WITHIN = 60
RATE, PATH = 40, "/products"
REQUESTS = {"type": "RequestsPerSecond", "requestsPerSecond": {"targetPerPod": "15"}}
CPU = {"type": "CPU", "cpu": {"targetUtilizationPercent": 60}}
PROGRAM = Path(__file__).with_name("broken_metrics.py")
ENVOY_PORT = 8002

Break = Callable[[Cluster, str], AbstractContextManager[None]]


@contextmanager
def scaled_to_nothing(cluster: Cluster, deployment: str, namespace: str) -> Iterator[None]:
    count = cluster.get("deployment", deployment, namespace)["spec"]["replicas"]
    cluster.kubectl("scale", f"deployment/{deployment}", "--namespace", namespace, "--replicas=0")
    try:
        yield
    finally:
        cluster.kubectl("scale", f"deployment/{deployment}", "--namespace", namespace, f"--replicas={count}")
        cluster.kubectl("rollout", "status", f"deployment/{deployment}", "--namespace", namespace, "--timeout=120s")


def without_metrics_api(cluster: Cluster, _name: str) -> AbstractContextManager[None]:
    return scaled_to_nothing(cluster, "hca-operator-metrics", "hca-system")


def without_metrics_server(cluster: Cluster, _name: str) -> AbstractContextManager[None]:
    return scaled_to_nothing(cluster, "metrics-server", "kube-system")


def without_operator(cluster: Cluster, _name: str) -> AbstractContextManager[None]:
    return scaled_to_nothing(cluster, "hca-operator", "hca-system")


def without_prometheus(cluster: Cluster, _name: str) -> AbstractContextManager[None]:
    return scaled_to_nothing(cluster, prometheus.NAME, "default")


@contextmanager
def metrics_that(fault: str, cluster: Cluster, name: str) -> Iterator[None]:
    def write(command: str) -> None:
        for pod in pods(cluster, name):
            cluster.kubectl("exec", pod, "--", "sh", "-c", command)

    write(f"echo {fault} > /tmp/metrics")
    try:
        yield
    finally:
        write("rm -f /tmp/metrics")


def metrics_are_garbage(cluster: Cluster, name: str) -> AbstractContextManager[None]:
    return metrics_that("garbage", cluster, name)


def metrics_hang(cluster: Cluster, name: str) -> AbstractContextManager[None]:
    return metrics_that("hang", cluster, name)


@contextmanager
def without_envoys_statistics(cluster: Cluster, _name: str) -> Iterator[None]:
    """Packets from other nodes to that port are lost; the kubelet's come from the node itself, so Envoy stays ready."""
    (envoy,) = cluster.objects("pods", "app=envoy", "projectcontour")
    lost = f"FORWARD -p tcp --dport {ENVOY_PORT} -j DROP".split()

    def rule(verb: str) -> None:
        cluster.run("docker", "exec", envoy["spec"]["nodeName"], "iptables", verb, *lost)

    rule("-I")
    try:
        yield
    finally:
        rule("-D")


@dataclass(frozen=True)
class Outage:
    """What is taken away, and from which API."""

    breaking: Break
    metric: Object = field(default_factory=lambda: REQUESTS)
    source: str = "App"
    own: bool = False
    """Whether its metrics are those of PROGRAM."""
    reported: bool = True
    """Whether the autoscaler misses its metrics then."""
    around: Callable[[Cluster], AbstractContextManager[None]] = lambda _: nullcontext()


OUTAGES = {
    "metrics-api": Outage(without_metrics_api),
    "metrics-server": Outage(without_metrics_server, CPU),
    "garbage": Outage(metrics_are_garbage, own=True),
    "hanging": Outage(metrics_hang, own=True),
    "operator": Outage(without_operator, reported=False),
    "envoy": Outage(without_envoys_statistics, source="Ingress"),
    "prometheus": Outage(
        without_prometheus, around=lambda cluster: prometheus.read_instead_of_pods(cluster, interval=5)
    ),
}


def made(cluster: Cluster, name: str, outage: Outage) -> str:
    found: Object = yaml.safe_load(manifest(cluster, name, outage.metric))
    found["spec"]["monitoring"] = {"source": outage.source}
    if outage.own:
        found["spec"] |= {"command": ["python", "-c", PROGRAM.read_text()], "workers": {"server": "Generic"}}
    return yaml.safe_dump(found)


@pytest.fixture(params=OUTAGES)
def name(request: pytest.FixtureRequest, cluster: Cluster) -> Iterator[str]:
    """An API that lives through an outage; its name is what is taken away."""
    name, outage = f"without-{request.param}", OUTAGES[request.param]
    with outage.around(cluster), living(cluster, name, made(cluster, name, outage)):
        yield name


@pytest.mark.timeout(1200)
def test_fault_32_in_three_minutes_of_an_outage_no_pod_goes_and_no_request_is_lost(cluster: Cluster, name: str) -> None:
    outage = OUTAGES[name.removeprefix("without-")]
    load = OpenLoopLoad(
        INGRESS, f"{name}.localhost", rate=RATE, path="/cpu?milliseconds=4" if outage.metric is CPU else PATH
    )
    with load.running():
        cluster.until(lambda: replicas(cluster, name) > FEWEST, "it has more pods than the fewest", seconds=240)
        cluster.until(lambda: scaling_active(cluster, name) == "True", "the autoscaler has its metrics")
        cluster.until(lambda: settled(cluster, name), "its pods are ready")
        before = replicas(cluster, name)
        with outage.breaking(cluster, name):
            began = time.monotonic()
            if outage.reported:
                cluster.until(
                    lambda: scaling_active(cluster, name) == "False", "it is reported", seconds=REPORTED_WITHIN
                )
                cluster.until(lambda: warned(cluster, name), "an Event reports it", seconds=REPORTED_WITHIN)
            while time.monotonic() < began + SECONDS:
                assert replicas(cluster, name) >= before
                assert cluster.condition("hcapi", name, "Ready")["status"] == "True"
                load.go_on(2 * RATE)
        cluster.until(lambda: scaling_active(cluster, name) == "True", "its metrics are back", seconds=180)
    assert Report(load.report.failures()) == Report()
    cluster.until(lambda: replicas(cluster, name) == FEWEST, "the load decides again", seconds=300)


def settled(cluster: Cluster, name: str) -> bool:
    return bool(cluster.get("hcapi", name)["status"].get("readyReplicas") == replicas(cluster, name))


def warned(cluster: Cluster, name: str) -> bool:
    of = f"involvedObject.kind=HighConcurrencyApi,involvedObject.name={name},type=Warning"
    events = json.loads(cluster.kubectl("get", "events", "--field-selector", of, "--output=json"))["items"]
    return any(event["reason"] in {"ApiMetricsUnavailable", "AutoscalerFailing"} for event in events)
