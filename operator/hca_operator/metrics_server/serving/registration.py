"""The APIService that sends autoscalers here. There is one for the whole cluster, and it may be another server's.

It is made by the pods and not by the chart: only so can one that belongs to somebody else be left alone, and be taken
when it becomes free. It is owned by the ClusterRole of the install, so it goes with `helm uninstall`: without a server
behind it, no namespace could be deleted, and every discovery would complain.
"""

import base64
import logging
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from hca_operator.core.errors import Transient
from hca_operator.core.names import MANAGED_BY, MANAGED_BY_LABEL, Manifest
from hca_operator.metrics_server.serving.server import GROUP, VERSION
from hca_operator.scaling.capabilities import REGISTRATION, server_of

logger = logging.getLogger(__name__)


class Server(Protocol):
    """The API server."""

    async def get(self, kind: str, namespace: str, name: str) -> Manifest | None:
        """An object, None where it does not exist."""

    async def apply(self, manifest: Manifest) -> Manifest:
        """Server-side apply by force."""

    async def apply_new(self, manifest: Manifest) -> Manifest:
        """Server-side apply of what is not there."""


@dataclass(frozen=True)
class Service:
    """Where the metrics API is reached."""

    namespace: str
    name: str
    port: int

    def reference(self) -> dict[str, Any]:
        """As an APIService names it."""
        return {"namespace": self.namespace, "name": self.name, "port": self.port}


class Verdict(NamedTuple):
    """What is to be done."""

    apply: Manifest | None = None
    held_by: str | None = None
    """Who has it instead."""


def wanted(service: Service, owner: Manifest, bundle: bytes) -> Manifest:
    """The APIService as it should be."""
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
            "group": GROUP,
            "version": VERSION,
            "groupPriorityMinimum": 100,
            "versionPriority": 100,
            "service": service.reference(),
            "caBundle": base64.b64encode(bundle).decode(),
        },
    }


def judge(found: Manifest | None, wished: Manifest) -> Verdict:
    """What to do about what is there."""
    if found is None:
        return Verdict(apply=wished)
    server = server_of(found)
    if server is None:
        return Verdict(held_by="the API server itself, for a CustomResourceDefinition of that group")
    if server != server_of(wished):
        return Verdict(held_by=f"Service {server}")
    if found["metadata"].get("deletionTimestamp") or _covers(found, wished):
        return Verdict()
    known = {"resourceVersion": found["metadata"]["resourceVersion"]}
    return Verdict(apply={**wished, "metadata": {**wished["metadata"], **known}})


async def register(server: Server, service: Service, owner: str, bundle: bytes) -> Verdict:
    """Have the APIService lead here where nobody else has it. Raises HcaError."""
    role = await server.get("ClusterRole", "", owner)
    if role is None:
        raise Transient(
            f"ClusterRole {owner} does not exist, with which the APIService {REGISTRATION} would go: make it"
        )
    verdict = judge(await server.get("APIService", "", REGISTRATION), wanted(service, role, bundle))
    if verdict.apply is not None:
        # Whoever was faster keeps it.
        known = "resourceVersion" in verdict.apply["metadata"]
        await (server.apply if known else server.apply_new)(verdict.apply)
        logger.info("APIService %s leads to Service %s/%s", REGISTRATION, service.namespace, service.name)
    return verdict


def _covers(found: Manifest, wished: Manifest) -> bool:
    (owner,) = wished["metadata"]["ownerReferences"]
    metadata = found["metadata"]
    return (
        all(found["spec"].get(name) == value for name, value in wished["spec"].items())
        and owner["uid"] in {reference["uid"] for reference in metadata.get("ownerReferences", [])}
        and wished["metadata"]["labels"].items() <= metadata.get("labels", {}).items()
    )
