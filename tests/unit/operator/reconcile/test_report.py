"""What a pass reports in the status and as events, and when the next one is due."""

import copy
from datetime import UTC, datetime, timedelta

import pytest

from hca_operator.core.errors import Forbidden, Rejected, Transient
from hca_operator.core.names import API_LABEL, REPLACED_FOR_MEMORY, REPLACED_LABEL, Manifest
from hca_operator.core.observed import condition
from hca_operator.core.ports import Key
from tests.unit.operator.objects import NAME, NAMESPACE
from tests.unit.operator.reconcile.passes import (
    API,
    DEPLOYMENT,
    KEY,
    NOW,
    SERVICE,
    change,
    cluster_with,
    of_another_owner,
    ready,
    reconciler,
    settle,
    trackers_with,
)


async def test_pods_that_are_not_ready_are_looked_at_ever_more_slowly() -> None:
    cluster = cluster_with()
    waits = []
    for minutes in (0, 1, 2, 60):
        looking = reconciler(cluster, now=NOW + timedelta(minutes=minutes))
        waits.append((await looking.reconcile(KEY)).requeue_after)
    assert waits == [1.0, 6.0, 12.0, 30.0]


async def test_passes_over_the_unready_objects_of_a_namespace_share_a_rate() -> None:
    trackers = trackers_with()
    for number in range(1000):
        trackers.keep_polled(Key(NAMESPACE, f"other-{number}"), polled=True)
        trackers.keep_polled(Key("elsewhere", f"other-{number}"), polled=True)
    cluster = cluster_with()
    await settle(cluster)
    looking = reconciler(cluster, trackers=trackers, now=NOW + timedelta(hours=1))
    assert (await looking.reconcile(KEY)).requeue_after == 100.0
    for number in range(1000):
        trackers.keep_polled(Key(NAMESPACE, f"other-{number}"), polled=False)
    assert (await looking.reconcile(KEY)).requeue_after == 30.0
    assert trackers.polled[NAMESPACE] == {NAME}
    cluster.remove(API, cluster.objects[API]["metadata"]["uid"])
    await looking.reconcile(KEY)
    assert NAMESPACE not in trackers.polled


def of_a_predecessor(service: Manifest) -> Manifest:
    (owner,) = service["metadata"]["ownerReferences"]
    return {**service, "metadata": {**service["metadata"], "ownerReferences": [{**owner, "uid": "earlier"}]}}


@pytest.mark.parametrize("waits", ["refused", "a child that fails", "a detached pod"])
async def test_so_do_passes_over_all_that_no_watch_event_ends(waits: str) -> None:
    """A tenant may have a thousand of each; a pod is detached by a label, and may wait for a node for ever."""
    trackers = trackers_with()
    cluster = cluster_with()
    looking = reconciler(cluster, trackers=trackers)
    await settle(cluster, looking)
    if waits == "refused":
        change(cluster, autoscaling={"minReplicas": 3, "maxReplicas": 2})
    elif waits == "a child that fails":
        cluster.put(of_a_predecessor(cluster.objects[SERVICE]))
        for _ in range(2):
            with pytest.raises(Transient):
                await looking.reconcile(KEY)
    else:
        status: Manifest = {f"{counted}Replicas": 2 for counted in ("ready", "updated", "available")}
        progressing = {"type": "Progressing", "reason": "NewReplicaSetAvailable"}
        status |= {"observedGeneration": 1, "replicas": 2, "conditions": [progressing]}
        cluster.edit(DEPLOYMENT, "status", value=status)
        labels = {API_LABEL: NAME, REPLACED_LABEL: REPLACED_FOR_MEMORY}
        metadata = {"name": "waits", "namespace": NAMESPACE, "uid": "1", "labels": labels}
        cluster.put({"kind": "Pod", "metadata": metadata, "spec": {}, "status": {}})
        trackers.replacements.keep(KEY, under_way=True)
    await settle(cluster, looking)
    assert ready(cluster)["status"] == ("True" if waits == "a detached pod" else "False")
    for number in range(999):
        trackers.keep_polled(Key(NAMESPACE, f"other-{number}"), polled=True)
    assert (await looking.reconcile(KEY)).requeue_after == 100.0


async def test_a_status_of_others_that_is_no_time_is_no_crash() -> None:
    cluster = cluster_with()
    await settle(cluster)
    for entry in cluster.objects[API]["status"]["conditions"]:
        entry["lastTransitionTime"] = "2026-01-02t03:04:05z"
    assert (await settle(cluster)).requeue_after is not None


async def test_what_flips_is_reported_as_an_event() -> None:
    cluster = cluster_with()
    cluster.put(of_another_owner(SERVICE))
    await settle(cluster)
    assert [(event["type"], event["reason"]) for event in cluster.events] == [("Warning", "ResourceConflict")]
    cluster.remove(SERVICE, cluster.objects[SERVICE]["metadata"]["uid"])
    await settle(cluster)
    assert [event["reason"] for event in cluster.events] == ["ResourceConflict", "RollingOut"]


async def test_an_event_that_cannot_be_written_holds_up_nothing() -> None:
    undisturbed = cluster_with()
    undisturbed.put(of_another_owner(SERVICE))
    await reconciler(undisturbed).reconcile(KEY)
    cluster = cluster_with()
    cluster.put(of_another_owner(SERVICE))
    cluster.fail_at = undisturbed.calls.index("create Event ResourceConflict")
    cluster.error = Forbidden("cannot create events")
    await reconciler(cluster).reconcile(KEY)
    assert cluster.events == []
    assert ready(cluster)["reason"] == "ResourceConflict"


async def test_an_autoscaler_that_acts_while_a_watch_lags_takes_no_ready_away() -> None:
    cluster = cluster_with()
    looking = reconciler(cluster)
    await settle(cluster, looking)
    live = cluster.objects[DEPLOYMENT]
    live["status"] = {
        "observedGeneration": 1, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2,
        "conditions": [{"type": "Progressing", "reason": "NewReplicaSetAvailable"}],
    }  # fmt: skip
    await settle(cluster, looking)
    assert ready(cluster)["status"] == "True"
    cluster.edit(DEPLOYMENT, "spec", "replicas", value=4)
    cluster.edit(DEPLOYMENT, "metadata", "generation", value=2)
    seen = copy.deepcopy(cluster.objects[DEPLOYMENT])
    cluster.edit(DEPLOYMENT, "status", "replicas", value=2)  # a version that the watch has not reported
    now, cluster.objects[DEPLOYMENT] = cluster.objects[DEPLOYMENT], seen
    cluster.before_apply = lambda: cluster.objects.update({DEPLOYMENT: now})
    with pytest.raises(Transient, match="modified"):
        await looking.reconcile(KEY)
    await settle(cluster, looking)
    assert ready(cluster)["status"] == "True"


async def test_what_is_due_is_done_on_time_however_long_pods_have_not_been_ready() -> None:
    begins = {"name": "open", "cron": "5 4 * * *", "duration": "1h", "minReplicas": 4}
    cluster = cluster_with(autoscaling={"schedules": [begins]})
    await settle(cluster)
    late = reconciler(cluster, now=datetime(2026, 1, 2, 4, 4, 57, tzinfo=UTC))
    assert (await late.reconcile(KEY)).requeue_after == 3, "after an hour, pods alone are looked at each 30 seconds"


async def test_no_tolerance_counts_as_dropped_while_the_autoscaler_cannot_be_written() -> None:
    """The stored autoscaler is the earlier one then: it says nothing about what the API server drops."""
    cluster = cluster_with()
    looking = reconciler(cluster)
    await settle(cluster, looking)
    change(cluster, autoscaling={"behavior": {"scaleUp": {"tolerance": "0.05"}}})
    apply_ = cluster.apply

    async def refused(manifest: Manifest, *, subresource: str = "") -> Manifest:
        if manifest["kind"] == "HorizontalPodAutoscaler":
            raise Rejected("denied by a webhook")
        return await apply_(manifest, subresource=subresource)

    cluster.apply = refused  # type: ignore[method-assign]
    await looking.reconcile(KEY)
    assert ready(cluster)["reason"] == "ApplyRejected"
    assert "unsupported" not in cluster.objects[API]["status"]


@pytest.mark.parametrize("autoscaling", ["no", {"metrics": "no"}, {"metrics": [None, "Prometheus"]}, []], ids=repr)
async def test_fault_38_an_object_of_any_shape_is_reported(autoscaling: object) -> None:
    cluster = cluster_with()
    cluster.objects[API]["spec"]["autoscaling"] = autoscaling
    await reconciler(cluster).reconcile(KEY)
    assert ready(cluster)["reason"] == "InvalidSpec"


async def test_fault_71_the_problem_of_a_pod_that_is_being_replaced_is_not_that_of_the_latest_generation() -> None:
    """The user has corrected the name of the image: as long as old pods are there, the new one was said to be wrong."""
    cluster = cluster_with(image="shop:2")
    reconcile = reconciler(cluster).reconcile
    await reconcile(KEY)
    deployment = cluster.objects[DEPLOYMENT]
    deployment["metadata"].setdefault("annotations", {})["deployment.kubernetes.io/revision"] = "2"
    generation = deployment["metadata"].get("generation", 1)
    deployment["metadata"]["generation"] = generation
    deployment["status"] = {"observedGeneration": generation, "replicas": 3, "updatedReplicas": 1}
    cluster.put(deployment)
    owner = [{"kind": "Deployment", "name": NAME, "uid": deployment["metadata"]["uid"], "controller": True}]
    pulling = {"waiting": {"reason": "ImagePullBackOff"}}
    for revision, state in (("1", pulling), ("2", {"waiting": {"reason": "ContainerCreating"}})):
        labels = {"hca-operator.io/api": NAME, "hca-operator.io/track": "stable", "pod-template-hash": revision}
        metadata = {"name": f"shop-{revision}", "namespace": NAMESPACE, "uid": revision, "labels": labels}
        annotations = {"deployment.kubernetes.io/revision": revision}
        replica_set = {**metadata, "annotations": annotations, "ownerReferences": owner}
        cluster.put({"kind": "ReplicaSet", "metadata": replica_set})
        status = {"containerStatuses": [{"name": "api", "state": state}]}
        cluster.put({"kind": "Pod", "metadata": metadata, "status": status})

    async def reason() -> str:
        await reconcile(KEY)
        found: str = condition(cluster.objects[API], "Ready")["reason"]
        return found

    assert await reason() == "RollingOut"
    cluster.edit(("Pod", NAMESPACE, "shop-2"), "status", "containerStatuses", value=[{"name": "api", "state": pulling}])
    assert await reason() == "ImagePullFailed"
    cluster.edit(("Pod", NAMESPACE, "shop-2"), "status", "containerStatuses", value=None)
    cluster.refuses = lambda call: Forbidden("cannot list") if call == "list ReplicaSet" else None
    assert await reason() == "ImagePullFailed", "what cannot be distinguished is reported"
