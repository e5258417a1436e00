"""A changed ConfigMap reaches every worker of every pod under load, by a restart or without one."""

import hashlib
from collections.abc import Iterator

import pytest

from tests.e2e.cluster import Cluster
from tests.e2e.journeys import INGRESS, RATE, answers, pods
from tests.e2e.load import OpenLoopLoad, Report

WORKERS, PODS = 2, 2
BEFORE, AFTER = "max_in_flight = 400\n", "max_in_flight = 401\n"
SETTINGS = """
apiVersion: v1
kind: ConfigMap
metadata: {{name: {name}}}
data: {{shop.toml: "{content}"}}
"""
API = """
apiVersion: hca-operator.io/v1alpha1
kind: HighConcurrencyApi
metadata: {{name: {name}}}
spec:
  image: {image}
  resources: {{requests: {{cpu: 150m, memory: 160Mi}}, limits: {{cpu: "1", memory: 384Mi}}}}
  workers: {{count: {workers}}}
  env: [{{name: SHOP_CONFIG_FILE, value: /etc/shop/shop.toml}}]
  volumes: [{{name: settings, configMap: {{name: {name}}}}}]
  volumeMounts: [{{name: settings, mountPath: /etc/shop}}]
  rollout: {{restartOnConfigChange: {restart}}}
  autoscaling: {{mode: Disabled}}
  availability: {{terminationGracePeriod: 15s}}
  replicas: {pods}
  traffic: {{ingress: {{className: contour}}, routes: [{{host: {name}.localhost}}]}}
"""


@pytest.fixture
def name(request: pytest.FixtureRequest, cluster: Cluster) -> Iterator[str]:
    """Name of an API and of its ConfigMap, which are deleted after the test."""
    name = "config-restart" if "replaces" in request.node.name else "config-live"
    yield name
    cluster.kubectl("delete", "hcapi,configmap", name, "--ignore-not-found", "--wait=false")


def serve(cluster: Cluster, name: str, *, restart: bool) -> None:
    configure(cluster, name, BEFORE)
    fields = {"workers": WORKERS, "pods": PODS, "restart": str(restart).lower()}
    cluster.apply(API.format(name=name, image=cluster.sample_image, **fields))
    cluster.wait_ready(name)
    cluster.until(lambda: answers(name), "the ingress serves the API")
    cluster.until(lambda: all_agree(cluster, name, BEFORE), "all workers have the first settings")


def configure(cluster: Cluster, name: str, content: str) -> None:
    cluster.apply(SETTINGS.format(name=name, content=content.replace("\n", "\\n")))


def all_agree(cluster: Cluster, name: str, content: str) -> bool:
    """Whether each worker of each pod runs with this content, as its pod's metrics tell."""
    expected = int(hashlib.sha256(content.encode()).hexdigest()[:12], 16)
    found = {pod: digests(cluster, pod) for pod in pods(cluster, name)}
    return len(found) == PODS and all(shown == [expected] * WORKERS for shown in found.values())


def digests(cluster: Cluster, pod: str) -> list[float]:
    try:
        lines = cluster.kubectl(
            "get", "--raw", f"/api/v1/namespaces/default/pods/{pod}:8000/proxy/metrics"
        ).splitlines()
    except AssertionError:
        return []  # it has no address yet, or none any more
    return [float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith("config_digest{")]


def change_under_load(cluster: Cluster, name: str) -> Report:
    """Change the ConfigMap, and see every worker have it."""
    load = OpenLoopLoad(INGRESS, f"{name}.localhost", rate=RATE, path="/products")
    with load.running():
        load.go_on(RATE * 5)
        configure(cluster, name, AFTER)
        have_the_files_written(cluster, name)
        cluster.until(lambda: settled(cluster, name), "all workers have the other settings", seconds=240)
        load.go_on(RATE * 5)
    return load.report


def have_the_files_written(cluster: Cluster, name: str) -> None:
    """Have each kubelet look at its pods now: it does so each minute, or when an annotation changes."""
    cluster.kubectl("annotate", "pods", f"--selector=hca-operator.io/api={name}", f"example.com/settings={name}")


def settled(cluster: Cluster, name: str) -> bool:
    going = len(cluster.objects("pods", f"hca-operator.io/api={name}")) - len(pods(cluster, name))
    if going or len(pods(cluster, name)) != PODS:
        return False  # a pod that is going cannot be asked any more
    return all_agree(cluster, name, AFTER)


@pytest.mark.timeout(600)
def test_a_changed_config_map_replaces_the_pods_once_and_nothing_is_lost(cluster: Cluster, name: str) -> None:
    serve(cluster, name, restart=True)
    before, revision = pods(cluster, name), int(cluster.get("hcapi", name)["status"]["revision"])
    report = change_under_load(cluster, name)
    assert Report(report.failures()) == Report()
    cluster.wait_ready(name)
    assert not set(before) & set(pods(cluster, name))
    assert int(cluster.get("hcapi", name)["status"]["revision"]) == revision + 1
    print(report.summary())


@pytest.mark.timeout(600)
def test_an_app_that_reads_its_file_again_needs_no_restart(cluster: Cluster, name: str) -> None:
    serve(cluster, name, restart=False)
    before = pods(cluster, name)
    report = change_under_load(cluster, name)
    assert Report(report.failures()) == Report()
    assert set(pods(cluster, name)) == set(before)
    for pod in before:
        assert cluster.get("pod", pod)["status"]["containerStatuses"][0]["restartCount"] == 0
    print(report.summary())
