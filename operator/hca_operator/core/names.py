"""The names that other objects, users and earlier releases rely on: none of them may ever change.

A Deployment's selector is immutable and a Service is addressed by its name, so a golden test freezes all of this.
"""

from typing import Any, Final

Manifest = dict[str, Any]
"""A Kubernetes object as JSON data, the only form in which objects travel through the operator."""

GROUP: Final = "hca-operator.io"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"
KIND: Final = "HighConcurrencyApi"
PLURAL: Final = "highconcurrencyapis"
SINGULAR: Final = "highconcurrencyapi"
SHORT_NAME: Final = "hcapi"
CATEGORY: Final = "hca"

FIELD_MANAGER: Final = "hca-operator"
"""Owns every field that the operator means to keep as it is."""

BURST_MANAGER: Final = "hca-operator-burst"
"""Field manager that writes `replicas` for a burst; the HorizontalPodAutoscaler owns it from its next write on."""

ADOPT_ANNOTATION: Final = f"{GROUP}/adopt"
"""On the object: uids of what it takes over (docs/design/0007)."""
ADOPT_WITH_LOSS_ANNOTATION: Final = f"{GROUP}/adopt-with-loss"
"""On the object: uids of what it takes over although that loses what the object has no field for."""
TEMPLATE_ANNOTATION: Final = f"{GROUP}/pod-template"
"""On the Deployment: digest of the pod template that was applied."""
RESTART_ANNOTATION: Final = f"{GROUP}/restart"
"""On the object: from when on its pods are to be new ones, as an RFC 3339 time; the operator never clears it."""
RESTARTED_ANNOTATION: Final = f"{GROUP}/restarted-at"
"""On the pod template: the newest restart that was due. Another time is another template, and so a rollout."""
REPLACED_LABEL: Final = f"{GROUP}/replaced"
"""On a pod that was taken out of its ReplicaSet to be replaced: why (docs/design/0009)."""
REPLACED_FOR_MEMORY: Final = "memory"
DETACHED_LABEL: Final = f"{GROUP}/detached"
"""On such a pod, and in the selector of the ReplicaSet of its own: the pod's uid (docs/design/0028)."""
MEASURE_ANNOTATION: Final = f"{GROUP}/judged-by"
"""On such a pod: by which measure of its memory it was judged."""
EVICTION_ANNOTATION: Final = f"{GROUP}/eviction-refused-at"
"""On such a pod: when it was last refused to be evicted by a disruption budget with outdated numbers."""
HASH_LABEL: Final = "pod-template-hash"
"""Kubernetes' own: by it a ReplicaSet knows its pods."""
CONFIG_ANNOTATION: Final = f"{GROUP}/config"
"""On the Deployment: digest of the ConfigMaps and Secrets that were carried out. On its pods: of those for which they
were replaced (docs/design/0010)."""
REVISION_ANNOTATION: Final = "deployment.kubernetes.io/revision"
"""Kubernetes' own, on the Deployment: how many templates it has had."""
API_LABEL: Final = f"{GROUP}/api"
TRACK_LABEL: Final = f"{GROUP}/track"
STABLE: Final = "stable"
MANAGED_BY_LABEL: Final = "app.kubernetes.io/managed-by"
MANAGED_BY: Final = "hca-operator"

SCOPE_LABEL: Final = f"{GROUP}/scope"
"""On the Lease of an install: for which objects it is."""
SCOPE_CLUSTER: Final = "cluster"
SCOPE_NAMESPACE: Final = "namespace"

METRIC_LABEL: Final = f"{GROUP}/metric"
"""In the selector of an external metric of type Prometheus: the name of the metric in the object. The names of the
external metrics themselves are in `metric_types`."""

CONTAINER: Final = "api"
PORT_NAME: Final = "http"

MAX_NAME_LENGTH: Final = 52
"""Room for `-canary`, `-preview`, `-stable` and a ReplicaSet's hash in a label value of 63 characters."""
