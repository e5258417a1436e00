"""Names, labels and selectors that live objects carry: none of them may ever change.

A Deployment's selector is immutable, a Service is addressed by its name, and what selects pods must go on selecting
those that an earlier release made.
"""

from typing import Any

from hca_operator.api.crd import crd
from hca_operator.core import names
from hca_operator.core.names import Manifest
from hca_operator.desired.children import desired_children
from hca_operator.desired.sizing import size
from tests.unit.operator.objects import UID, api_object

API = {"hca-operator.io/api": "shop"}
STABLE = {**API, "hca-operator.io/track": "stable"}
LABELS = {**API, "app.kubernetes.io/managed-by": "hca-operator", "app.kubernetes.io/name": "shop"}
FOR_EVER = "live objects rely on this: it may never change"


def children(**fields: Any) -> dict[tuple[str, str], Manifest]:
    api = api_object(traffic={"routes": [{"host": "shop.example.com"}]}, **fields)
    return {(kind, name): manifest for kind, name, manifest in desired_children(api, size(api.spec)) if manifest}


def test_the_children_keep_their_names() -> None:
    assert list(children()) == [
        ("Deployment", "shop"),
        ("Service", "shop"),
        ("PodDisruptionBudget", "shop"),
        ("HorizontalPodAutoscaler", "shop"),
        ("Ingress", "shop"),
        ("NetworkPolicy", "shop"),
    ], FOR_EVER


def test_the_selectors_stay() -> None:
    found = children()
    assert found["Deployment", "shop"]["spec"]["selector"] == {"matchLabels": STABLE}, FOR_EVER
    assert found["Service", "shop"]["spec"]["selector"] == API, FOR_EVER
    assert found["PodDisruptionBudget", "shop"]["spec"]["selector"] == {"matchLabels": API}, FOR_EVER
    assert found["NetworkPolicy", "shop"]["spec"]["podSelector"] == {"matchLabels": API}, FOR_EVER
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "shop"}
    assert found["HorizontalPodAutoscaler", "shop"]["spec"]["scaleTargetRef"] == target, FOR_EVER


def test_fault_19_the_pods_carry_what_selects_them_whatever_labels_the_user_asks_for() -> None:
    own = {"team": "shop", "app.kubernetes.io/name": "other", "app.kubernetes.io/managed-by": "someone"}
    labels = children(podLabels=own)["Deployment", "shop"]["spec"]["template"]["metadata"]["labels"]
    assert labels == {"team": "shop", **LABELS, **STABLE}, FOR_EVER


def test_every_child_is_labelled_and_owned_without_holding_up_deletion() -> None:
    for child in children().values():
        assert child["metadata"]["labels"] == LABELS, FOR_EVER
        (owner,) = child["metadata"]["ownerReferences"]
        assert owner == {
            "apiVersion": "hca-operator.io/v1alpha1",
            "kind": "HighConcurrencyApi",
            "name": "shop",
            "uid": UID,
            "controller": True,
            "blockOwnerDeletion": False,
        }


def test_the_container_and_its_port_keep_their_names() -> None:
    (container,) = children()["Deployment", "shop"]["spec"]["template"]["spec"]["containers"]
    assert container["name"] == "api", FOR_EVER
    assert [port["name"] for port in container["ports"]] == ["http"], FOR_EVER
    (port,) = children()["Service", "shop"]["spec"]["ports"]
    assert (port["name"], port["targetPort"]) == ("http", "http"), FOR_EVER


def test_the_field_manager_stays() -> None:
    assert names.FIELD_MANAGER == "hca-operator", FOR_EVER


def test_fault_07_the_longest_name_leaves_room_for_every_suffix() -> None:
    longest = "a" * names.MAX_NAME_LENGTH
    suffixes = ("-7d4b9c8f6d", "-canary", "-preview", "-stable")  # the first is a ReplicaSet's, the others are reserved
    assert len(longest + max(suffixes, key=len)) <= 63


def test_the_resource_keeps_its_names() -> None:
    assert crd()["spec"]["names"] == {
        "kind": "HighConcurrencyApi",
        "listKind": "HighConcurrencyApiList",
        "plural": "highconcurrencyapis",
        "singular": "highconcurrencyapi",
        "shortNames": ["hcapi"],
        "categories": ["hca"],
    }
    (version,) = crd()["spec"]["versions"]
    assert (crd()["spec"]["group"], version["name"]) == ("hca-operator.io", "v1alpha1")
    assert version["subresources"]["scale"]["specReplicasPath"] == ".spec.replicas"
