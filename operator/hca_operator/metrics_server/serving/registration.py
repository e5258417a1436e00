"""The APIService that registers this server for external.metrics.k8s.io; a cluster has only one.

The pods create it and not the chart: so they can leave that of another server alone, and register when it is deleted.
The ClusterRole of the install owns it, so that `helm uninstall` deletes it: with an APIService whose server is gone, no
namespace could be deleted, and every discovery would report an error.
"""

import base64
import logging
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from hca_operator.core.errors import Transient
from hca_operator.core.names import MANAGED_BY, MANAGED_BY_LABEL, Manifest
from hca_operator.core.ports import Applier, Getter
from hca_operator.metrics_server.serving.server import SERVED_GROUP, SERVED_VERSION
from hca_operator.scaling.capabilities import REGISTRATION, server_of

logger = logging.getLogger(__name__)


class ApiServices(Getter, Applier, Protocol):
    """Reads and writes the APIService and reads its owner."""


@dataclass(frozen=True)
class ServiceReference:
    """The Service of the metrics API."""

    namespace: str
    name: str
    port: int

    def reference(self) -> dict[str, Any]:
        """In the form of an APIService."""
        return {"namespace": self.namespace, "name": self.name, "port": self.port}


class RegistrationVerdict(NamedTuple):
    """Whether the APIService is to be written, and which other server it names."""

    apply: Manifest | None = None
    held_by: str | None = None
    """The other server that it names; None if there is none."""


def desired(service: ServiceReference, owner: Manifest, bundle: bytes) -> Manifest:
    """The APIService that names this server. `bundle`: certificates of its authorities in PEM."""
    reference = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
    }
    return {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {
            "name": REGISTRATION,
            "labels": {MANAGED_BY_LABEL: MANAGED_BY},
            "ownerReferences": [reference],
        },
        "spec": {
            "group": SERVED_GROUP,
            "version": SERVED_VERSION,
            "groupPriorityMinimum": 100,
            "versionPriority": 100,
            "service": service.reference(),
            "caBundle": base64.b64encode(bundle).decode(),
        },
    }


def judge_registration(found: Manifest | None, wanted: Manifest) -> RegistrationVerdict:
    """What to do about the APIService. `found`: the existing one, None if there is none."""
    if found is None:
        return RegistrationVerdict(apply=wanted)
    server = server_of(found)
    if server is None:
        return RegistrationVerdict(held_by="the API server itself, for a CustomResourceDefinition of that group")
    if server != server_of(wanted):
        return RegistrationVerdict(held_by=f"Service {server}")
    if found["metadata"].get("deletionTimestamp") or _covers(found, wanted):
        return RegistrationVerdict()
    known = {"resourceVersion": found["metadata"]["resourceVersion"]}
    return RegistrationVerdict(apply={**wanted, "metadata": {**wanted["metadata"], **known}})


async def ensure_registered(
    server: ApiServices, service: ServiceReference, owner: str, bundle: bytes
) -> RegistrationVerdict:
    """Write the APIService, unless it names another server. Raises HcaError."""
    role = await server.get("ClusterRole", "", owner)
    if role is None:
        raise Transient(
            f"ClusterRole {owner} does not exist, which owns the APIService {REGISTRATION}: run helm upgrade, which "
            "creates it"
        )
    verdict = judge_registration(await server.get("APIService", "", REGISTRATION), desired(service, role, bundle))
    if verdict.apply is not None:
        # On a conflict, another server was faster and keeps it.
        exists = "resourceVersion" in verdict.apply["metadata"]
        await (server.apply if exists else server.apply_new)(verdict.apply)
        logger.info("APIService %s leads to Service %s/%s", REGISTRATION, service.namespace, service.name)
    return verdict


def _covers(found: Manifest, wanted: Manifest) -> bool:
    (owner,) = wanted["metadata"]["ownerReferences"]
    metadata = found["metadata"]
    return (
        all(found["spec"].get(name) == value for name, value in wanted["spec"].items())
        and owner["uid"] in {reference["uid"] for reference in metadata.get("ownerReferences", [])}
        and wanted["metadata"]["labels"].items() <= metadata.get("labels", {}).items()
    )
