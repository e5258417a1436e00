"""What cannot be read or written is reported, and everything else is carried out."""

from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from hca_operator.core.errors import Conflict, Forbidden, HcaError, Rejected, Transient
from hca_operator.core.names import API_LABEL, Manifest
from hca_operator.core.observed import condition
from hca_operator.desired.children import CHILD_KINDS
from hca_operator.reconcile.reconciler import Reconciler
from hca_operator.reconcile.retries import LONGEST_RETRY_WAIT_SECONDS, REPORTED_AFTER
from hca_operator.restarts.rollout_gate import RolloutGate
from tests.unit.operator.fake_cluster import FakeCluster
from tests.unit.operator.objects import NAME
from tests.unit.operator.reconcile.passes import (
    API,
    DEPLOYMENT,
    DISABLED,
    INGRESS,
    KEY,
    NOW,
    ROUTES,
    SERVICE,
    change,
    cluster_with,
    ready,
    reconciler,
    settle,
)

Refusal = Callable[[str], HcaError]
SERVER_ERROR: Refusal = lambda call: Transient(f"{call}: failed calling webhook")  # noqa: E731
RIGHT: Refusal = lambda call: Forbidden(f"{call}: cannot patch")  # noqa: E731
QUOTA: Refusal = lambda call: Rejected(f"{call}: exceeded quota")  # noqa: E731
FULL: dict[str, Any] = {**ROUTES, "autoscaling": {"maxReplicas": 7}, "podAnnotations": {"a": "b"}, "port": 9000}
"""A change that reaches the Deployment, the autoscaler and the Ingress."""


class World:
    """An operator, and the time that passes."""

    def __init__(self, cluster: FakeCluster) -> None:
        self.cluster, self.seconds, self.gate = cluster, 0.0, RolloutGate(3)
        self.restart()

    def restart(self) -> None:
        self.reconciler: Reconciler = reconciler(
            self.cluster, gate=self.gate, now=lambda: NOW + timedelta(seconds=self.seconds)
        )

    async def passes(self, number: int = REPORTED_AFTER, seconds: float = 1.0) -> int:
        """Passes as the queue has them; how many of them were to be repeated."""
        repeated = 0
        for _ in range(number):
            self.seconds += seconds
            try:
                await self.reconciler.reconcile(KEY)
            except Transient:
                repeated += 1
        return repeated

    @property
    def status(self) -> Manifest:
        found: Manifest = self.cluster.objects[API]["status"]
        return found

    @property
    def ready(self) -> tuple[str, str]:
        return ready(self.cluster)["status"], ready(self.cluster)["reason"]


async def world(**fields: Any) -> World:
    cluster = cluster_with(**fields)
    made = World(cluster)
    await settle(cluster, made.reconciler)
    return made


def of_kind(kind: str, refusal: Refusal) -> Callable[[str], Exception | None]:
    """Every request for a kind is refused."""
    return lambda call: refusal(call) if f" {kind}" in call else None


@pytest.mark.parametrize(
    ("refusal", "reason"), [(SERVER_ERROR, "RequestFailed"), (RIGHT, "Forbidden"), (QUOTA, "ApplyRejected")]
)
@pytest.mark.parametrize("kind", CHILD_KINDS)
async def test_fault_41_one_child_that_fails_is_reported_and_every_other_is_written(
    kind: str, refusal: Refusal, reason: str
) -> None:
    made = await world(**ROUTES)
    for slot, child in made.cluster.objects.items():  # another client has changed them all
        if slot != API:
            child["metadata"]["labels"][API_LABEL] = "changed"
            made.cluster.put(child)
    made.cluster.refuses = of_kind(kind, refusal)
    change(made.cluster, **FULL)
    assert await made.passes() == (REPORTED_AFTER - 1 if refusal is SERVER_ERROR else 0)
    changed = {slot[0] for slot, child in made.cluster.objects.items() if slot != API and not spoilt(child)}
    assert changed == set(CHILD_KINDS) - {kind}
    assert made.ready == ("False", reason)
    (error,) = made.status["childErrors"]
    assert (error["kind"], error["name"], error["reason"]) == (kind, NAME, reason)
    assert kind in error["message"]
    assert error["message"] in ready(made.cluster)["message"]
    made.cluster.refuses = lambda _call: None
    since = error["since"]
    await made.passes(3, LONGEST_RETRY_WAIT_SECONDS)
    assert "childErrors" not in made.status
    assert not any(spoilt(child) for slot, child in made.cluster.objects.items() if slot != API)
    assert since.startswith("2026-01-02T03:04:")


def spoilt(child: Manifest) -> bool:
    return bool(child["metadata"]["labels"].get(API_LABEL) == "changed")


@pytest.mark.parametrize("kind", CHILD_KINDS)
async def test_fault_42_a_child_that_cannot_be_read_holds_up_no_other(kind: str) -> None:
    made = await world(**ROUTES)
    slot = (kind, KEY.namespace, NAME)
    del made.cluster.objects[slot]["metadata"]["labels"]  # so the cache does not have it
    made.cluster.refuses = of_kind(kind, RIGHT)
    made.restart()
    change(made.cluster, **{**FULL, "image": "shop:2"})
    await made.passes()
    assert made.ready == ("False", "Forbidden")
    assert [error["kind"] for error in made.status["childErrors"]] == [kind]
    if kind != "Deployment":
        (container,) = made.cluster.objects[DEPLOYMENT]["spec"]["template"]["spec"]["containers"]
        assert container["image"] == "shop:2"


async def test_since_when_stays_and_a_failure_that_lasts_is_tried_ever_more_rarely() -> None:
    made = await world()
    made.cluster.refuses = lambda call: SERVER_ERROR(call) if call == "make Ingress shop" else None
    change(made.cluster, **ROUTES)
    await made.passes()
    (first,) = made.status["childErrors"]
    before = len([call for call in made.cluster.calls if call == "make Ingress shop"])
    made.restart()
    await made.passes(300)
    tries = len([call for call in made.cluster.calls if call == "make Ingress shop"]) - before
    assert 10 <= tries <= 20, "300 passes in 300 seconds"
    assert made.status["childErrors"] == [first]
    assert condition({"status": made.status}, "TrafficReady")["status"] == "Unknown"
    outcome = await made.reconciler.reconcile(KEY)
    assert outcome.requeue_after is not None
    assert outcome.requeue_after <= LONGEST_RETRY_WAIT_SECONDS


async def test_an_edit_is_tried_at_once_however_long_a_child_has_failed() -> None:
    made = await world(**ROUTES)
    made.cluster.refuses = of_kind("Ingress", SERVER_ERROR)
    change(made.cluster, traffic={"routes": [{"host": "a.example.com"}]})
    await made.passes(60)
    made.cluster.refuses = lambda _call: None
    change(made.cluster, traffic={"routes": [{"host": "b.example.com"}]})
    await made.passes(1, 0)
    assert made.cluster.objects[INGRESS]["spec"]["rules"][0]["host"] == "b.example.com"


async def test_what_passes_with_the_next_try_is_not_reported() -> None:
    made = await world(**ROUTES)
    versions = made.cluster.objects[API]["metadata"]["resourceVersion"]
    failing = iter([Conflict("changed"), Transient("500")])
    made.cluster.refuses = lambda call: next(failing, None) if call == "apply Service shop" else None
    made.cluster.edit(SERVICE, "spec", "selector", value={"a": "b"})
    assert await made.passes(3) == 2
    assert made.cluster.objects[API]["metadata"]["resourceVersion"] == versions
    assert made.cluster.objects[SERVICE]["spec"]["selector"] != {"a": "b"}


@pytest.mark.parametrize("pod_kind", ["Pod", "Event"])
@pytest.mark.parametrize(("refusal", "reason"), [(SERVER_ERROR, "RequestFailed"), (RIGHT, "Forbidden")])
async def test_fault_42_pods_that_cannot_be_listed_are_reported_and_hold_up_nothing(
    pod_kind: str, refusal: Refusal, reason: str
) -> None:
    made = await world(**DISABLED)
    deployment = made.cluster.objects[DEPLOYMENT]
    deployment["status"] = {"observedGeneration": deployment["metadata"]["generation"], "replicas": 3}
    made.cluster.put(deployment)
    labels = {"hca-operator.io/api": NAME, "hca-operator.io/track": "stable"}
    pod = {"metadata": {"name": "shop-1", "namespace": KEY.namespace, "labels": labels}, "kind": "Pod"}
    made.cluster.put({**pod, "status": {"containerStatuses": [{"name": "api", "state": {"running": {}}}]}})
    made.cluster.refuses = of_kind(pod_kind, refusal)
    change(made.cluster, **DISABLED, image="shop:2")
    deployment["status"]["observedGeneration"] += 9
    made.cluster.put(deployment)
    await made.passes()
    assert made.ready == ("False", reason)
    assert pod_kind in ready(made.cluster)["message"]
    (container,) = made.cluster.objects[DEPLOYMENT]["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "shop:2"


async def test_fault_41_a_predecessor_that_stays_is_named_with_its_finalizer_and_the_rest_is_made() -> None:
    made = World(cluster_with(**ROUTES))
    await settle(made.cluster, made.reconciler)
    old = made.cluster.objects[SERVICE]
    old["metadata"]["finalizers"] = ["example.com/keep"]
    old["metadata"]["ownerReferences"][0]["uid"] = "of-the-one-before"
    made.cluster.objects = {API: made.cluster.objects[API], SERVICE: old}
    made.restart()
    await made.passes()
    assert made.ready == ("False", "RequestFailed")
    (error,) = made.status["childErrors"]
    assert (
        "Service shop of the deleted object of this name is still there: finalizer example.com/keep" in error["message"]
    )
    assert {slot[0] for slot in made.cluster.objects} >= {"Deployment", "Ingress", "NetworkPolicy"}


async def test_fault_41_an_object_whose_pods_are_dead_is_not_ready_although_a_child_fails() -> None:
    made = await world(**ROUTES, **DISABLED)
    deployment = made.cluster.objects[DEPLOYMENT]
    made.cluster.refuses = of_kind("Ingress", SERVER_ERROR)
    deployment["status"] = {"observedGeneration": 99, "replicas": 3, "updatedReplicas": 3, "availableReplicas": 0}
    made.cluster.put(deployment)
    change(made.cluster, **FULL | DISABLED)
    await made.passes()
    assert condition({"status": made.status}, "Available")["status"] == "False"


async def test_a_change_of_a_user_that_could_not_be_written_still_waits_for_no_other_rollout() -> None:
    made = await world()
    made.gate = RolloutGate(0)
    made.restart()
    made.cluster.refuses = of_kind("Deployment", QUOTA)
    change(made.cluster, image="shop:2")
    await made.passes()
    made.cluster.refuses = lambda _call: None
    await made.passes()
    (container,) = made.cluster.objects[DEPLOYMENT]["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "shop:2"


async def test_fault_60_a_controller_that_fights_over_a_field_is_reported_and_repaired_ever_more_rarely() -> None:
    made = await world(**ROUTES)
    repaired: list[float] = []
    for second in range(1800):
        made.cluster.edit(SERVICE, "spec", "selector", API_LABEL, value="theirs")
        await made.passes(1)
        if made.cluster.objects[SERVICE]["spec"]["selector"][API_LABEL] == NAME:
            repaired.append(second)
        if second == 10:
            assert made.ready == ("False", "FieldConflict")
            assert "spec.selector.hca-operator.io/api by kubectl-edit" in ready(made.cluster)["message"]
            assert [error["kind"] for error in made.status["childErrors"]] == ["Service"]
    waits = [later - sooner for sooner, later in pairwise(repaired)]
    assert waits[:8] == [1, 1, 1, 1, 2, 4, 8, 16]
    assert max(waits) == 300
    assert len([call for call in made.cluster.writes if call.endswith("shop/status")]) < 5
    await made.passes(4, 300.0)
    assert "childErrors" not in made.status
    assert made.cluster.objects[SERVICE]["spec"]["selector"][API_LABEL] == NAME


async def test_fault_67_a_downscaler_that_sets_zero_each_minute_is_reported_beside_an_autoscaler() -> None:
    made = await world()
    repaired = 0
    for _ in range(60):
        made.cluster.edit(DEPLOYMENT, "spec", "replicas", value=0)
        await made.passes(1, 30.0)
        if made.cluster.objects[DEPLOYMENT]["spec"]["replicas"]:
            repaired += 1
            made.cluster.edit(DEPLOYMENT, "spec", "replicas", value=5)  # as the autoscaler does
        await made.passes(1, 30.0)
    assert made.ready == ("False", "FieldConflict")
    assert "spec.replicas by kubectl-edit" in ready(made.cluster)["message"]
    assert 5 < repaired < 30


async def test_a_repair_by_hand_now_and_then_is_no_fight_and_an_edit_does_not_wait() -> None:
    made = await world(**ROUTES)
    for _ in range(20):
        made.cluster.edit(SERVICE, "spec", "selector", API_LABEL, value="theirs")
        await made.passes(1, 301.0)
        assert made.cluster.objects[SERVICE]["spec"]["selector"][API_LABEL] == NAME
    assert "childErrors" not in made.status
    for _ in range(20):
        made.cluster.edit(SERVICE, "spec", "selector", API_LABEL, value="theirs")
        await made.passes(1)
    change(made.cluster, **ROUTES, port=9000)
    await made.passes(1)
    assert made.cluster.objects[SERVICE]["spec"]["selector"][API_LABEL] == NAME
