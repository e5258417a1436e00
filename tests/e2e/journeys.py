"""What happens to an API in its life, as the tests and the soak do it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from hca_operator.core.names import REPLACED_LABEL
from tests.e2e.cluster import Cluster
from tests.e2e.load import OpenLoopLoad

INGRESS = "http://127.0.0.1:8080"
RATE = 120

API = """
apiVersion: hca-operator.io/v1alpha1
kind: HighConcurrencyApi
metadata: {{name: {name}}}
spec:
  image: {image}
  resources:
    requests: {{cpu: 150m, memory: 160Mi}}
    limits: {{cpu: "{cpu}", memory: 384Mi}}
  workers: {workers}
  autoscaling:
    minReplicas: {replicas}
    maxReplicas: 4
    behavior:
      scaleUp: {{stabilizationWindowSeconds: 0}}
      scaleDown:
        stabilizationWindowSeconds: 15
        policies: [{{type: Pods, value: 4, periodSeconds: 15}}]
  availability: {{terminationGracePeriod: {grace}}}
  traffic:
    ingress: {{className: contour}}
    routes: [{{host: {name}.localhost}}]
"""


def api(name: str, image: str, *, cpu: str = "1", workers: str = "{}", replicas: int = 2, grace: str = "60s") -> str:
    return API.format(name=name, image=image, cpu=cpu, workers=workers, replicas=replicas, grace=grace)


def pods(cluster: Cluster, name: str) -> list[str]:
    """Names of the API's pods that are not going."""
    found = cluster.objects("pods", f"hca-operator.io/api={name}")
    return [pod["metadata"]["name"] for pod in found if "deletionTimestamp" not in pod["metadata"]]


def served(name: str, path: str = "/products") -> httpx.Response:
    return httpx.get(INGRESS + path, headers={"Host": f"{name}.localhost"}, trust_env=False, timeout=5)


def answers(name: str) -> bool:
    """Whether an API is served; not where the ingress does not even listen, as while it has no route."""
    try:
        return served(name).status_code == 200
    except httpx.TransportError:
        return False


@contextmanager
def living(cluster: Cluster, name: str, manifest: str) -> Iterator[None]:
    """The API of a manifest, from when it serves until the end of the block."""
    cluster.apply(manifest)
    try:
        cluster.wait_ready(name)
        cluster.until(lambda: answers(name), "the ingress serves it")
        yield
    finally:
        cluster.kubectl("delete", "hcapi", name, "--wait=false")


ASK = (
    "import sys, urllib.request as web;"
    "print(web.urlopen(web.Request('http://127.0.0.1:8000' + sys.argv[2], method=sys.argv[1])).read().decode())"
)
"""A Python program that a pod's container can run: method and path -> what one of its workers answers."""


def leak(cluster: Cluster, pod: str, until: int) -> None:
    """Have the workers of a pod keep memory for ever until one of them holds that many bytes."""
    for _ in range(100):
        answer = cluster.kubectl("exec", pod, "--", "python", "-c", ASK, "POST", "/leak?mebibytes=16")
        if json.loads(answer)["rss_bytes"] >= until:
            return
    raise AssertionError(f"no worker of {pod} ever held {until} bytes")


def replaced_pods(cluster: Cluster, name: str) -> list[str]:
    """Names of the API's pods that are being replaced because of their memory."""
    return [pod["metadata"]["name"] for pod in cluster.objects("pods", f"hca-operator.io/api={name},{REPLACED_LABEL}")]


def update_image(cluster: Cluster, name: str, image: str) -> None:
    cluster.patch("hcapi", name, {"spec": {"image": image}})
    cluster.wait_ready(name)
    found = cluster.objects("pods", f"hca-operator.io/api={name}")
    going = [pod for pod in found if "deletionTimestamp" in pod["metadata"]]
    current = [pod["spec"]["containers"][0]["image"] for pod in found if pod not in going]
    assert set(current) == {image}
    cluster.until(
        lambda: len(cluster.objects("pods", f"hca-operator.io/api={name}")) == len(current), "the old pods are gone"
    )


def replicas(cluster: Cluster, name: str) -> int:
    return int(cluster.get("deployment", name)["spec"]["replicas"])


def scale_up(cluster: Cluster, name: str, load: OpenLoopLoad) -> None:
    before = replicas(cluster, name)
    load.switch("/cpu?milliseconds=2")
    cluster.until(lambda: replicas(cluster, name) > before, "the autoscaler adds pods", seconds=180)
    more = replicas(cluster, name)
    cluster.until(lambda: cluster.get("hcapi", name)["status"]["readyReplicas"] >= more, "the new pods serve")
    assert cluster.condition("hcapi", name, "Ready")["status"] == "True", "scaling is no rollout"
    assert cluster.condition("hcapi", name, "ScalingActive")["status"] == "True"


def scale_down(cluster: Cluster, name: str, load: OpenLoopLoad) -> None:
    load.switch("/products")
    cluster.until(lambda: replicas(cluster, name) == 2, "the autoscaler takes the pods away again", seconds=240)
    cluster.until(lambda: len(pods(cluster, name)) == 2, "the pods are gone")


def drain(cluster: Cluster, name: str) -> None:
    """Drain the node of one of the API's pods, and give the node back."""
    pod = cluster.objects("pods", f"hca-operator.io/api={name}")[0]
    node = pod["spec"]["nodeName"]
    try:
        cluster.kubectl(
            "drain", node, f"--pod-selector=hca-operator.io/api={name}", "--ignore-daemonsets",
            "--delete-emptydir-data", "--timeout=180s",
        )  # fmt: skip
        cluster.wait_ready(name)
    finally:
        cluster.kubectl("uncordon", node)
