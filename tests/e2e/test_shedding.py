"""Overload is refused with 503, and no pod leaves the balancer for it: who is left would have its load on top."""

from collections.abc import Iterator

import pytest
import yaml

from tests.e2e.cluster import Cluster, Object
from tests.e2e.journeys import INGRESS, answers, api
from tests.e2e.load import OpenLoopLoad

NAME = "shedding"
PODS = 2
AT_A_TIME = 4
RATE, PATH = 40, "/slow?seconds=1"
"""Forty are under way at a time where eight find room."""
LASTING = 45 * RATE
"""Requests for four probes that fail, which would take a pod out."""


@pytest.fixture
def shedding(cluster: Cluster) -> Iterator[str]:
    """An API of two pods that have room for few requests."""
    found: Object = yaml.safe_load(api(NAME, cluster.sample_image, replicas=PODS))
    spec = found["spec"]
    spec["resources"]["requests"] = {"cpu": "50m", "memory": "96Mi"}
    spec["env"] = [{"name": "SHOP_MAX_IN_FLIGHT", "value": str(AT_A_TIME)}]
    inflight = {"name": "inflight", "type": "Concurrency", "concurrency": {"targetPerWorker": 2}}
    spec["autoscaling"] = {"minReplicas": PODS, "maxReplicas": PODS + 1, "metrics": [inflight]}
    cluster.apply(yaml.safe_dump(found))
    try:
        cluster.wait_ready(NAME)
        cluster.until(lambda: answers(NAME), "the ingress serves it")
        yield NAME
    finally:
        cluster.kubectl("delete", "hcapi", NAME, "--wait=false")


def ready_since(cluster: Cluster, name: str) -> dict[str, tuple[str, str, int]]:
    """By pod, whether it is ready, since when, and how often it was restarted."""
    found = {}
    for pod in cluster.objects("pods", f"hca-operator.io/api={name}"):
        (ready,) = [entry for entry in pod["status"]["conditions"] if entry["type"] == "Ready"]
        restarts = sum(status["restartCount"] for status in pod["status"]["containerStatuses"])
        found[pod["metadata"]["name"]] = (ready["status"], ready["lastTransitionTime"], restarts)
    return found


@pytest.mark.timeout(600)
def test_while_an_api_sheds_its_pods_stay_ready_and_the_autoscaler_adds_one(cluster: Cluster, shedding: str) -> None:
    before = ready_since(cluster, shedding)
    assert len(before) == PODS
    load = OpenLoopLoad(INGRESS, f"{shedding}.localhost", rate=RATE, path=PATH)
    with load.running():
        load.go_on(LASTING)
        after = ready_since(cluster, shedding)
        assert {name: after.get(name) for name in before} == before
        cluster.until(
            lambda: cluster.get("hcapi", shedding)["status"]["readyReplicas"] == PODS + 1,
            "the autoscaler sees the pods, and adds one",
        )
    statuses = {request.outcome.partition(" ")[0] for request in load.report.sent}
    assert statuses == {"200", "503"}, "served or refused, and nothing else"
