"""What the operator does not carry out: it says so in a condition, leaves everything else alone, and recovers."""

import pytest

from hca_operator.api.spec import parse_object
from hca_operator.desired.children import desired_children
from hca_operator.desired.sizing import size
from tests.controlplane.api_server import ApiServer, Manifest, eventually
from tests.controlplane.objects import (
    CHILDREN,
    KIND,
    ROUTES,
    api,
    children,
    condition_of,
    conditions,
    lenient,
    status,
    versions,
)
from tests.controlplane.operator_process import OperatorProcess

pytestmark = pytest.mark.usefixtures("operator")
POD = {"metadata": {"labels": {"app": "theirs"}}, "spec": {"containers": [{"name": "theirs", "image": "theirs"}]}}
THEIRS: dict[str, Manifest] = {
    "Deployment": {
        "apiVersion": "apps/v1",
        "spec": {"replicas": 3, "selector": {"matchLabels": {"app": "theirs"}}, "template": POD},
    },
    "Service": {"apiVersion": "v1", "spec": {"selector": {"app": "theirs"}, "ports": [{"port": 80}]}},
    "PodDisruptionBudget": {
        "apiVersion": "policy/v1",
        "spec": {"maxUnavailable": 0, "selector": {"matchLabels": {"app": "theirs"}}},
    },
    "HorizontalPodAutoscaler": {
        "apiVersion": "autoscaling/v2",
        "spec": {"maxReplicas": 3, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "theirs"}},
    },
    "Ingress": {
        "apiVersion": "networking.k8s.io/v1",
        "spec": {"defaultBackend": {"service": {"name": "theirs", "port": {"number": 80}}}},
    },
    "NetworkPolicy": {
        "apiVersion": "networking.k8s.io/v1",
        "spec": {"podSelector": {"matchLabels": {"app": "theirs"}}, "policyTypes": ["Ingress"]},
    },
}


@pytest.mark.parametrize("kind", THEIRS)
def test_fault_27_an_object_of_another_owner_is_left_alone_until_it_is_deleted(
    kind: str, server: ApiServer, namespace: str
) -> None:
    theirs = {"kind": kind, "metadata": {"name": "shop", "namespace": namespace}, **THEIRS[kind]}
    before = server.create(theirs)
    server.create(api(namespace, **ROUTES))
    found = eventually(lambda: condition_of(server, namespace, "Ready", "ResourceConflict"))
    assert f"{kind} shop exists and is not this object's: rename or delete it" in found["message"]
    assert conditions(server, namespace)["Stalled"]["status"] == "True"
    assert conditions(server, namespace)["Available"]["status"] == "False"
    after = server.get(kind, namespace, "shop")
    assert after is not None
    assert after["spec"] == before["spec"]
    assert not {"ownerReferences", "labels"} & after["metadata"].keys()
    assert not [entry for entry in after["metadata"]["managedFields"] if "hca" in entry["manager"]]
    server.delete(kind, namespace, "shop")
    # No watch event reports an object that is not the operator's own: it looks again by itself.
    eventually(lambda: len(children(server, namespace)) == len(CHILDREN))
    eventually(lambda: condition_of(server, namespace, "Stalled", "NoProblem"))


@pytest.mark.parametrize("kind", THEIRS)
def test_fault_27_an_object_of_another_owner_is_left_alone_although_it_says_what_ours_would(
    kind: str, server: ApiServer, namespace: str
) -> None:
    ours = api(namespace, **ROUTES)
    stored = parse_object({**ours, "metadata": {**ours["metadata"], "uid": "of-no-object", "generation": 1}})
    wanted = {child.kind: child.manifest for child in desired_children(stored, size(stored.spec))}[kind]
    assert wanted is not None
    before = server.create({**wanted, "metadata": {"name": "shop", "namespace": namespace}})
    server.create(ours)
    eventually(lambda: condition_of(server, namespace, "Ready", "ResourceConflict"))
    after = server.get(kind, namespace, "shop")
    assert after is not None
    assert not {"ownerReferences", "labels"} & after["metadata"].keys()
    assert after["spec"] == before["spec"]


def test_fault_27_the_service_of_one_object_is_not_taken_over_by_another(server: ApiServer, namespace: str) -> None:
    owner = server.create(api(namespace))
    eventually(lambda: server.get("Service", namespace, "shop"))
    theirs = server.get("Service", namespace, "shop")
    assert theirs is not None
    labels, owners = theirs["metadata"]["labels"], theirs["metadata"]["ownerReferences"]
    server.create(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "cart", "namespace": namespace, "labels": labels, "ownerReferences": owners},
            "spec": {"ports": [{"port": 80}]},
        }
    )
    server.create(api(namespace, "cart"))
    eventually(lambda: condition_of(server, namespace, "Ready", "ResourceConflict", name="cart"))
    taken = server.get("Service", namespace, "cart")
    assert taken is not None
    assert taken["metadata"]["ownerReferences"][0]["uid"] == owner["metadata"]["uid"]
    assert "selector" not in taken["spec"]


def store(server: ApiServer, written: Manifest) -> None:
    """Store an object that today's CRD refuses; the API server needs a moment to take a CRD over."""
    eventually(
        lambda: server.answer("POST", KIND, written["metadata"]["namespace"], body=written).status_code in {201, 409}
    )


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"port": "eighty"}, "spec.port: "),
        ({"resources": {"limits": {"cpu": "-1", "memory": "1"}}}, "spec.resources.limits.cpu: must be a CPU quantity"),
        ({"env": [None, {"name": "A", "valueFrom": []}], "autoscaling": "no"}, "spec.autoscaling: "),
        ({"workers": {"count": 64}}, "spec.resources.limits.memory: 512Mi is too small for 64 workers"),
    ],
    ids=["type", "quantity", "shape", "memory for workers"],
)
def test_fault_38_an_object_from_before_a_rule_says_what_is_wrong_and_recovers(
    fields: Manifest, message: str, server: ApiServer, namespace: str
) -> None:
    with lenient(server):
        store(server, api(namespace, **fields))
    # The API server begins anew with a kind whose definition changes, and so does every watch of it.
    found = eventually(lambda: condition_of(server, namespace, "Ready", "InvalidSpec"))
    assert message in found["message"]
    assert conditions(server, namespace)["Stalled"]["status"] == "True"
    assert not children(server, namespace)
    server.patch(KIND, namespace, "shop", {"spec": dict.fromkeys(fields)})
    eventually(lambda: children(server, namespace))
    eventually(lambda: condition_of(server, namespace, "Stalled", "NoProblem"))


def test_fault_38_a_value_of_another_type_says_what_is_wrong(server: ApiServer, namespace: str) -> None:
    """Where today's rules cannot be evaluated at all, the API server takes no status: said as long as it does."""
    with lenient(server):
        store(server, api(namespace, resources={"limits": {"cpu": "-1", "memory": True}}))
        found = eventually(lambda: condition_of(server, namespace, "Ready", "InvalidSpec"))
    assert "spec.resources.limits.cpu: must be a CPU quantity" in found["message"]
    assert not children(server, namespace)


def test_fault_38_a_name_from_before_the_rule_says_what_is_wrong(server: ApiServer, namespace: str) -> None:
    name = "1" + "a" * 60
    with lenient(server):
        store(server, api(namespace, name))
        found = eventually(lambda: condition_of(server, namespace, "Ready", "InvalidSpec", name=name))
    assert "metadata.name must be at most 52 characters" in found["message"]
    assert not children(server, namespace, name)


def test_children_serve_on_while_the_object_is_invalid(server: ApiServer, namespace: str) -> None:
    server.create(api(namespace, **ROUTES))
    eventually(lambda: len(children(server, namespace)) == len(CHILDREN))
    eventually(lambda: conditions(server, namespace))
    before = {slot: child["spec"] for slot, child in children(server, namespace).items()}
    server.patch(KIND, namespace, "shop", {"spec": {"workers": {"count": 64}}})
    eventually(lambda: condition_of(server, namespace, "Ready", "InvalidSpec"))
    assert {slot: child["spec"] for slot, child in children(server, namespace).items()} == before


def test_fault_29_a_quota_that_refuses_pods_is_quoted(server: ApiServer, namespace: str) -> None:
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "small", "namespace": namespace}}
    server.create({**quota, "spec": {"hard": {"pods": "0"}}})
    server.create(api(namespace))
    found = eventually(lambda: condition_of(server, namespace, "Ready", "PodsRejected"))
    assert "exceeded quota: small" in found["message"]
    assert "shop-" not in found["message"], "a pod's name would change the message each time"


def test_fault_29_a_quota_that_refuses_a_child_is_quoted_and_the_others_are_made(
    server: ApiServer, namespace: str
) -> None:
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "no-lb", "namespace": namespace}}
    server.create({**quota, "spec": {"hard": {"services.loadbalancers": "0"}}})
    balancer = {"metadata": {"name": "probe"}, "spec": {"type": "LoadBalancer", "ports": [{"port": 80}]}}
    eventually(lambda: server.answer("POST", "Service", namespace, body=balancer, dryRun="All").status_code == 403)
    server.create(api(namespace, service={"type": "LoadBalancer"}))
    found = eventually(lambda: condition_of(server, namespace, "Ready", "ApplyRejected"))
    assert "exceeded quota: no-lb" in found["message"]
    assert ("Deployment", "shop") in children(server, namespace)
    assert ("HorizontalPodAutoscaler", "shop") in children(server, namespace)
    server.patch(KIND, namespace, "shop", {"spec": {"service": {"type": "ClusterIP"}}})
    eventually(lambda: ("Service", "shop") in children(server, namespace))


def test_a_broken_object_holds_up_no_other_and_is_not_written_over_and_over(
    server: ApiServer, namespace: str, operator: OperatorProcess
) -> None:
    server.create({"kind": "Service", "metadata": {"name": "broken", "namespace": namespace}, **THEIRS["Service"]})
    server.create(api(namespace, "broken"))
    eventually(lambda: condition_of(server, namespace, "Ready", "ResourceConflict", name="broken"))
    eventually(lambda: status(server, namespace, "broken")["replicas"] == 2)
    before = versions(server, namespace, "broken")[KIND, "broken"]
    for number in range(10):
        server.create(api(namespace, f"fine-{number}"))
    for number in range(10):
        eventually(lambda n=number: status(server, namespace, f"fine-{n}"))  # type: ignore[misc]
    assert versions(server, namespace, "broken")[KIND, "broken"] == before
    assert operator.probe("healthz") == 200
