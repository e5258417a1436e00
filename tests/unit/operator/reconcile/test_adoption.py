"""Objects that ran the API before are taken over, step by step, on a cluster in memory."""

from typing import Any

import pytest

from hca_operator.core.names import ADOPT_ANNOTATION, ADOPT_WITH_LOSS_ANNOTATION, Manifest
from hca_operator.reconcile.steps import EVENT_MISSED_SECONDS
from tests.unit.operator.fake_cluster import FakeCluster
from tests.unit.operator.objects import NAME, NAMESPACE, manifest
from tests.unit.operator.reconcile.passes import API, DEPLOYMENT, KEY, SERVICE, ready, reconciler, settle

LABELS = {"app": "shop"}


def cluster_with_theirs(*, new: bool, **fields: Any) -> FakeCluster:
    """An object that names a running Deployment and a Service; `new`: it has no status yet."""
    cluster = FakeCluster()
    template = {"metadata": {"labels": LABELS}}
    for kind, spec in (
        ("Deployment", {"replicas": 4, "selector": {"matchLabels": LABELS}, "template": template}),
        ("Service", {"selector": LABELS, "ports": [{"port": 80}], "clusterIP": "10.0.0.7"}),
    ):
        metadata = {"name": NAME, "namespace": NAMESPACE, "uid": f"uid-of-{kind}", "labels": LABELS}
        cluster.put({"kind": kind, "metadata": metadata, "spec": spec})
    stored = manifest(**fields)
    stored["metadata"]["annotations"] = {ADOPT_ANNOTATION: "uid-of-Deployment, uid-of-Service"}
    cluster.put(stored if new else {**stored, "status": {"observedGeneration": 1}})
    return cluster


def roll_out(cluster: FakeCluster) -> None:
    live = cluster.objects[DEPLOYMENT]
    status: Manifest = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), 4)
    progressing = [{"type": "Progressing", "reason": "NewReplicaSetAvailable"}]
    status |= {"observedGeneration": live["metadata"]["generation"], "conditions": progressing}
    cluster.edit(DEPLOYMENT, "status", value=status)


def confirm_losses(cluster: FakeCluster) -> None:
    cluster.edit(API, "metadata", "annotations", ADOPT_WITH_LOSS_ANNOTATION, value="uid-of-Deployment,uid-of-Service")


def neighbour(kind: str, name: str = "old", /, **spec: Any) -> Manifest:
    return {"kind": kind, "metadata": {"name": name, "namespace": NAMESPACE, "uid": f"uid-of-{name}"}, "spec": spec}


@pytest.mark.parametrize("new", [True, False])
async def test_the_deployment_is_adopted_at_once_and_the_service_when_it_is_rolled_out(*, new: bool) -> None:
    cluster = cluster_with_theirs(new=new)
    looking = reconciler(cluster)
    await settle(cluster, looking)
    adopted = cluster.objects[DEPLOYMENT]
    assert adopted["metadata"]["uid"] == "uid-of-Deployment"
    assert adopted["metadata"]["ownerReferences"][0]["name"] == NAME
    assert adopted["spec"]["selector"] == {"matchLabels": LABELS}, "it is immutable"
    assert adopted["spec"]["replicas"] == 4
    assert "ownerReferences" not in cluster.objects[SERVICE]["metadata"], "pods of the new template do not serve yet"
    assert cluster.objects[SERVICE]["spec"]["selector"] == LABELS
    roll_out(cluster)
    await settle(cluster, looking)
    service = cluster.objects[SERVICE]
    assert (service["metadata"]["uid"], service["spec"]["clusterIP"]) == ("uid-of-Service", "10.0.0.7")
    assert service["metadata"]["ownerReferences"][0]["name"] == NAME
    assert service["spec"]["selector"] != LABELS
    assert ready(cluster)["status"] == "True"


async def test_while_a_service_waits_for_the_rollout_another_pass_is_due_soon() -> None:
    cluster = cluster_with_theirs(new=True)
    outcome = await settle(cluster)
    assert outcome.requeue_after is not None
    assert outcome.requeue_after <= EVENT_MISSED_SECONDS


@pytest.mark.parametrize("new", [True, False])
async def test_a_count_that_their_autoscaler_decides_is_not_taken_over(*, new: bool) -> None:
    cluster = cluster_with_theirs(new=new, autoscaling={"mode": "Disabled"}, replicas=2)
    target = {"scaleTargetRef": {"kind": "Deployment", "name": NAME}}
    cluster.put({
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "theirs", "namespace": NAMESPACE, "uid": "x"}, "spec": target,
    })  # fmt: skip
    confirm_losses(cluster)
    await settle(cluster)
    assert ready(cluster)["reason"] == "ResourceConflict"
    assert "HorizontalPodAutoscaler theirs and spec.replicas both set the number of pods" in ready(cluster)["message"]
    assert cluster.objects[DEPLOYMENT]["spec"]["replicas"] == 4


async def test_an_object_that_another_controller_writes_is_not_adopted() -> None:
    cluster = cluster_with_theirs(new=False)
    owner = {"kind": "Rollout", "apiVersion": "argoproj.io/v1", "name": "shop", "uid": "x", "controller": True}
    cluster.edit(DEPLOYMENT, "metadata", "ownerReferences", value=[owner])
    await settle(cluster)
    assert ready(cluster)["reason"] == "ResourceConflict"
    assert "cannot be adopted while Rollout shop controls it" in ready(cluster)["message"]
    assert cluster.objects[DEPLOYMENT]["metadata"]["ownerReferences"] == [owner]


async def test_a_service_whose_clients_would_lose_a_port_is_not_adopted() -> None:
    cluster = cluster_with_theirs(new=False)
    cluster.edit(SERVICE, "spec", "ports", value=[{"port": 80}, {"port": 9090}])
    looking = reconciler(cluster)
    await settle(cluster, looking)
    roll_out(cluster)
    await settle(cluster, looking)
    assert "Service shop would lose port 9090/TCP" in ready(cluster)["message"]
    assert "ownerReferences" not in cluster.objects[SERVICE]["metadata"]


@pytest.mark.parametrize("new", [True, False])
async def test_what_would_be_lost_is_refused_until_that_is_confirmed(*, new: bool) -> None:
    cluster = cluster_with_theirs(new=new)
    pod = {
        "initContainers": [{"name": "migrate"}],
        "containers": [{"name": "shop"}],
        "hostAliases": [{"ip": "10.0.0.9"}],
    }
    cluster.edit(DEPLOYMENT, "spec", "template", "spec", value=pod)
    looking = reconciler(cluster)
    await settle(cluster, looking)
    assert ready(cluster)["reason"] == "ResourceConflict"
    assert ready(cluster)["message"] == (
        "Deployment shop would lose init container migrate, hostAliases, which this object does not have. "
        "To adopt it nevertheless, annotate this HighConcurrencyApi with "
        "hca-operator.io/adopt-with-loss: uid-of-Deployment"
    )
    assert cluster.objects[DEPLOYMENT]["spec"]["template"]["spec"] == pod
    confirm_losses(cluster)
    await settle(cluster, looking)
    assert cluster.objects[DEPLOYMENT]["metadata"]["ownerReferences"][0]["name"] == NAME
    assert "initContainers" not in cluster.objects[DEPLOYMENT]["spec"]["template"]["spec"]


@pytest.mark.parametrize(
    ("other", "reported"),
    [
        (neighbour("HorizontalPodAutoscaler", scaleTargetRef={"kind": "Deployment", "name": NAME}), True),
        (neighbour("HorizontalPodAutoscaler", scaleTargetRef={"kind": "Deployment", "name": "b"}), False),
        (neighbour("PodDisruptionBudget", selector={"matchLabels": LABELS}), True),
        (neighbour("PodDisruptionBudget", selector={}), True),
        (neighbour("PodDisruptionBudget", selector={"matchExpressions": [{"key": "app", "operator": "Exists"}]}), True),
        (neighbour("PodDisruptionBudget", selector={"matchLabels": {"app": "other"}}), False),
        (neighbour("PodDisruptionBudget"), False),
        (neighbour("Ingress", rules=[{"http": {"paths": [{"backend": {"service": {"name": NAME}}}]}}]), True),
        (neighbour("Ingress", defaultBackend={"service": {"name": NAME}}), True),
        (neighbour("Ingress", rules=[{"host": "x"}, {"http": {"paths": [{"backend": {"resource": {}}}]}}]), False),
    ],
)
async def test_what_acts_on_the_deployment_besides_is_named_before_it_is_adopted(
    other: Manifest, *, reported: bool
) -> None:
    cluster = cluster_with_theirs(new=False)
    cluster.put(other)
    looking = reconciler(cluster)
    await settle(cluster, looking)
    kept = f"would keep {other['kind']} old: delete each that this object replaces"
    assert (kept in ready(cluster)["message"]) == reported
    assert ("ownerReferences" in cluster.objects[DEPLOYMENT]["metadata"]) != reported
    del cluster.objects[(other["kind"], NAMESPACE, "old")]
    await settle(cluster, looking)
    assert cluster.objects[DEPLOYMENT]["metadata"]["ownerReferences"][0]["name"] == NAME


async def test_a_list_that_no_message_can_hold_is_cut() -> None:
    cluster = cluster_with_theirs(new=False)
    many = {"initContainers": [{"name": f"i{number}"} for number in range(22)], "containers": []}
    cluster.edit(DEPLOYMENT, "spec", "template", "spec", value=many)
    await settle(cluster)
    assert "init container i19, 2 more, which this object does not have" in ready(cluster)["message"]


async def test_neighbours_that_another_controller_makes_are_named_with_it() -> None:
    cluster = cluster_with_theirs(new=False)
    other = neighbour("HorizontalPodAutoscaler", "keda-hpa-shop", scaleTargetRef={"kind": "Deployment", "name": NAME})
    owner = {"kind": "ScaledObject", "apiVersion": "keda.sh/v1alpha1", "name": "shop", "uid": "x", "controller": True}
    cluster.put({**other, "metadata": {**other["metadata"], "ownerReferences": [owner]}})
    await settle(cluster)
    assert "HorizontalPodAutoscaler keda-hpa-shop of ScaledObject shop" in ready(cluster)["message"]


async def test_an_object_is_not_ready_before_its_service_is_adopted_although_the_deployment_was_applied_again() -> None:
    """Another process applies it once more, which changes nothing in the pods."""
    cluster = cluster_with_theirs(new=False)
    await settle(cluster)
    roll_out(cluster)
    await reconciler(cluster).reconcile(KEY)
    assert ready(cluster)["status"] == "True"
    assert cluster.objects[SERVICE]["metadata"]["ownerReferences"][0]["name"] == NAME
