"""How fast pods follow a load that begins at once: with this operator, with KEDA, with an autoscaler on CPU."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from statistics import median
from typing import NamedTuple

import pytest
import yaml

from hca_operator.cli import render, to_yaml
from tests.bench import keda
from tests.bench.record import record
from tests.cluster import versions
from tests.controlplane.api_server import ApiServer, Manifest, eventually
from tests.e2e.cluster import Cluster
from tests.e2e.journeys import INGRESS, served
from tests.e2e.load import OpenLoopLoad

COMMAND = ".venv/bin/pytest tests/bench/test_keda.py"
RUNS = 5
RATE, TARGET = 150, 30
ENOUGH = RATE // TARGET
MOST = 6
NAME = "steps"
PATIENCE = 300.0
API = """
apiVersion: hca-operator.io/v1alpha1
kind: HighConcurrencyApi
metadata: {{name: {name}, namespace: default}}
spec:
  image: {image}
  resources: {{requests: {{cpu: 25m, memory: 128Mi}}, limits: {{cpu: "1", memory: 384Mi}}}}
  autoscaling:
    minReplicas: 1
    maxReplicas: {most}
    metrics:
    - {{name: rps, type: RequestsPerSecond, requestsPerSecond: {{targetPerPod: "{target}"}}}}
  traffic:
    ingress: {{className: contour}}
    routes: [{{host: {name}.localhost}}]
"""


class Reaction(NamedTuple):
    """Seconds from the first request until it is seen."""

    decided: float
    first: float
    enough: float


@dataclass(frozen=True)
class Scaler:
    """Who decides."""

    name: str
    manifests: Callable[[str], list[Manifest]]
    """For an image."""
    around: Callable[[Cluster], AbstractContextManager[None]] = lambda _: nullcontext()
    """What must be there."""


def ours(image: str) -> list[Manifest]:
    return [yaml.safe_load(API.format(name=NAME, image=image, most=MOST, target=TARGET))]


def plain(image: str) -> list[Manifest]:
    """The same, made by nobody and scaled by nobody."""
    found = [child for child in render(to_yaml(*ours(image))) if child["kind"] != "HorizontalPodAutoscaler"]
    for child in found:
        child["metadata"].pop("ownerReferences", None)
    return found


def scaled_by_keda(query_span: str, **settings: int) -> Callable[[str], list[Manifest]]:
    def manifests(image: str) -> list[Manifest]:
        trigger = {
            "type": "prometheus",
            "metadata": {
                "serverAddress": keda.PROMETHEUS_URL,
                "query": f'sum(rate(http_requests_total{{api="{NAME}"}}[{query_span}]))',
                "threshold": str(TARGET),
            },
        }
        spec = {
            "scaleTargetRef": {"name": NAME}, "minReplicaCount": 1, "maxReplicaCount": MOST, "triggers": [trigger],
            **settings,
        }  # fmt: skip
        metadata = {"name": NAME, "namespace": "default"}
        scaled = {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "metadata": metadata, "spec": spec}
        return [*plain(image), scaled]

    return manifests


def scaled_by_cpu(image: str) -> list[Manifest]:
    target = {"type": "Utilization", "averageUtilization": 70}
    autoscaler = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": NAME, "namespace": "default"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": NAME},
            "minReplicas": 1,
            "maxReplicas": MOST,
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
        },
    }
    return [*plain(image), autoscaler]


def with_keda(interval: int) -> Callable[[Cluster], AbstractContextManager[None]]:
    @contextmanager
    def around(cluster: Cluster) -> Iterator[None]:
        with keda.keda(cluster), keda.prometheus(cluster, interval=interval):
            yield

    return around


SCALERS = (
    Scaler("this operator, pods asked directly", ours),
    Scaler(
        f"KEDA {versions.KEDA}, its defaults (each 30 s), Prometheus each 15 s, rate over 1 min",
        scaled_by_keda("1m"),
        with_keda(15),
    ),
    Scaler(
        f"KEDA {versions.KEDA}, each 1 s, Prometheus each 1 s, rate over 10 s",
        scaled_by_keda("10s", pollingInterval=1),
        with_keda(1),
    ),
    Scaler("autoscaler on 70 % of 25m CPU", scaled_by_cpu),
)


def react(server: ApiServer) -> Reaction:
    """Have the load begin, and see what comes of it."""

    def when(field: Callable[[Manifest], int], count: int) -> float:
        def there() -> bool:
            deployment = server.get("Deployment", "default", NAME)
            return deployment is not None and field(deployment) >= count

        eventually(there, within=PATIENCE, pause=0.2)
        return time.monotonic() - began

    def wished(deployment: Manifest) -> int:
        return int(deployment["spec"]["replicas"])

    def ready(deployment: Manifest) -> int:
        return int(deployment["status"].get("readyReplicas", 0))

    with OpenLoopLoad(INGRESS, f"{NAME}.localhost", rate=RATE, path="/products").running():
        began = time.monotonic()
        return Reaction(when(wished, 2), when(ready, 2), when(ready, ENOUGH))


def run(cluster: Cluster, server: ApiServer, scaler: Scaler) -> Reaction:
    """One step of load, with objects of its own: nothing is left of an earlier one."""
    manifests = to_yaml(*scaler.manifests(cluster.sample_image))
    cluster.apply(manifests)
    try:
        eventually(lambda: served(NAME).status_code == 200, within=PATIENCE, pause=1)
        eventually(lambda: decides(server), within=PATIENCE, pause=1)
        return react(server)
    finally:
        cluster.kubectl("delete", "--ignore-not-found", "-f", "-", stdin=manifests)
        gone = "--selector=hca-operator.io/api=" + NAME
        cluster.kubectl("wait", "--for=delete", "pod", gone, "--timeout=120s")


def decides(server: ApiServer) -> bool:
    found = server.find("HorizontalPodAutoscaler", "default")
    return any(
        condition["type"] == "ScalingActive" and condition["status"] == "True"
        for autoscaler in found
        if autoscaler["spec"]["scaleTargetRef"]["name"] == NAME
        for condition in autoscaler.get("status", {}).get("conditions", [])
    )


def row(name: str, reactions: Sequence[Reaction]) -> tuple[str, ...]:
    return name, *(f"{median(seconds):.1f} s" for seconds in zip(*reactions, strict=True))


@pytest.mark.timeout(14400)
def test_reactions(cluster: Cluster) -> None:
    rows = []
    with ApiServer(cluster.kubeconfig) as server:
        for scaler in SCALERS:
            with scaler.around(cluster):
                rows.append(row(scaler.name, [run(cluster, server, scaler) for _ in range(RUNS)]))
    record(
        "From a step of load to pods",
        COMMAND,
        ("who decides", "count raised", "first new pod ready", f"{ENOUGH} pods ready"),
        rows,
        conditions=f"""
From nothing to {RATE} requests/s through the ingress, {TARGET} for each pod, from 1 pod to {MOST} at most; medians of
{RUNS} runs. All follow the defaults of autoscaling/v2, whose controller looks each 15 s, and start the same pods. KEDA
{versions.KEDA} is built from its Go module, Prometheus is Debian's.
""".strip(),
    )
