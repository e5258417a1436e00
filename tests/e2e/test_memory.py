"""A pod that leaks is replaced before the kernel ends it, under load, on the real cluster."""

from collections.abc import Callable, Iterator

import pytest

from tests.e2e.cluster import Cluster
from tests.e2e.journeys import INGRESS, RATE, answers, api, leak, pods, replaced_pods
from tests.e2e.load import OpenLoopLoad, Report

NAME = "leaking"
FULL = 270 * 1024**2
"""Bytes: over the threshold of the pod, 60 percent of 384 MiB, and below that of its worker, which is 336 MiB."""
POD_RUNG_ALONE = {
    "env": [{"name": "SHOP_LEAK_ENABLED", "value": "true"}],
    "memoryRestart": {"worker": {"thresholdPercent": 100}, "pod": {"thresholdPercent": 60}, "samples": 2},
}


@pytest.fixture
def leaking(cluster: Cluster) -> Iterator[None]:
    """An API whose pods can be made to leak."""
    cluster.apply(api(NAME, cluster.sample_image, grace="15s"))
    cluster.patch("hcapi", NAME, {"spec": POD_RUNG_ALONE})
    cluster.wait_ready(NAME)
    cluster.until(lambda: answers(NAME), "the ingress serves the API")
    yield
    cluster.kubectl("delete", "hcapi", NAME, "--wait=false")


@pytest.mark.usefixtures("leaking")
@pytest.mark.timeout(600)
def test_fault_36_a_pod_that_leaks_is_replaced_under_load_and_no_request_is_lost(
    cluster: Cluster, figures: Callable[[str], None]
) -> None:
    memory_known = "the operator reads the pods' memory"
    cluster.until(lambda: _memory(cluster)["reason"] == "MemoryWithinLimits", memory_known, seconds=120)
    before = pods(cluster, NAME)
    load = OpenLoopLoad(INGRESS, f"{NAME}.localhost", rate=RATE, path="/products")
    with load.running():
        load.go_on(5 * RATE)
        leak(cluster, before[0], until=FULL)
        cluster.until(lambda: replaced_pods(cluster, NAME) == [before[0]], "the pod is detached", seconds=120)
        cluster.until(lambda: replaced_pods(cluster, NAME) == [], "the pod is gone", seconds=180)
        load.go_on(15 * RATE)
    figures(f"a pod replaced for its memory: {load.report.summary()}")
    assert Report(load.report.failures()) == Report()
    after = cluster.objects("pods", f"hca-operator.io/api={NAME}")
    names = {pod["metadata"]["name"] for pod in after}
    assert before[0] not in names
    assert before[1] in names, "the pod that did not leak stays"
    assert all(pod["status"]["containerStatuses"][0]["restartCount"] == 0 for pod in after)
    counted = cluster.get("hcapi", NAME)["status"]["memoryRestarts"]
    assert (counted["pods"], counted["lastPod"], counted.get("oomKills", 0)) == (1, before[0], 0)
    cluster.until(lambda: _memory(cluster)["status"] == "True", "the memory is healthy again")


def _memory(cluster: Cluster) -> dict[str, str]:
    found: dict[str, str] = cluster.condition("hcapi", NAME, "MemoryHealthy")
    return found
