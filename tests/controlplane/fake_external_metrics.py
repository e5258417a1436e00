"""An external metrics API as the autoscaler reads it, and another server's as the operator sees it.

Objects of a kind of its own, whose list looks to the autoscaler like the answer of a metrics server. The API server
serves them itself, so their APIService names no Service.
"""

from typing import Self

from dev.control_plane import ControlPlane
from dev.steps import ClusterError
from tests.controlplane.api_server import ApiServer, Manifest, eventually

GROUP = "external.metrics.k8s.io"


class FakeExternalMetrics:
    """The API with one metric, while the context lasts: two would need two kinds of list, and there is but one."""

    def __init__(self, server: ApiServer, control_plane: ControlPlane, metric: str) -> None:
        self._server = server
        self._control_plane = control_plane
        self._metric = metric
        self._definition = f"{metric}.{GROUP}"

    def __enter__(self) -> Self:
        self._server.apply(_definition(self._metric))
        eventually(self._is_served)
        return self

    def __exit__(self, *_error: object) -> None:
        self.end()

    def end(self) -> None:
        """Be there no longer."""
        if self._server.get("CustomResourceDefinition", "", self._definition):
            self._server.delete("CustomResourceDefinition", "", self._definition)
        eventually(lambda: GROUP not in self._control_plane.kubectl("get", "--raw", "/apis"))

    def tell(self, namespace: str, api: str, value: str) -> None:
        """Have the metric of an object at a value."""
        self._control_plane.kubectl(
            "apply", "-f", "-",
            stdin=f"{{apiVersion: {GROUP}/v1beta1, kind: {_kind(self._metric)}, metadata: {{name: {api}, "
            f"namespace: {namespace}, labels: {{hca-operator.io/api: {api}}}}}, metricName: {self._metric}, "
            f"value: '{value}', timestamp: '2026-01-01T00:00:00Z', metricLabels: {{}}}}",
        )  # fmt: skip

    def _is_served(self) -> bool:
        try:
            return self._metric in self._control_plane.kubectl("get", "--raw", f"/apis/{GROUP}/v1beta1")
        except ClusterError:  # the whole group has just gone with another metric, or is not there yet
            return False


def _kind(metric: str) -> str:
    return metric.title().replace("-", "")


def _definition(metric: str) -> Manifest:
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{metric}.{GROUP}",
            "annotations": {"api-approved.kubernetes.io": "unapproved, for tests"},
        },
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": _kind(metric),
                "listKind": "ExternalMetricValueList",
                "plural": metric,
                "singular": metric,
            },
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
