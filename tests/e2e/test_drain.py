"""Every node is drained, one after the other and whole, under load: what a node upgrade does to a cluster."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.e2e.cluster import Cluster, Object
from tests.e2e.journeys import INGRESS, answers
from tests.e2e.load import OpenLoopLoad, Report

pytestmark = pytest.mark.alone

NAMES = ("drained-one", "drained-two")
RATE = 80
"""Requests per second to each API."""
QUIET = 10 * RATE
"""Requests to each API before the first drain and after each."""
API = """
apiVersion: hca-operator.io/v1alpha1
kind: HighConcurrencyApi
metadata: {{name: {name}}}
spec:
  image: {image}
  traffic: {{ingress: {{className: contour}}, routes: [{{host: {name}.localhost}}]}}
"""
"""Nothing but defaults."""
CONTOUR = ("app=contour", "projectcontour")


@pytest.fixture
def apis(cluster: Cluster) -> Iterator[None]:
    """Two APIs that serve, and Contour on two nodes, as its manifests prefer it."""
    for name in NAMES:
        cluster.apply(API.format(name=name, image=cluster.sample_image))
    try:
        spread_contour(cluster)
        for name in NAMES:
            cluster.wait_ready(name)
            cluster.until(lambda name=name: answers(name), f"the ingress serves {name}")  # type: ignore[misc]
        yield
    finally:
        cluster.kubectl("delete", "hcapi", *NAMES, "--wait=false")


@pytest.mark.timeout(900)
@pytest.mark.usefixtures("apis")
def test_fault_36_draining_every_node_loses_no_request(cluster: Cluster, figures: Callable[[str], None]) -> None:
    """No pods are moved back between drains, so the second worker holds both Contours when its turn comes."""
    nodes = [node["metadata"]["name"] for node in cluster.objects("nodes", "kubernetes.io/os=linux")]
    loads = [OpenLoopLoad(INGRESS, f"{name}.localhost", rate=RATE, path="/products") for name in NAMES]
    spans: dict[str, tuple[float, float]] = {}
    with ExitStack() as running:
        for load in loads:
            running.enter_context(load.running())
        loads[0].go_on(QUIET)
        for node in nodes:
            start = time.monotonic()
            drain(cluster, node)
            loads[0].go_on(QUIET)
            spans[node] = (start, time.monotonic())
    sent = Report([request for load in loads for request in load.report.sent])
    for node, (start, end) in spans.items():
        figures(f"drain of {node}, {end - start:.0f} s: {sent.between(start, end).summary()}")
    figures(f"in all: {sent.summary()}")
    assert len(nodes) == 3
    assert all(len(sent.between(*span).sent) >= QUIET for span in spans.values())
    assert Report(sent.failures()) == Report()


def drain(cluster: Cluster, node: str) -> None:
    """Take every pod from a node as an administrator does, and give the node back when all of them are elsewhere."""
    try:
        cluster.kubectl("drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=240s")
    finally:
        cluster.kubectl("uncordon", node)
    cluster.until(lambda: not unavailable(cluster), "every Deployment has its pods again")


def unavailable(cluster: Cluster) -> list[str]:
    """Names of Deployments that have fewer available pods than they want."""
    answer = cluster.kubectl("get", "deployments", "--all-namespaces", "--output=json")
    deployments: list[Object] = json.loads(answer)["items"]
    return [
        deployment["metadata"]["name"]
        for deployment in deployments
        if deployment["status"].get("availableReplicas", 0) < deployment["spec"]["replicas"]
    ]


def spread_contour(cluster: Cluster) -> None:
    """Have Contour's pods on two nodes: after an earlier drain both may be on one."""

    def nodes() -> set[str]:
        pods = [pod for pod in cluster.objects("pods", *CONTOUR) if "deletionTimestamp" not in pod["metadata"]]
        return {pod["spec"].get("nodeName", "") for pod in pods}

    if len(nodes()) < 2:
        one = cluster.objects("pods", *CONTOUR)[0]["metadata"]["name"]
        cluster.kubectl("delete", "pod", one, "--namespace=projectcontour")
    cluster.kubectl("rollout", "status", "deployment/contour", "--namespace=projectcontour", "--timeout=120s")
    assert len(nodes()) == 2
