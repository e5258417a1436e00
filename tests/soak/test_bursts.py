"""A load that jumps, on the real cluster: its pods come by the operator, and are the autoscaler's from then on."""

import pytest

from tests.e2e.cluster import Cluster
from tests.e2e.journeys import INGRESS, living, replicas
from tests.e2e.load import OpenLoopLoad, Report
from tests.e2e.test_autoscaling import BEHAVIOR, FEWEST, LOADS, manifest

NAME = "jumping"
MOST = 4


@pytest.mark.timeout(600)
def test_a_jump_of_the_load_brings_its_pods_at_once_and_they_are_the_autoscalers(cluster: Cluster) -> None:
    metric, rate, path = LOADS["by-requests"]
    # By itself, this autoscaler adds no pod for five minutes.
    behavior = {**BEHAVIOR, "scaleUp": {"stabilizationWindowSeconds": 300}}
    burst = {"mode": "Enabled", "window": "30s"}
    made = manifest(cluster, NAME, metric, maxReplicas=MOST, behavior=behavior, burst=burst)

    def reason() -> str:
        return str(cluster.condition("hcapi", NAME, "ScalingActive")["reason"])

    with living(cluster, NAME, made):
        cluster.until(lambda: reason() == "ScalingActive", "its load is known", seconds=120)
        load = OpenLoopLoad(INGRESS, f"{NAME}.localhost", rate=rate, path=path)
        with load.running():
            cluster.until(lambda: replicas(cluster, NAME) == MOST, "the jump is met", seconds=120)
            cluster.until(lambda: reason() == "BurstInForce", "it says so")
            cluster.until(lambda: reason() == "ScalingActive", "it is over")
            assert replicas(cluster, NAME) == MOST, "the load is still there"
        cluster.until(lambda: replicas(cluster, NAME) == FEWEST, "they go with the load", seconds=240)
    assert Report(load.report.failures()) == Report()
