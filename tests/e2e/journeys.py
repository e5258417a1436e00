"""What happens to an API in its life, as the tests and the soak do it."""

import httpx

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
      scaleDown:
        stabilizationWindowSeconds: 15
        policies: [{{type: Pods, value: 4, periodSeconds: 15}}]
  traffic:
    ingress: {{className: contour}}
    routes: [{{host: {name}.localhost}}]
"""


def api(name: str, image: str, *, cpu: str = "1", workers: str = "{}", replicas: int = 2) -> str:
    return API.format(name=name, image=image, cpu=cpu, workers=workers, replicas=replicas)


def pods(cluster: Cluster, name: str) -> list[str]:
    """Names of the API's pods that are not going."""
    found = cluster.objects("pods", f"hca-operator.io/api={name}")
    return [pod["metadata"]["name"] for pod in found if "deletionTimestamp" not in pod["metadata"]]


def served(name: str, path: str = "/products") -> httpx.Response:
    return httpx.get(INGRESS + path, headers={"Host": f"{name}.localhost"}, trust_env=False, timeout=5)


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
