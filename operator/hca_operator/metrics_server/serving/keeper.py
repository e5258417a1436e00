"""The credentials of the metrics API where they are kept: one Secret, which the chart makes and the replicas fill.

Of two replicas that renew at the same time one is refused, and reads what the other has written at its next look.
"""

import logging
from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from hca_operator.core.errors import Transient
from hca_operator.core.names import Manifest
from hca_operator.metrics_server.serving.certificate import Credentials, Step, due, take

logger = logging.getLogger(__name__)


class Secrets(Protocol):
    """The API server."""

    async def get(self, kind: str, namespace: str, name: str) -> Manifest | None:
        """An object, None where it does not exist."""

    async def replace(self, manifest: Manifest) -> Manifest:
        """The whole object; Transient where it has changed since it was read."""


async def look_after(secrets: Secrets, namespace: str, name: str, hosts: Sequence[str], now: datetime) -> Credentials:
    """The credentials to serve with, made or renewed where that is due. Raises HcaError."""
    secret = await secrets.get("Secret", namespace, name)
    if secret is None:
        raise Transient(f"Secret {namespace}/{name} does not exist: helm upgrade makes it again")
    kept = Credentials.parse(secret.get("data") or {})
    step = due(kept, hosts, now)
    if kept is not None and step is Step.NOTHING:
        return kept
    renewed = take(step, kept, hosts, now)
    await secrets.replace({**secret, "data": renewed.data()})
    logger.info("Secret %s/%s: %s", namespace, name, _TOLD[step])
    return renewed


_TOLD = {
    Step.BEGIN: "the first certificate and its authority",
    Step.CERTIFICATE: "a new certificate",
    Step.AUTHORITY: "a new authority, which signs the next certificate",
}
