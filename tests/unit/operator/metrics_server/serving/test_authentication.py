import json
from typing import Any

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from hca_operator.core.errors import Transient
from hca_operator.core.names import Manifest
from hca_operator.metrics_server.serving.authentication import Certificate, FrontProxy, User, read_front_proxy

SETTINGS = {
    "requestheader-client-ca-file": "PEM",
    "requestheader-allowed-names": '["front-proxy-client"]',
    "requestheader-username-headers": '["X-Remote-User"]',
    "requestheader-uid-headers": '["X-Remote-Uid"]',
    "requestheader-group-headers": '["X-Remote-Group"]',
    "requestheader-extra-headers-prefix": '["X-Remote-Extra-"]',
}


def certificate(name: str) -> Certificate:
    """As ssl shows a verified one."""
    return {"subject": ((("organizationName", "front-proxy-client-of-another"),), (("commonName", name),))}


def user(peer: Certificate | None, *headers: tuple[str, str], **settings: Any) -> User | None:
    proxy = FrontProxy.parse({**SETTINGS, **settings})
    return proxy.user(peer, CIMultiDictProxy(CIMultiDict(headers)))


KNOWN = certificate("front-proxy-client")
ANN = ("X-Remote-User", "ann")


def test_the_api_server_names_the_user_for_whom_it_asks() -> None:
    assert user(
        KNOWN, ("x-remote-user", "ann"), ("X-Remote-Uid", "7"), ("X-Remote-Group", "a"), ("X-Remote-Group", "b"),
        ("X-Remote-Extra-Acme.com%2FProject", "one"), ("X-Remote-Extra-Acme.com%2FProject", "two"), ("Accept", "*/*"),
    ) == User(
        "ann", "7", ("a", "b", "system:authenticated"), (("acme.com/project", ("one", "two")),)
    )  # fmt: skip


@pytest.mark.parametrize("peer", [None, {}, certificate("ann"), certificate(""), {"subject": ()}])
def test_the_headers_of_any_other_caller_name_no_user(peer: Certificate | None) -> None:
    assert user(peer, ANN, ("X-Remote-Group", "system:masters")) is None


def test_without_names_every_certificate_of_that_authority_will_do() -> None:
    settings = {"requestheader-allowed-names": "[]"}
    assert user(certificate("any"), ANN, **settings) == User("ann", groups=("system:authenticated",))
    assert user(None, ANN, **settings) is None


@pytest.mark.parametrize("headers", [(), (("X-Remote-User", ""),), (("X-Remote-Group", "system:masters"),)])
def test_a_request_without_a_user_has_no_user(headers: tuple[tuple[str, str], ...]) -> None:
    assert user(KNOWN, *headers) is None


def test_a_user_of_whom_nothing_was_proven_is_not_made_an_authenticated_one() -> None:
    found = user(KNOWN, ("X-Remote-User", "system:anonymous"), ("X-Remote-Group", "system:unauthenticated"))
    assert found is not None
    assert found.groups == ("system:unauthenticated",)


def test_the_headers_are_those_that_the_cluster_says() -> None:
    renamed = {"requestheader-username-headers": json.dumps(["X-First", "X-Second"])}
    assert user(KNOWN, ANN, **renamed) is None
    found = user(KNOWN, ANN, ("X-Second", "bob"), **renamed)
    assert found is not None
    assert found.name == "bob"


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (None, "has no requestheader-client-ca-file: start kube-apiserver with"),
        ({"client-ca-file": "PEM"}, "has no requestheader-client-ca-file"),
        ({**SETTINGS, "requestheader-allowed-names": "front"}, "requestheader-allowed-names must be a JSON list"),
        ({**SETTINGS, "requestheader-group-headers": "7"}, "requestheader-group-headers must be a JSON list"),
    ],
)
async def test_a_configmap_without_an_authority_is_reported_with_what_is_missing(
    data: dict[str, str] | None, complaint: str
) -> None:
    class Cluster:
        async def get(self, kind: str, namespace: str, name: str) -> Manifest | None:
            assert (kind, namespace, name) == ("ConfigMap", "kube-system", "extension-apiserver-authentication")
            return None if data is None else {"data": data}

    with pytest.raises(Transient, match=complaint):
        await read_front_proxy(Cluster())
