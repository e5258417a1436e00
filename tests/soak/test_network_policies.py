"""The NetworkPolicies of the chart and of the objects, enforced: everything works, and no other client gets in."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from dev.workloads import CHART, NAMESPACE, RELEASE
from hca_operator.core.names import API_LABEL
from tests.e2e.cluster import Cluster, Object
from tests.soak.network_policies import enforced

pytestmark = pytest.mark.alone

API = "isolated"
MONITORING, STRANGER = "hca-monitoring", "hca-stranger"
"""Namespaces with a client each: one that may read /metrics, and one that is not expected."""
MANIFEST = """
apiVersion: hca-operator.io/v1alpha1
kind: HighConcurrencyApi
metadata: {{name: {name}}}
spec:
  image: {image}
  resources: {{requests: {{cpu: 50m, memory: 96Mi}}, limits: {{cpu: "1", memory: 256Mi}}}}
  autoscaling:
    minReplicas: 1
    maxReplicas: 2
    metrics: [{{name: requests, type: RequestsPerSecond, requestsPerSecond: {{targetPerPod: "50"}}}}]
  availability: {{terminationGracePeriod: 5s}}
"""
CLIENT = """
apiVersion: v1
kind: Namespace
metadata: {{name: {namespace}}}
---
apiVersion: v1
kind: Pod
metadata: {{name: client, namespace: {namespace}}}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: client
    image: {image}
    command: [sleep, infinity]
    resources: {{requests: {{cpu: 10m, memory: 16Mi}}}}
"""
REACH = """
import json, socket, sys
from concurrent.futures import ThreadPoolExecutor

def reached(place):
    host, port = place.rsplit(":", 1)
    try:
        socket.create_connection((host, int(port)), timeout=2).close()
    except ConnectionRefusedError:
        return True  # nothing listens there, but nothing is in between
    except OSError:
        return False
    return True

with ThreadPoolExecutor() as pool:
    print(json.dumps([*pool.map(reached, sys.argv[1:])]))
"""
"""A Python program for the container of a pod: which of these addresses can it connect to?"""
CLOSED = 9999
"""A port where nothing listens."""

Clients = dict[str, tuple[str, str]]
"""Pods that try to connect, as kubectl names them, and their namespaces."""


@pytest.fixture
def enforcing(cluster: Cluster) -> Iterator[None]:
    """Nodes that enforce NetworkPolicies."""
    with enforced(cluster):
        yield


@pytest.fixture
def clients(cluster: Cluster) -> Iterator[None]:
    """An API, and a client in each of the namespaces."""
    manifests = [CLIENT.format(namespace=name, image=cluster.sample_image) for name in (MONITORING, STRANGER)]
    manifest = "---".join([MANIFEST.format(name=API, image=cluster.sample_image), *manifests])
    try:
        cluster.apply(manifest)
        for name in (MONITORING, STRANGER):
            cluster.kubectl("wait", "--for=condition=Ready", "pod/client", "--namespace", name, "--timeout=120s")
        cluster.wait_ready(API)
        yield
    finally:
        cluster.kubectl("delete", "--ignore-not-found", "--wait=false", "-f", "-", stdin=manifest)


def pod(cluster: Cluster, selector: str, namespace: str = "default") -> str:
    """Address of a pod that is not going."""
    found = [pod for pod in cluster.objects("pods", selector, namespace) if "deletionTimestamp" not in pod["metadata"]]
    return str(found[0]["status"]["podIP"])


def reached(cluster: Cluster, clients: Clients, places: dict[str, str]) -> dict[str, set[str]]:
    """Names of the places that each of these pods can connect to."""

    def by_one(client: tuple[str, str]) -> set[str]:
        name, namespace = client
        command = ("exec", name, "--namespace", namespace, "--", "python3", "-c", REACH, *places.values())
        return {place for place, answer in zip(places, json.loads(cluster.kubectl(*command)), strict=True) if answer}

    with ThreadPoolExecutor() as pool:
        return dict(zip(clients, pool.map(by_one, clients.values()), strict=True))


def control_plane(cluster: Cluster) -> list[Object]:
    """The addresses of the API server, as peers; docs/fleet.md shows this command."""
    addresses = cluster.kubectl(
        *("get", "endpointslices", "--namespace=default", "--selector=kubernetes.io/service-name=kubernetes"),
        "--output=jsonpath={.items[*].endpoints[*].addresses[*]}",
    )
    return [{"ipBlock": {"cidr": f"{address}/{128 if ':' in address else 32}"}} for address in addresses.split()]


@contextmanager
def switched_on(cluster: Cluster) -> Iterator[None]:
    """The NetworkPolicies of the chart, as narrow as they get, and pods that have made all their connections with them.

    They are the only objects of the release that the values of `networkPolicy` change.
    """
    monitoring = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": MONITORING}}}
    policies = cluster.helm(
        *("template", RELEASE, CHART, "--namespace", NAMESPACE, "--show-only=templates/networkpolicy.yaml"),
        *("--kube-version=1.36.0", "--set=networkPolicy.enabled=true,externalMetrics.enabled=true"),
        f"--set-json=networkPolicy.apiServer={json.dumps(control_plane(cluster))}",
        f"--set-json=networkPolicy.telemetry={json.dumps([monitoring])}",
    )
    try:
        cluster.apply(policies)
        cluster.kubectl("delete", "pods", "--namespace", NAMESPACE, f"--selector=app.kubernetes.io/instance={RELEASE}")
        for name in (RELEASE, f"{RELEASE}-metrics"):
            cluster.kubectl("rollout", "status", f"deployment/{name}", "--namespace", NAMESPACE, "--timeout=120s")
        yield
    finally:
        cluster.kubectl("delete", "--ignore-not-found", "-f", "-", stdin=policies)


def load_is_known(cluster: Cluster) -> bool:
    """Whether the metrics API answers with the load of the API's pods."""
    path = f"namespaces/default/hca-requests-per-second?labelSelector={API_LABEL}%3D{API}"
    try:
        answer = cluster.kubectl("get", "--raw", f"/apis/external.metrics.k8s.io/v1beta1/{path}")
    except AssertionError:  # not known yet
        return False
    return bool(json.loads(answer)["items"])


def places(cluster: Cluster) -> dict[str, str]:
    """Addresses that a client may try to connect to, by name."""
    operator = pod(cluster, "app.kubernetes.io/name=hca-operator", NAMESPACE)
    metrics = pod(cluster, "app.kubernetes.io/name=hca-operator-metrics", NAMESPACE)
    return {"operator": f"{operator}:8080", "metrics": f"{metrics}:8080", "metrics API": f"{metrics}:8443"}


@pytest.mark.usefixtures("enforcing", "clients")
def test_with_network_policies_everything_works_and_no_other_client_gets_in(cluster: Cluster) -> None:
    clients = {"monitoring": ("client", MONITORING), "stranger": ("client", STRANGER)}
    ours = {"operator": (f"deployment/{RELEASE}", NAMESPACE), "metrics": (f"deployment/{RELEASE}-metrics", NAMESPACE)}
    api, stranger = pod(cluster, f"{API_LABEL}={API}"), cluster.get("pod", "client", STRANGER)["status"]["podIP"]
    pods = {"API": f"{api}:8000", "API, closed": f"{api}:{CLOSED}", "stranger": f"{stranger}:{CLOSED}"}
    there = places(cluster) | pods
    without = {*there} - {"API, closed"}  # blocked by the API's own NetworkPolicy
    cluster.until(
        lambda: reached(cluster, clients, there) == dict.fromkeys(clients, without), "the API's own is enforced"
    )
    with switched_on(cluster):  # ready pods: the kubelet reached them, and they reached the API server
        there = places(cluster) | pods
        assert reached(cluster, clients, there) == {
            "monitoring": {"operator", "metrics", "API", "stranger"},
            "stranger": {"API", "stranger"},
        }
        # The operator reads the memory of an API's workers, the metrics API their load.
        assert reached(cluster, ours, pods) == {"operator": {"API"}, "metrics": {"API"}}

        cluster.until(lambda: load_is_known(cluster), "the load of the API's pods is known")
        cluster.patch("pdb", API, {"spec": {"maxUnavailable": 7}})
        cluster.until(lambda: cluster.get("pdb", API)["spec"]["maxUnavailable"] != 7, "a leader repairs a child")
        assert "Succeeded" in cluster.helm("test", RELEASE, "--namespace", NAMESPACE)
