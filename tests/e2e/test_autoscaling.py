"""Pods follow what matters to an API, and nothing but load takes any away: with real load, on the real cluster."""

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import partial

import pytest
import yaml

from tests.e2e.cluster import Cluster, Object
from tests.e2e.journeys import INGRESS, answers, api, living, replicas
from tests.e2e.load import OpenLoopLoad, Report

FEWEST, MOST = 1, 3
LOADS: dict[str, tuple[Object, float, str]] = {
    # Each asks for three pods or more of its load, and for one without.
    "by-requests": ({"type": "RequestsPerSecond", "requestsPerSecond": {"targetPerPod": "8"}}, 40, "/products"),
    "by-concurrency": ({"type": "Concurrency", "concurrency": {"targetPerWorker": 4}}, 20, "/slow?seconds=1"),
    "by-ingress": ({"type": "RequestsPerSecond", "requestsPerSecond": {"targetPerPod": "4"}}, 15, "/products"),
    "by-latency": ({"type": "Latency", "latency": {"percentile": 95, "target": "100ms"}}, 10, "/slow?seconds=0.4"),
}
"""By the API's name: its metric, requests per second, and what is asked for."""
COUNTED_BY_THE_INGRESS = {"by-ingress"}
BEHAVIOR = {
    "scaleUp": {"policies": [{"type": "Pods", "value": 4, "periodSeconds": 15}]},
    "scaleDown": {
        "stabilizationWindowSeconds": 15,
        "policies": [{"type": "Pods", "value": 4, "periodSeconds": 15}],
    },
}


def manifest(cluster: Cluster, name: str, metric: Object, **more: object) -> str:
    found: Object = yaml.safe_load(api(name, cluster.sample_image))
    found["spec"]["resources"]["requests"] = {"cpu": "50m", "memory": "96Mi"}
    found["spec"]["monitoring"] = {"source": "Ingress" if name in COUNTED_BY_THE_INGRESS else "App"}
    found["spec"]["env"] = [{"name": "SHOP_REHEARSAL_ENABLED", "value": "true"}]
    found["spec"]["autoscaling"] = {
        "minReplicas": FEWEST,
        "maxReplicas": MOST,
        "metrics": [{"name": "own", **metric}],
        "behavior": BEHAVIOR,
        **more,
    }
    return yaml.safe_dump(found)


# Two at a time: while the new pods of all four start on two cores, those that serve shed load for want of CPU.
@pytest.fixture(params=[("by-requests", "by-concurrency"), ("by-ingress", "by-latency")], ids=" and ".join)
def apis(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[Sequence[str]]:
    names: Sequence[str] = request.param
    for name in names:
        cluster.apply(manifest(cluster, name, LOADS[name][0]))
    for name in names:
        cluster.wait_ready(name)
        cluster.until(partial(answers, name), f"the ingress serves {name}")
    yield names
    for name in names:
        cluster.kubectl("delete", "hcapi", name, "--wait=false")


def scaling_active(cluster: Cluster, name: str) -> str:
    return str(cluster.condition("hcapi", name, "ScalingActive")["status"])


@pytest.mark.timeout(900)
def test_pods_come_with_the_load_and_go_with_it(cluster: Cluster, apis: Sequence[str]) -> None:
    loads = [OpenLoopLoad(INGRESS, f"{name}.localhost", rate=LOADS[name][1], path=LOADS[name][2]) for name in apis]
    with ExitStack() as running:
        for load in loads:
            running.enter_context(load.running())
        for name in apis:
            cluster.until(lambda name=name: replicas(cluster, name) == MOST, f"{name} has its pods", seconds=240)  # type: ignore[misc]
            cluster.until(lambda name=name: scaling_active(cluster, name) == "True", f"{name} says so")  # type: ignore[misc]
    for name in apis:
        cluster.until(lambda name=name: replicas(cluster, name) == FEWEST, f"{name} has let them go", seconds=240)  # type: ignore[misc]
    for load in loads:
        assert Report(load.report.failures()) == Report()


@pytest.fixture
def metrics_api(cluster: Cluster) -> Iterator[str]:
    """The Deployment that serves the metrics; it is there again afterwards."""
    yield "hca-operator-metrics"
    scale_metrics_api(cluster, 2)
    cluster.kubectl("rollout", "status", "deployment/hca-operator-metrics", "--namespace=hca-system", "--timeout=120s")


def scale_metrics_api(cluster: Cluster, count: int) -> None:
    cluster.kubectl("scale", "deployment/hca-operator-metrics", "--namespace=hca-system", f"--replicas={count}")


@pytest.mark.timeout(900)
def test_without_metrics_no_pod_goes_and_the_fallback_comes(cluster: Cluster, metrics_api: str) -> None:
    name = "fallen-back"
    metric, rate, path = LOADS["by-requests"]
    made = manifest(cluster, name, metric, fallback={"replicas": MOST, "after": "30s"})
    load = OpenLoopLoad(INGRESS, f"{name}.localhost", rate=rate / 3, path=path)
    with living(cluster, name, made), load.running():
        cluster.until(lambda: replicas(cluster, name) == 2, "it has two pods", seconds=240)
        scale_metrics_api(cluster, 0)
        cluster.until(lambda: scaling_active(cluster, name) == "False", f"{metrics_api} is missed", seconds=180)
        assert replicas(cluster, name) >= 2
        cluster.until(lambda: replicas(cluster, name) == MOST, "the fallback is there", seconds=180)
        scale_metrics_api(cluster, 2)
        cluster.until(lambda: scaling_active(cluster, name) == "True", "the metrics are back", seconds=180)
        cluster.until(lambda: replicas(cluster, name) == 2, "the load decides again", seconds=240)
    assert Report(load.report.failures()) == Report()


def test_the_metrics_can_be_asked_for(cluster: Cluster) -> None:
    """With the path that autoscalers use, as docs/autoscaling.md shows it."""
    root = "/apis/external.metrics.k8s.io/v1beta1"
    assert json.loads(cluster.kubectl("get", "--raw", root))["kind"] == "APIResourceList"
    cluster.apply(manifest(cluster, "asked-for", LOADS["by-requests"][0]))
    path = f"{root}/namespaces/default/hca-requests-per-second?labelSelector=hca-operator.io/api%3Dasked-for"
    try:
        cluster.wait_ready("asked-for")

        def answered() -> bool:
            try:
                answer = cluster.kubectl("get", "--raw", path)
            except AssertionError:  # not known yet
                return False
            (item,) = json.loads(answer)["items"]
            return bool(item["metricName"] == "hca-requests-per-second")

        cluster.until(answered, "the metric is known")
    finally:
        cluster.kubectl("delete", "hcapi", "asked-for", "--wait=false")
