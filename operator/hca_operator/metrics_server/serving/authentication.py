"""Authenticates requests: kube-apiserver names the user in headers, and proves itself with a client certificate.

kube-apiserver expects this of every server behind its aggregation layer ("requestheader" authentication). The ConfigMap
with the authority of that certificate may change at any time, so it is read again at an interval.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import unquote

from multidict import CIMultiDictProxy

from hca_operator.core.errors import Transient
from hca_operator.core.ports import Getter

NAMESPACE = "kube-system"
AUTHENTICATION_CONFIG_MAP = "extension-apiserver-authentication"
_AUTHENTICATED, _UNAUTHENTICATED = "system:authenticated", "system:unauthenticated"

Certificate = Mapping[str, Any]
"""The verified certificate of a peer, as `ssl` returns it."""


@dataclass(frozen=True)
class User:
    """The user for whom a request is made."""

    name: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: tuple[tuple[str, tuple[str, ...]], ...] = ()


@dataclass(frozen=True)
class FrontProxy:
    """How kube-apiserver authenticates itself, and the headers in which it names the user."""

    authority: str
    """Certificates in PEM; one of them has signed the client certificate of kube-apiserver."""
    names: frozenset[str] = frozenset()
    """Common names that its certificate may have; empty for any."""
    users: Sequence[str] = ("X-Remote-User",)
    uids: Sequence[str] = ()
    groups: Sequence[str] = ()
    extras: Sequence[str] = ()
    """Prefixes of the headers with further attributes."""

    @classmethod
    def parse(cls, data: Mapping[str, str]) -> Self:
        """Parse the data of the ConfigMap. Raises Transient if something is missing, which may be added later."""
        if not data.get("requestheader-client-ca-file"):
            raise Transient(
                f"ConfigMap {NAMESPACE}/{AUTHENTICATION_CONFIG_MAP} has no requestheader-client-ca-file: start "
                "kube-apiserver with --requestheader-client-ca-file, which every API behind it needs"
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
        """The user of a request; None if the request is not from kube-apiserver.

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


async def read_front_proxy(source: Getter) -> FrontProxy:
    """Read the ConfigMap. Raises HcaError."""
    found = await source.get("ConfigMap", NAMESPACE, AUTHENTICATION_CONFIG_MAP)
    return FrontProxy.parse((found or {}).get("data") or {})


def _list(data: Mapping[str, str], key: str) -> tuple[str, ...]:
    try:
        parsed = json.loads(data.get(key) or "[]")
    except ValueError:
        parsed = None
    if not isinstance(parsed, list):
        raise Transient(
            f"ConfigMap {NAMESPACE}/{AUTHENTICATION_CONFIG_MAP}: {key} must be a JSON list of texts, not {data[key]!r}"
        )
    return tuple(map(str, parsed))


def _values(headers: CIMultiDictProxy[str], names: Sequence[str]) -> list[str]:
    return [value for name in names for value in headers.getall(name, ()) if value]


def _common_names(certificate: Certificate) -> set[str]:
    return {value for part in certificate.get("subject", ()) for key, value in part if key == "commonName"}
