"""Pods that take much CPU while they start are no load: a rollout multiplies none, on the real cluster."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.bench.record import record
from tests.e2e.cluster import Cluster
from tests.e2e.journeys import pods, replicas

NAME = "warming-up"
PROGRAM = (Path(__file__).parents[1] / "e2e" / "misbehaving.py").read_text()
FEWEST, SURGE, MOST = 2, 1, 8
SECONDS = 360
EVERY = 5


def manifest(image: str) -> str:
    spec = {
        "image": image,
        "command": ["python", "-c", PROGRAM, "warm-up"],
        "workers": {"server": "Generic"},
        "resources": {"requests": {"cpu": "100m", "memory": "48Mi"}, "limits": {"cpu": "1", "memory": "160Mi"}},
        "autoscaling": {"minReplicas": FEWEST, "maxReplicas": MOST},
        "availability": {"terminationGracePeriod": "5s"},
    }
    metadata = {"name": NAME}
    kind = {"apiVersion": "hca-operator.io/v1alpha1", "kind": "HighConcurrencyApi"}
    return yaml.safe_dump({**kind, "metadata": metadata, "spec": spec})


@pytest.mark.timeout(900)
def test_fault_61_a_rollout_of_pods_that_warm_up_for_a_minute_multiplies_none(cluster: Cluster) -> None:
    cluster.apply(manifest(cluster.sample_image))
    try:
        cluster.wait_ready(NAME)
        created = list(counts(cluster, SECONDS / 3))
        cluster.kubectl("rollout", "restart", f"deployment/{NAME}")
        rolled = list(counts(cluster, SECONDS))
    finally:
        cluster.kubectl("delete", "hcapi", NAME, "--wait=false")
    rows = [
        (f"{event}, {seconds:.0f} s", str(wanted), str(there))
        for event, found in (("creation", created), ("rollout", rolled))
        for seconds, wanted, there in found[::6]
    ]
    most = max(wanted for _, wanted, _ in created + rolled)
    record(
        "Pods that take a whole CPU for their first minute, without load",
        "make soak",
        ("since", "pods wanted", "pods there"),
        [*rows, ("most", str(most), str(max(there for *_, there in created + rolled)))],
        conditions=f"They request 100m; {FEWEST} pods at least and {MOST} at most, CPU at 70 %.",
    )
    assert most <= FEWEST + SURGE
    assert rolled[-1][1] == FEWEST


def counts(cluster: Cluster, seconds: float) -> Iterator[tuple[float, int, int]]:
    """Seconds since now, the pods that the Deployment wants, and those that are there, again and again."""
    start = time.monotonic()
    while (passed := time.monotonic() - start) < seconds:
        yield passed, replicas(cluster, NAME), len(pods(cluster, NAME))
        time.sleep(EVERY)
