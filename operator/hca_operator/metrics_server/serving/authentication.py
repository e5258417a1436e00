"""Who asks: the API server tells it in headers, and proves with a certificate that it is the one who tells it.

What kube-apiserver expects of every server behind its aggregator ("requestheader"). The ConfigMap that says by which
certificate it is known may change at any time, so it is read again and again.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self
from urllib.parse import unquote

from multidict import CIMultiDictProxy

from hca_operator.core.errors import Transient
from hca_operator.core.names import Manifest

NAMESPACE = "kube-system"
CONFIG_MAP = "extension-apiserver-authentication"
_AUTHENTICATED, _UNAUTHENTICATED = "system:authenticated", "system:unauthenticated"

Certificate = Mapping[str, Any]
"""As `ssl` shows the verified certificate of a peer."""


class Reader(Protocol):
    """Where the ConfigMap is read."""

    async def get(self, kind: str, namespace: str, name: str) -> Manifest | None:
        """An object, None where it does not exist."""


@dataclass(frozen=True)
class User:
    """Whom a request is made for."""

    name: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: tuple[tuple[str, tuple[str, ...]], ...] = ()


@dataclass(frozen=True)
class FrontProxy:
    """How the API server is known, and in which headers it tells for whom it asks."""

    authority: str
    """Certificates in PEM; one of them has signed the API server's."""
    names: frozenset[str] = frozenset()
    """Common names of which it has one; none: any."""
    users: Sequence[str] = ("X-Remote-User",)
    uids: Sequence[str] = ()
    groups: Sequence[str] = ()
    extras: Sequence[str] = ()
    """What the names of headers with anything else begin with."""

    @classmethod
    def parse(cls, data: Mapping[str, str]) -> Self:
        """What the ConfigMap says. Raises Transient where it does not say enough: it may do so later."""
        if not data.get("requestheader-client-ca-file"):
            raise Transient(
                f"ConfigMap {NAMESPACE}/{CONFIG_MAP} has no requestheader-client-ca-file: start kube-apiserver with "
                "--requestheader-client-ca-file, which every API behind it needs"
            )
        return cls(
            authority=data["requestheader-client-ca-file"],
            names=frozenset(_list(data, "requestheader-allowed-names")),
            users=_list(data, "requestheader-username-headers"),
            uids=_list(data, "requestheader-uid-headers"),
            groups=_list(data, "requestheader-group-headers"),
            extras=_list(data, "requestheader-extra-headers-prefix"),
        )

    def user(self, certificate: Certificate | None, headers: CIMultiDictProxy[str]) -> User | None:
        """For whom the API server asks, None where it is not the API server who does: its headers then mean nothing.

        `certificate` must be verified against `authority`.
        """
        if not certificate or (self.names and self.names.isdisjoint(_common_names(certificate))):
            return None
        name = next(iter(_values(headers, self.users)), None)
        if name is None:
            return None
        groups = tuple(_values(headers, self.groups))
        if not {_AUTHENTICATED, _UNAUTHENTICATED} & set(groups):
            groups += (_AUTHENTICATED,)
        return User(name, next(iter(_values(headers, self.uids)), ""), groups, self._extra(headers))

    def _extra(self, headers: CIMultiDictProxy[str]) -> tuple[tuple[str, tuple[str, ...]], ...]:
        found: dict[str, tuple[str, ...]] = {}
        for header, value in headers.items():
            for prefix in self.extras:
                if header.lower().startswith(prefix.lower()):
                    key = unquote(header[len(prefix) :].lower())
                    found[key] = (*found.get(key, ()), value)
        return tuple(sorted(found.items()))


async def read_front_proxy(reader: Reader) -> FrontProxy:
    """What the cluster says now. Raises HcaError."""
    found = await reader.get("ConfigMap", NAMESPACE, CONFIG_MAP)
    return FrontProxy.parse((found or {}).get("data") or {})


def _list(data: Mapping[str, str], key: str) -> tuple[str, ...]:
    try:
        parsed = json.loads(data.get(key) or "[]")
    except ValueError:
        parsed = None
    if not isinstance(parsed, list):
        raise Transient(f"ConfigMap {NAMESPACE}/{CONFIG_MAP}: {key} must be a JSON list of texts, not {data[key]!r}")
    return tuple(map(str, parsed))


def _values(headers: CIMultiDictProxy[str], names: Sequence[str]) -> list[str]:
    return [value for name in names for value in headers.getall(name, ()) if value]


def _common_names(certificate: Certificate) -> set[str]:
    return {value for part in certificate.get("subject", ()) for key, value in part if key == "commonName"}
