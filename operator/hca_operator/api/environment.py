"""The environment variables of the container, and where their values come from."""

import re
from typing import Annotated

from pydantic import Field, StringConstraints

from hca_operator.api.schema import ListMap, Rule, SpecModel
from hca_operator.api.types import LABEL_KEY, DnsSubdomain

ALWAYS_RESERVED_ENV: dict[str, str] = {
    "GRANIAN_HOST": "the operator's own: the server must listen on every address of the pod",
    "GRANIAN_PORT": "spec.port",
    "GRANIAN_WORKERS": "spec.workers.count",
    "GRANIAN_RESPAWN_FAILED_WORKERS": "the operator's own: a dead worker is always replaced",
    "GRANIAN_HTTP1_HEADER_READ_TIMEOUT": "the operator's own: matched with the balancers' keep-alive",
    "GRANIAN_WORKERS_KILL_TIMEOUT": "spec.availability.terminationGracePeriod",
    "GRANIAN_WORKERS_MAX_RSS": "spec.memoryRestart.worker",
    "GRANIAN_RSS_SAMPLE_INTERVAL": "spec.memoryRestart.sampleInterval",
    "GRANIAN_RSS_SAMPLES": "spec.memoryRestart.samples",
}
"""Variables that the operator sets, and the field that decides each."""

_FIELD_PATH = (
    r"metadata\.(name|namespace|uid)|metadata\.(labels|annotations)\['" + LABEL_KEY + r"'\]|"
    r"spec\.(nodeName|serviceAccountName)|status\.(podIP|podIPs|hostIP|hostIPs)"
)

EnvName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_.-]*$", max_length=256)]
KeyName = Annotated[str, StringConstraints(pattern=r"^[-._a-zA-Z0-9]+$", max_length=253)]


class LocalObject(SpecModel):
    """A reference to an object in the same namespace."""

    name: DnsSubdomain
    """Name of the object, in the same namespace."""


class KeySelector(SpecModel):
    """One key of a ConfigMap or Secret."""

    name: DnsSubdomain
    """Name of the ConfigMap or Secret, in the same namespace."""
    key: KeyName
    """Key whose value is used."""
    optional: bool | None = None
    """Whether pods may start if the object or the key does not exist."""


class FieldSelector(SpecModel):
    """A field of the pod itself."""

    field_path: Annotated[
        str,
        StringConstraints(max_length=512),
        Rule(
            cel=f'self.matches(r"^({_FIELD_PATH})$")',
            message="must be metadata.name, metadata.namespace, metadata.uid, metadata.labels['KEY'], "
            "metadata.annotations['KEY'], spec.nodeName, spec.serviceAccountName, status.podIP, status.podIPs, "
            "status.hostIP or status.hostIPs",
            check=lambda path: re.fullmatch(_FIELD_PATH, path) is not None,
        ),
    ]
    """Path of the field, such as metadata.name or status.podIP."""


class EnvSource(SpecModel):
    """Where the value of a variable comes from."""

    config_map_key_ref: KeySelector | None = None
    """A key of a ConfigMap."""
    secret_key_ref: KeySelector | None = None
    """A key of a Secret."""
    field_ref: FieldSelector | None = None
    """A field of the pod."""

    rules = (
        Rule(
            cel="[has(self.configMapKeyRef), has(self.secretKeyRef), has(self.fieldRef)].filter(x, x).size() == 1",
            message="must have exactly one of configMapKeyRef, secretKeyRef and fieldRef",
            check=lambda s: [s.config_map_key_ref, s.secret_key_ref, s.field_ref].count(None) == 2,
        ),
    )


class EnvVar(SpecModel):
    """An environment variable of the container."""

    name: EnvName
    """Name of the variable."""
    value: Annotated[str, StringConstraints(max_length=32768)] | None = None
    """Its value."""
    value_from: EnvSource | None = None
    """Source of the value, instead of value."""

    rules = (
        Rule(
            cel="!(has(self.value) && has(self.valueFrom))",
            message="must have either value or valueFrom, not both",
            check=lambda e: e.value is None or e.value_from is None,
        ),
        Rule(
            cel=f"!(self.name in [{', '.join(repr(name) for name in ALWAYS_RESERVED_ENV)}])",
            message="is set by the operator: use spec.port, spec.workers, spec.memoryRestart or "
            "spec.availability.terminationGracePeriod instead",
            check=lambda e: e.name not in ALWAYS_RESERVED_ENV,
            field_path=".name",
        ),
    )


class EnvFromSource(SpecModel):
    """All keys of a ConfigMap or Secret as environment variables."""

    prefix: Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_.-]*$", max_length=128)] | None = None
    """Prefix of each variable name."""
    config_map_ref: LocalObject | None = None
    """The ConfigMap."""
    secret_ref: LocalObject | None = None
    """The Secret."""

    rules = (
        Rule(
            cel="has(self.configMapRef) != has(self.secretRef)",
            message="must have exactly one of configMapRef and secretRef",
            check=lambda s: (s.config_map_ref is None) != (s.secret_ref is None),
        ),
    )


EnvList = Annotated[list[EnvVar], ListMap("name"), Field(max_length=128)]
EnvFromList = Annotated[list[EnvFromSource], Field(max_length=16)]
