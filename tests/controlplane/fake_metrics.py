"""What metrics-server would say of pods: objects of a kind of its own, since a control plane without nodes has none."""

from datetime import UTC, datetime
from typing import Self

from hca_operator.core.timestamps import time_text
from tests.controlplane.api_server import ApiServer, Manifest, eventually

GROUP = "metrics.k8s.io"
DEFINITION = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {
        "name": f"pods.{GROUP}",
        "annotations": {"api-approved.kubernetes.io": "unapproved, for tests"},
    },
    "spec": {
        "group": GROUP,
        "scope": "Namespaced",
        "names": {"kind": "PodMetrics", "listKind": "PodMetricsList", "plural": "pods", "singular": "pod"},
        "versions": [
            {
                "name": "v1beta1",
                "served": True,
                "storage": True,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
            }
        ],
    },
}


class FakeMetrics:
    """The metrics API while the context lasts."""

    def __init__(self, server: ApiServer) -> None:
        self._server = server

    def __enter__(self) -> Self:
        self._server.apply(DEFINITION)
        eventually(lambda: self._server.answer("GET", "PodMetrics", "default").is_success)
        return self

    def __exit__(self, *_error: object) -> None:
        self._server.delete("CustomResourceDefinition", "", f"pods.{GROUP}")
        eventually(lambda: self._server.answer("GET", "PodMetrics", "default").status_code == 404)

    def fill(self, pod: Manifest, mebibytes: int = 500) -> None:
        """Have a pod use as much; by default it is near the limit of 512 MiB."""
        metadata = pod["metadata"]
        now = datetime.now(UTC)  # noqa: TID251 - metrics-server's clock
        self._server.apply(
            {
                "apiVersion": f"{GROUP}/v1beta1",
                "kind": "PodMetrics",
                "metadata": {name: metadata[name] for name in ("name", "namespace", "labels")},
                "timestamp": time_text(now),
                "window": "15s",
                "containers": [{"name": "api", "usage": {"cpu": "1m", "memory": f"{mebibytes}Mi"}}],
            }
        )

    def forget(self, pod: Manifest) -> None:
        """Remove the reading of a pod that has gone."""
        self._server.delete("PodMetrics", pod["metadata"]["namespace"], pod["metadata"]["name"])
