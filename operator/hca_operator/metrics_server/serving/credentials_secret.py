"""The Secret with the certificate and keys of the metrics server: the chart creates it, the replicas write its data.

If two replicas renew at the same time, one gets a conflict, and reads at its next try what the other has written.
"""

import logging
from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from hca_operator.core.errors import Transient
from hca_operator.core.ports import Getter, Replacer
from hca_operator.metrics_server.serving.certificate import CertificateStep, Credentials, due, take_step

logger = logging.getLogger(__name__)


class Secrets(Getter, Replacer, Protocol):
    """Reads and writes the Secret."""


async def current_credentials(
    secrets: Secrets, namespace: str, name: str, hosts: Sequence[str], now: datetime
) -> Credentials:
    """The credentials to serve `hosts` with, created or renewed if that is due. Raises HcaError."""
    secret = await secrets.get("Secret", namespace, name)
    if secret is None:
        raise Transient(f"Secret {namespace}/{name} does not exist: run helm upgrade, which creates it")
    kept = Credentials.parse(secret.get("data") or {})
    step = due(kept, hosts, now)
    if kept is not None and step is CertificateStep.NOTHING:
        return kept
    renewed = take_step(step, kept, hosts, now)
    await secrets.replace({**secret, "data": renewed.data()})
    logger.info("Secret %s/%s: %s", namespace, name, _LOG[step])
    return renewed


_LOG = {
    CertificateStep.BEGIN: "the first certificate and its authority",
    CertificateStep.CERTIFICATE: "a new certificate",
    CertificateStep.AUTHORITY: "a new authority, which signs the next certificate",
}
