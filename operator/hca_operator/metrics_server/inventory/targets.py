"""Where the metrics of an object are, read from manifests in which any field may be missing: pure."""

import re
from datetime import datetime
from typing import NamedTuple

from hca_operator.api.monitoring import Monitoring
from hca_operator.api.pod import Health
from hca_operator.api.spec_fields import SpecFields
from hca_operator.api.traffic import Service
from hca_operator.core.names import API_LABEL, Manifest
from hca_operator.core.observed import condition, serves
from hca_operator.core.ports import Key
from hca_operator.core.timestamps import time_of
from hca_operator.metrics_server.inventory.object_metrics import metrics_of, source_of

# Defaults of the schema, for objects as the API server sends them.
PORT: int = SpecFields.model_fields["port"].default
METRICS_PATH: str = Monitoring.model_fields["path"].default
READINESS_PATH: str = Health.model_fields["readiness_path"].default
SERVICE_PORT: int = Service.model_fields["port"].default

_PATH = re.compile("/[!-~]*")
"""What fits into the first line of a request; the schema of the objects allows less."""


class Endpoint(NamedTuple):
    """Where each pod of an object exposes its metrics."""

    port: int
    path: str
    ignored_paths: frozenset[str]
    """Paths of probes and scrapes: requests for them are no load."""


class Pod(NamedTuple):
    """A pod that is ready."""

    uid: str
    name: str
    address: str
    ready_since: datetime | None = None
    """By the clock of its node; None if it is not known."""


def endpoint_of(api: Manifest) -> Endpoint | None:
    """Where the pods of an object expose their metrics, None if they are not scraped."""
    spec = api.get("spec") or {}
    monitoring = spec.get("monitoring") or {}
    path = monitoring.get("path") or METRICS_PATH
    if _source(spec) != "App" or not _PATH.fullmatch(path):
        return None
    return Endpoint(monitoring.get("port") or spec.get("port") or PORT, path, ignored_paths_of(spec))


def ignored_paths_of(spec: Manifest) -> frozenset[str]:
    """The paths by which an object is probed and scraped."""
    metrics = (spec.get("monitoring") or {}).get("path") or METRICS_PATH
    readiness = (spec.get("health") or {}).get("readinessPath") or READINESS_PATH
    return frozenset({metrics, readiness})


def cluster_of(api: Manifest) -> str | None:
    """The name that Contour gives the Service of an object in Envoy's statistics, None if they are not read."""
    spec, (namespace, name) = api.get("spec") or {}, Key.of(api)
    port = (spec.get("service") or {}).get("port") or SERVICE_PORT
    return f"{namespace}_{name}_{port}" if _source(spec) == "Ingress" else None


def _source(spec: Manifest) -> str | None:
    """`monitoring.source` of an object, None if it has no metric that is read there."""
    return source_of(spec) if any(metric.type.from_pods for metric in metrics_of(spec)) else None


def ready_pod(pod: Manifest) -> Pod | None:
    """The pod, None if it is not ready or is being deleted."""
    metadata, address = pod["metadata"], (pod.get("status") or {}).get("podIP")
    if not address or not serves(pod):
        return None
    return Pod(metadata["uid"], metadata["name"], address, time_of(condition(pod, "Ready"), "lastTransitionTime"))


def api_of_pod(pod: Manifest) -> Key:
    """The object to which a pod belongs by its label, which is what the Service selects by."""
    return Key(pod["metadata"]["namespace"], pod["metadata"]["labels"][API_LABEL])


def stripped_pod(pod: Manifest) -> Manifest:
    """What is read of a pod: of a list of thousands, a hundredth."""
    ready = condition(pod, "Ready")
    kept = {name: pod["metadata"][name] for name in _POD_METADATA if name in pod["metadata"]}
    kept["labels"] = {API_LABEL: (kept.get("labels") or {}).get(API_LABEL)}
    address = (pod.get("status") or {}).get("podIP")
    return {"metadata": kept, "status": {"podIP": address, "conditions": [ready] if ready else []}}


def stripped_api(api: Manifest) -> Manifest:
    """What is read of an object."""
    metadata, spec = api["metadata"], api.get("spec") or {}
    return {
        "metadata": {name: metadata[name] for name in _API_METADATA if name in metadata},
        "spec": {name: spec[name] for name in _API_SPEC if name in spec},
    }


_POD_METADATA = ("namespace", "name", "uid", "resourceVersion", "labels", "deletionTimestamp")
_API_METADATA = ("namespace", "name", "uid", "resourceVersion")
_API_SPEC = ("autoscaling", "health", "monitoring", "port", "service")
