"""A test's own connection to the API server, apart from the operator's code."""

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self, TypeVar

import httpx

from tests.controlplane.kubeconfig import client_context, server_of

Manifest = dict[str, Any]
T = TypeVar("T")

PATHS = {
    "Namespace": "/api/v1/namespaces",
    "ConfigMap": "/api/v1/namespaces/{}/configmaps",
    "Secret": "/api/v1/namespaces/{}/secrets",
    "Service": "/api/v1/namespaces/{}/services",
    "Event": "/api/v1/namespaces/{}/events",
    "ServiceAccount": "/api/v1/namespaces/{}/serviceaccounts",
    "Pod": "/api/v1/namespaces/{}/pods",
    "PodMetrics": "/apis/metrics.k8s.io/v1beta1/namespaces/{}/pods",
    "ResourceQuota": "/api/v1/namespaces/{}/resourcequotas",
    "LimitRange": "/api/v1/namespaces/{}/limitranges",
    "Deployment": "/apis/apps/v1/namespaces/{}/deployments",
    "ReplicaSet": "/apis/apps/v1/namespaces/{}/replicasets",
    "PodDisruptionBudget": "/apis/policy/v1/namespaces/{}/poddisruptionbudgets",
    "HorizontalPodAutoscaler": "/apis/autoscaling/v2/namespaces/{}/horizontalpodautoscalers",
    "Ingress": "/apis/networking.k8s.io/v1/namespaces/{}/ingresses",
    "NetworkPolicy": "/apis/networking.k8s.io/v1/namespaces/{}/networkpolicies",
    "HighConcurrencyApi": "/apis/hca-operator.io/v1alpha1/namespaces/{}/highconcurrencyapis",
    "ExternalMetric": "/apis/external.metrics.k8s.io/v1beta1/namespaces/{}",
    "Role": "/apis/rbac.authorization.k8s.io/v1/namespaces/{}/roles",
    "ClusterRole": "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    "ClusterRoleBinding": "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
    "APIService": "/apis/apiregistration.k8s.io/v1/apiservices",
    "Lease": "/apis/coordination.k8s.io/v1/namespaces/{}/leases",
    "CustomResourceDefinition": "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
}
MERGE, JSON_PATCH, APPLY = "merge-patch+json", "json-patch+json", "apply-patch+yaml"


class ApiServer:
    """Requests as the administrator."""

    def __init__(self, kubeconfig: Path) -> None:
        self._http = httpx.Client(
            base_url=server_of(kubeconfig), verify=client_context(kubeconfig), timeout=30, trust_env=False
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._http.close()

    def answer(
        self,
        verb: str,
        kind: str,
        namespace: str = "",
        name: str = "",
        *,
        body: Any = None,
        as_: str = "json",
        **query: Any,
    ) -> httpx.Response:
        """The answer to a request, whatever its status. A body of bytes is sent as it is."""
        path = PATHS[kind].format(namespace) + (f"/{name}" if name else "")
        headers = {"Content-Type": f"application/{as_}"}
        sent = {"content": body} if isinstance(body, bytes) else {"json": body}
        return self._http.request(verb, path, params=query, headers=headers, **sent)

    def get(self, kind: str, namespace: str, name: str) -> Manifest | None:
        """An object, None where it does not exist."""
        response = self.answer("GET", kind, namespace, name)
        return None if response.status_code == 404 else _content(response)

    def find(self, kind: str, namespace: str, **query: str) -> Sequence[Manifest]:
        """Objects of a namespace."""
        items = _content(self.answer("GET", kind, namespace, **query))["items"]
        return [{"kind": kind, **item} for item in items]

    def create(self, manifest: Manifest) -> Manifest:
        """Create an object."""
        metadata = manifest["metadata"]
        return _content(self.answer("POST", manifest["kind"], metadata.get("namespace", ""), body=manifest))

    def apply(self, manifest: Manifest, *, manager: str = "user", **query: Any) -> Manifest:
        """Server-side apply by force."""
        metadata = manifest["metadata"]
        return _content(
            self.answer(
                "PATCH", manifest["kind"], metadata.get("namespace", ""), metadata["name"],
                body=manifest, as_=APPLY, fieldManager=manager, force=True, **query,
            )
        )  # fmt: skip

    def patch(self, kind: str, namespace: str, name: str, body: Any, *, as_: str = MERGE) -> Manifest:
        """Change an object; the name may lead to a subresource."""
        return _content(self.answer("PATCH", kind, namespace, name, body=body, as_=as_))

    def delete(self, kind: str, namespace: str, name: str) -> None:
        """Delete an object as kubectl does."""
        _content(self.answer("DELETE", kind, namespace, name, body={"propagationPolicy": "Background"}))

    def version(self, kind: str, namespace: str) -> str:
        """Where the history of a kind stands now, for `changes_since`."""
        return str(_content(self.answer("GET", kind, namespace))["metadata"]["resourceVersion"])

    def changes_since(self, version: str, kind: str, namespace: str) -> Sequence[Manifest]:
        """Each state that an object of a kind has gone through since, none left out."""
        shown = self.answer("GET", kind, namespace, watch="true", resourceVersion=version, timeoutSeconds=1)
        return [json.loads(line)["object"] for line in shown.text.splitlines()]


SHORTEST_PAUSE = 0.02
"""Seconds between the first two looks of `eventually`."""


def eventually(look: Callable[[], T], *, within: float = 60.0, pause: float = 0.3) -> T:
    """The first result that is true; AssertionError with the last failure when the time is over.

    The pause between two looks grows with the time that has passed, up to `pause` seconds: many tests wait beside each
    other, and what they ask for is the work of the machine that they wait for.
    """
    started = time.monotonic()
    deadline = started + within
    while True:
        try:
            result = look()
            if result:
                return result
            trouble: BaseException = AssertionError(f"still {result!r}")
        except (AssertionError, KeyError, TypeError, ValueError) as error:
            trouble = error
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within:g} s: {trouble!r}") from trouble
        time.sleep(min(max(SHORTEST_PAUSE, (time.monotonic() - started) / 8), pause))


def _content(response: httpx.Response) -> Manifest:
    assert response.is_success, f"{response.request.method} {response.request.url.path}: {response.text}"
    content: Manifest = response.json()
    return content
