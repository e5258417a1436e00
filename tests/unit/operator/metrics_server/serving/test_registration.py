import base64
from typing import Any

import pytest

from hca_operator.core.errors import Transient
from hca_operator.core.names import Manifest
from hca_operator.metrics_server.serving.registration import (
    ServiceReference,
    desired,
    ensure_registered,
    judge_registration,
)
from hca_operator.scaling.capabilities import REGISTRATION

OURS = ServiceReference("hca-system", "hca-operator-metrics", 8443)
ROLE = {"metadata": {"name": "hca-operator-metrics", "uid": "role-1"}}
WANTED = desired(OURS, ROLE, b"PEM")


def there(*, spec: Manifest | None = None, **metadata: Any) -> Manifest:
    """What we have made, as the API server shows it, with changes of others."""
    (owner,) = WANTED["metadata"]["ownerReferences"]
    return {
        **WANTED,
        "metadata": {
            **WANTED["metadata"],
            "resourceVersion": "7",
            "ownerReferences": [{**owner, "controller": False}],
            **metadata,
        },
        "spec": {**WANTED["spec"], **(spec or {})},
        "status": {},
    }


def test_it_leads_here_with_the_authority_and_goes_with_the_install() -> None:
    assert WANTED["metadata"]["name"] == REGISTRATION == "v1beta1.external.metrics.k8s.io"
    assert WANTED["spec"]["service"] == {"namespace": "hca-system", "name": "hca-operator-metrics", "port": 8443}
    assert base64.b64decode(WANTED["spec"]["caBundle"]) == b"PEM"
    assert "insecureSkipTLSVerify" not in WANTED["spec"]
    assert [(owner["kind"], owner["uid"]) for owner in WANTED["metadata"]["ownerReferences"]] == [
        ("ClusterRole", "role-1")
    ]


def test_where_there_is_none_it_is_made() -> None:
    assert judge_registration(None, WANTED) == (WANTED, None)


def test_ours_is_left_alone_while_it_is_right() -> None:
    assert judge_registration(there(), WANTED) == (None, None)


@pytest.mark.parametrize(
    "found",
    [
        there(spec={"caBundle": "b2xk"}),
        there(spec={"service": {**WANTED["spec"]["service"], "port": 443}}),
        there(spec={"versionPriority": 1}),
        there(ownerReferences=[]),
        there(ownerReferences=[{"kind": "ClusterRole", "uid": "of-an-install-before"}]),
        there(labels={}),
    ],
)
def test_ours_is_put_right_as_it_was_seen(found: Manifest) -> None:
    applied, held_by = judge_registration(found, WANTED)
    assert applied == {**WANTED, "metadata": {**WANTED["metadata"], "resourceVersion": "7"}}
    assert held_by is None


@pytest.mark.parametrize(
    ("service", "name"),
    [
        ({"namespace": "keda", "name": "keda-metrics", "port": 443}, "Service keda/keda-metrics"),
        ({"namespace": "other", "name": OURS.name, "port": 8443}, "Service other/hca-operator-metrics"),
        (None, "the API server itself"),
    ],
)
def test_an_apiservice_that_leads_elsewhere_belongs_to_another_server(service: Manifest | None, name: str) -> None:
    applied, held_by = judge_registration(there(spec={"service": service}), WANTED)
    assert applied is None
    assert held_by is not None
    assert held_by.startswith(name)


def test_one_that_is_going_is_waited_for() -> None:
    going = there(deletionTimestamp="2026-01-02T03:04:05Z", spec={"caBundle": "b2xk"})
    assert judge_registration(going, WANTED) == (None, None)


class Cluster:
    """Has what a test puts in, and notes what is applied and what is made."""

    def __init__(self, role: Manifest | None, service: Manifest | None) -> None:
        self.objects = {("ClusterRole", "hca-operator-metrics"): role, ("APIService", REGISTRATION): service}
        self.applied: list[Manifest] = []
        self.made: list[Manifest] = []

    async def get(self, kind: str, namespace: str, name: str) -> Manifest | None:
        assert namespace == ""
        return self.objects[kind, name]

    async def apply(self, manifest: Manifest, *, subresource: str = "") -> Manifest:
        assert not subresource
        self.applied.append(manifest)
        return manifest

    async def apply_new(self, manifest: Manifest) -> Manifest:
        self.made.append(manifest)
        return manifest


async def test_a_new_one_is_only_made_for_another_server_may_be_faster() -> None:
    cluster = Cluster(ROLE, None)
    await ensure_registered(cluster, OURS, "hca-operator-metrics", b"PEM")
    assert (cluster.made, cluster.applied) == ([WANTED], [])


async def test_ours_is_changed_by_force_and_in_the_version_that_was_seen() -> None:
    cluster = Cluster(ROLE, there(spec={"caBundle": "b2xk"}))
    await ensure_registered(cluster, OURS, "hca-operator-metrics", b"PEM")
    (applied,) = cluster.applied
    assert applied["metadata"]["resourceVersion"] == "7"
    assert not cluster.made


async def test_without_the_role_with_which_it_would_go_nothing_is_made() -> None:
    cluster = Cluster(None, None)
    with pytest.raises(Transient, match="ClusterRole hca-operator-metrics does not exist"):
        await ensure_registered(cluster, OURS, "hca-operator-metrics", b"PEM")
    assert not cluster.applied + cluster.made
