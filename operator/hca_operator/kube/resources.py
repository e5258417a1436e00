"""Where the API server serves each kind that the operator uses."""

from dataclasses import dataclass
from urllib.parse import urlencode

from hca_operator.core.names import API_VERSION, KIND, PLURAL


@dataclass(frozen=True)
class Resource:
    """Group, version and plural name of a kind."""

    api_version: str
    plural: str


RESOURCES: dict[str, Resource] = {
    KIND: Resource(API_VERSION, PLURAL),
    "Deployment": Resource("apps/v1", "deployments"),
    "ReplicaSet": Resource("apps/v1", "replicasets"),
    "Service": Resource("v1", "services"),
    "PodDisruptionBudget": Resource("policy/v1", "poddisruptionbudgets"),
    "HorizontalPodAutoscaler": Resource("autoscaling/v2", "horizontalpodautoscalers"),
    "Ingress": Resource("networking.k8s.io/v1", "ingresses"),
    "NetworkPolicy": Resource("networking.k8s.io/v1", "networkpolicies"),
    "Pod": Resource("v1", "pods"),
    "PodMetrics": Resource("metrics.k8s.io/v1beta1", "pods"),
    "Event": Resource("v1", "events"),
    "Lease": Resource("coordination.k8s.io/v1", "leases"),
    "ConfigMap": Resource("v1", "configmaps"),
    "Secret": Resource("v1", "secrets"),
    "ClusterRole": Resource("rbac.authorization.k8s.io/v1", "clusterroles"),
    "APIService": Resource("apiregistration.k8s.io/v1", "apiservices"),
    "Signal": Resource("external.metrics.k8s.io/v1beta1", "signals"),
    "SubjectAccessReview": Resource("authorization.k8s.io/v1", "subjectaccessreviews"),
}
METADATA_ONLY = {"ConfigMap", "Secret"}
"""Kinds that are listed and watched without their content, which may be a mebibyte each: it is read by name."""


def path_of(kind: str, namespace: str, name: str, query: dict[str, str] | None) -> str:
    """The path of an object, of a subresource (`name/subresource`), or without a name of the collection."""
    resource = RESOURCES[kind]
    root = "/api" if "/" not in resource.api_version else "/apis"
    scope = f"namespaces/{namespace}/" if namespace else ""
    path = f"{root}/{resource.api_version}/{scope}{resource.plural}"
    return path + (f"/{name}" if name else "") + (f"?{urlencode(query)}" if query else "")


def accepted_in_lists(kind: str) -> str:
    """The Accept header of a list."""
    return _accepted(kind, "PartialObjectMetadataList")


def accepted_in_watches(kind: str) -> str:
    """The Accept header of a watch."""
    return _accepted(kind, "PartialObjectMetadata")


def _accepted(kind: str, metadata: str) -> str:
    return f"application/json;as={metadata};v=v1;g=meta.k8s.io" if kind in METADATA_ONLY else "application/json"
