"""How fast pods follow a load that begins at once: with this operator, with KEDA, with an autoscaler on CPU."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from statistics import median
from typing import NamedTuple

import pytest
import yaml

from dev import versions
from hca_operator.cli import render, to_yaml
from tests.bench import keda
from tests.bench.record import record
from tests.controlplane.api_server import ApiServer, Manifest, eventually
from tests.e2e import prometheus
from tests.e2e.cluster import Cluster
from tests.e2e.journeys import INGRESS, answers
from tests.e2e.load import OpenLoopLoad

COMMAND = ".venv/bin/pytest tests/bench/test_keda.py"
RUNS = 5
LOOKS = 15.0
"""Seconds from one look of the autoscalers' controller to the next, by default."""
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
    burst: {{mode: {burst}}}
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
    manifests: Callable[[str, str], list[Manifest]]
    """For a name and an image."""
    around: Callable[[Cluster], AbstractContextManager[None]] = lambda _: nullcontext()
    """What must be there."""


def ours(burst: str = "Disabled") -> Callable[[str, str], list[Manifest]]:
    def manifests(name: str, image: str) -> list[Manifest]:
        return [yaml.safe_load(API.format(name=name, image=image, most=MOST, target=TARGET, burst=burst))]

    return manifests


def plain(name: str, image: str) -> list[Manifest]:
    """The same children without their owner and without a HorizontalPodAutoscaler."""
    found = [child for child in render(to_yaml(*ours()(name, image))) if child["kind"] != "HorizontalPodAutoscaler"]
    for child in found:
        child["metadata"].pop("ownerReferences", None)
    return found


def scaled_by_keda(query_span: str, **settings: int) -> Callable[[str, str], list[Manifest]]:
    def manifests(name: str, image: str) -> list[Manifest]:
        trigger = {
            "type": "prometheus",
            "metadata": {
                "serverAddress": prometheus.URL,
                "query": f'sum(rate(http_requests_total{{api="{name}"}}[{query_span}]))',
                "threshold": str(TARGET),
            },
        }
        spec = {
            "scaleTargetRef": {"name": name}, "minReplicaCount": 1, "maxReplicaCount": MOST, "triggers": [trigger],
            **settings,
        }  # fmt: skip
        metadata = {"name": name, "namespace": "default"}
        scaled = {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "metadata": metadata, "spec": spec}
        return [*plain(name, image), scaled]

    return manifests


def scaled_by_cpu(name: str, image: str) -> list[Manifest]:
    target = {"type": "Utilization", "averageUtilization": 70}
    autoscaler = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
            "minReplicas": 1,
            "maxReplicas": MOST,
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
        },
    }
    return [*plain(name, image), autoscaler]


def with_keda(interval: int) -> Callable[[Cluster], AbstractContextManager[None]]:
    @contextmanager
    def around(cluster: Cluster) -> Iterator[None]:
        with keda.keda(cluster), prometheus.prometheus(cluster, interval=interval):
            yield

    return around


def with_prometheus(interval: int) -> Callable[[Cluster], AbstractContextManager[None]]:
    return lambda cluster: prometheus.read_instead_of_pods(cluster, interval=interval)


SCALERS = (
    Scaler("this operator, pods asked directly", ours()),
    Scaler("the same, with `burst`", ours("Enabled")),
    Scaler(
        "KEDA at its fastest: each 1 s; Prometheus each 1 s", scaled_by_keda("10s", pollingInterval=1), with_keda(1)
    ),
    Scaler("KEDA with its defaults: each 30 s; Prometheus each 15 s", scaled_by_keda("1m"), with_keda(15)),
    Scaler("this operator, Prometheus each 1 s", ours(), with_prometheus(1)),
    Scaler("autoscaler alone, 70 % of 25m CPU", scaled_by_cpu),
    Scaler("this operator, Prometheus each 15 s", ours(), with_prometheus(15)),
)


def react(server: ApiServer, name: str) -> Reaction:
    """Have the load begin, and see what comes of it."""

    def when(field: Callable[[Manifest], int], count: int) -> float:
        def there() -> bool:
            deployment = server.get("Deployment", "default", name)
            return deployment is not None and field(deployment) >= count

        eventually(there, within=PATIENCE, pause=0.2)
        return time.monotonic() - began

    def wished(deployment: Manifest) -> int:
        return int(deployment["spec"]["replicas"])

    def ready(deployment: Manifest) -> int:
        return int(deployment["status"].get("readyReplicas", 0))

    with OpenLoopLoad(INGRESS, f"{name}.localhost", rate=RATE, path="/products").running():
        began = time.monotonic()
        return Reaction(when(wished, 2), when(ready, 2), when(ready, ENOUGH))


def run(cluster: Cluster, server: ApiServer, scaler: Scaler, phase: float) -> Reaction:
    """One step of load, with objects of its own: nothing is left of an earlier one.

    It begins so many seconds after the autoscaler has looked: what comes of it depends on that more than on anything.
    """
    name = f"{NAME}-{phase:.0f}"  # Prometheus remembers the load of the one before, and would scale this one for it
    manifests = to_yaml(*scaler.manifests(name, cluster.sample_image))
    cluster.apply(manifests)
    try:
        eventually(lambda: answers(name), within=PATIENCE, pause=1)
        eventually(lambda: decides(server, name), within=PATIENCE)
        time.sleep(phase)
        return react(server, name)
    finally:
        cluster.kubectl("delete", "--ignore-not-found", "-f", "-", stdin=manifests)
        gone = "--selector=hca-operator.io/api=" + name
        cluster.kubectl("wait", "--for=delete", "pod", gone, "--timeout=120s")


def decides(server: ApiServer, name: str) -> bool:
    found = server.find("HorizontalPodAutoscaler", "default")
    return any(
        condition["type"] == "ScalingActive" and condition["status"] == "True"
        for autoscaler in found
        if autoscaler["spec"]["scaleTargetRef"]["name"] == name
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
                phases = [LOOKS * number / RUNS for number in range(RUNS)]
                rows.append(row(scaler.name, [run(cluster, server, scaler, phase) for phase in phases]))
            write(rows)  # of an hour's work, what is there


def write(rows: Sequence[tuple[str, ...]]) -> None:
    record(
        "From a step of load to pods",
        COMMAND,
        ("who decides", "count raised", "first new pod ready", f"{ENOUGH} pods ready"),
        rows,
        conditions=f"""
From nothing to {RATE} requests/s through the ingress, {TARGET} for each pod, from 1 pod to {MOST} at most; medians of
{RUNS} runs, which begin at {RUNS} moments, evenly spread, of the {LOOKS:.0f} s from one look of the autoscalers'
controller to the next. All follow the defaults of autoscaling/v2 and start the same pods. KEDA {versions.KEDA} and
Prometheus are built from their Go modules. KEDA asks for a rate over 1 min by default, as its documentation does, and
over 10 s at its fastest.
""".strip(),
    )
