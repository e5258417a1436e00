"""Where Prometheus is read instead of the pods: pods follow each metric, with real load on the real cluster."""

from collections.abc import Iterator

import pytest

from tests.e2e import prometheus
from tests.e2e.cluster import Cluster, Object
from tests.e2e.journeys import INGRESS, living, replicas
from tests.e2e.load import OpenLoopLoad, Report
from tests.e2e.test_autoscaling import COUNTED_BY_THE_INGRESS, FEWEST, LOADS, MOST, manifest

QUERY: Object = {
    "type": "Prometheus",
    "prometheus": {"query": 'sum(rate(http_requests_total{route="/products"}[30s]))', "targetPerPod": "8"},
}
ALL = {name: load for name, load in LOADS.items() if name not in COUNTED_BY_THE_INGRESS} | {
    "by-query": (QUERY, 40, "/products")
}


@pytest.fixture(scope="module", autouse=True)
def read(cluster: Cluster) -> Iterator[None]:
    with prometheus.read_instead_of_pods(cluster, interval=5):
        yield


@pytest.fixture(params=ALL)
def name(request: pytest.FixtureRequest, cluster: Cluster) -> Iterator[str]:
    name: str = request.param
    with living(cluster, name, manifest(cluster, name, ALL[name][0])):
        yield name


@pytest.mark.timeout(900)
def test_pods_come_with_the_load_and_go_with_it(cluster: Cluster, name: str) -> None:
    _, rate, path = ALL[name]
    load = OpenLoopLoad(INGRESS, f"{name}.localhost", rate=rate, path=path)
    with load.running():
        cluster.until(lambda: replicas(cluster, name) == MOST, "it has its pods", seconds=240)
    cluster.until(lambda: replicas(cluster, name) == FEWEST, "it has let them go", seconds=300)
    assert Report(load.report.failures()) == Report()
