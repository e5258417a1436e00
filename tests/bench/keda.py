"""KEDA on the local cluster while a benchmark lasts."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dev import cache, tools, workloads
from dev.steps import Step
from tests.controlplane.api_server import eventually
from tests.e2e.cluster import Cluster
from tests.e2e.prometheus import build_images

REGISTRATION = "v1beta1.external.metrics.k8s.io"
OPERATOR_IMAGE, ADAPTER_IMAGE = f"keda:{tools.KEDA.version}", f"keda-adapter:{tools.KEDA.version}"
KEDA = workloads.Addon(
    "keda",
    tools.KEDA.module,
    tools.KEDA.version,
    "config",
    {
        "ghcr.io/kedacore/keda": OPERATOR_IMAGE,
        "ghcr.io/kedacore/keda-metrics-apiserver": ADAPTER_IMAGE,
    },
    (("keda", "deployment/keda-operator"), ("keda", "deployment/keda-metrics-apiserver")),
)


@contextmanager
def keda(cluster: Cluster) -> Iterator[None]:
    """KEDA answers for external metrics; afterwards it is gone, and ours does again."""
    build_images(tools.KEDA, {OPERATOR_IMAGE: "operator", ADAPTER_IMAGE: "adapter"})
    step = Step("keda", cache.LOGS / "keda.log")
    manifest = workloads.render(step, KEDA)
    for image in (OPERATOR_IMAGE, ADAPTER_IMAGE):
        cluster.load_images([image])
    try:
        # Two servers cannot hold it at once; ours is back as soon as it is free, so it may take more than one try.
        eventually(lambda: _take_over(cluster, manifest), within=60, pause=1)
        for namespace, workload in KEDA.workloads:
            cluster.kubectl("rollout", "status", "--namespace", namespace, workload, "--timeout=180s")
        cluster.kubectl("wait", "--for=condition=Available", f"apiservice/{REGISTRATION}", "--timeout=120s")
        yield
    finally:
        cluster.kubectl("delete", "--ignore-not-found", "--wait=false", "-f", manifest)
        cluster.until(lambda: _holder(cluster) == "hca-operator-metrics", "ours answers again", seconds=120)


def _take_over(cluster: Cluster, manifest: Path) -> bool:
    cluster.kubectl("delete", "--ignore-not-found", "apiservice", REGISTRATION)
    cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", manifest)
    return _holder(cluster) == "keda-metrics-apiserver"


def _holder(cluster: Cluster) -> str:
    path = "jsonpath={.spec.service.name}"
    return cluster.kubectl("get", "apiservice", REGISTRATION, "--ignore-not-found", "--output", path)
