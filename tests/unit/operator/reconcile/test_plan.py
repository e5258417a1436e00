"""Plans as data: what is to be done follows from frozen values, and planning changes none of them."""

import copy
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hca_operator.api.fleet_policy import NO_POLICY
from hca_operator.core.errors import Forbidden, NotOwned
from hca_operator.core.names import FIELD_MANAGER, Manifest
from hca_operator.reconcile.observed_state import Observed
from hca_operator.reconcile.plan import Plan, plan, plan_scale
from hca_operator.reconcile.resolve import DEFAULT_CAPABILITIES, Resolved, resolve
from hca_operator.reconcile.retries import Slot
from hca_operator.reconcile.steps import GatePlace, Step, Verb
from hca_operator.reconcile.trackers import Applied
from hca_operator.restarts.config_changes import ObservedConfig
from hca_operator.scaling.burst import BurstState
from hca_operator.scaling.floors import Floor, Source
from tests.unit.operator.objects import NAME, manifest

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
DEPLOYMENT, SERVICE, AUTOSCALER = ((kind, NAME) for kind in ("Deployment", "Service", "HorizontalPodAutoscaler"))
ROLLED_OUT: Manifest = {
    "observedGeneration": 1, "replicas": 2, "updatedReplicas": 2, "readyReplicas": 2, "availableReplicas": 2,
    "conditions": [{"type": "Progressing", "reason": "NewReplicaSetAvailable"}],
}  # fmt: skip


def resolved(**fields: Any) -> Resolved:
    found = resolve(manifest(**fields), NO_POLICY, DEFAULT_CAPABILITIES)
    assert isinstance(found, Resolved)
    return found


def observed(children: dict[Slot, Manifest] | None = None, *, edited: bool = True, **fields: Any) -> Observed:
    status = {} if edited else {"status": {"observedGeneration": 1}}
    return Observed({**manifest(**fields), **status}, NOW, children or {})


def as_applied(found: Resolved, **status: Any) -> dict[Slot, Manifest]:
    """The children as the API server has stored them after a first pass."""
    first = plan(found, observed())
    children = {step.slot: copy.deepcopy(step.desired) for step in (*first.workload, *first.others)}
    for number, (slot, child) in enumerate(children.items()):
        child["metadata"] |= {"uid": f"uid-{number}", "resourceVersion": "7", "generation": 1}
        child["metadata"]["managedFields"] = [{"manager": FIELD_MANAGER, "operation": "Apply"}]
        child["status"] = ROLLED_OUT | status if slot == DEPLOYMENT else {}
    return children


def verbs(planned: Plan) -> dict[Slot, Verb]:
    return {step.slot: step.verb for step in (*planned.removals, *planned.workload, *planned.others)}


def step_for(planned: Plan, slot: Slot) -> Step:
    return next(step for step in (*planned.removals, *planned.workload, *planned.others) if step.slot == slot)


def test_a_new_object_has_its_workload_created_before_what_leads_to_it() -> None:
    planned = plan(resolved(), observed())
    assert [step.slot for step in planned.workload] == [DEPLOYMENT]
    assert {step.slot[0] for step in planned.others} == {
        "Service", "PodDisruptionBudget", "HorizontalPodAutoscaler", "NetworkPolicy",
    }  # fmt: skip
    assert {step.verb for step in (*planned.workload, *planned.others)} == {Verb.CREATE}
    assert planned.removals == [], "there is no Ingress to delete"


def test_the_same_input_gives_the_same_plan_and_stays_as_it_is() -> None:
    found = resolved(envFrom=[{"configMapRef": {"name": "settings"}}], restartSchedule={"cron": "0 3 * * *"})
    seen = observed(as_applied(found))
    before = copy.deepcopy(seen)
    assert plan(found, seen) == plan(found, seen)
    assert seen == before


def test_what_was_applied_and_is_still_there_is_kept() -> None:
    found = resolved()
    seen = observed(as_applied(found), edited=False)
    first = plan(found, seen)
    assert set(verbs(first).values()) == {Verb.APPLY}, "an operator that has just started"
    applied = {step.slot: step.digests for step in (*first.workload, *first.others)}
    again = plan(found, replace(seen, applied=applied))
    assert verbs(again) == {}
    stale = {slot: Applied(b"another", digests.live) for slot, digests in applied.items()}
    assert Verb.APPLY in verbs(plan(found, replace(seen, applied=stale))).values()


def test_an_autoscaler_that_goes_is_deleted_in_an_earlier_stage_than_the_count_is_set() -> None:
    off: dict[str, Any] = {"autoscaling": {"mode": "Disabled"}, "replicas": 3}
    planned = plan(resolved(**off), observed(as_applied(resolved()), **off))
    assert {step.slot: step.verb for step in planned.removals}[AUTOSCALER] == Verb.DELETE
    (workload,) = planned.workload
    assert (workload.verb, workload.desired["spec"]["replicas"]) == (Verb.APPLY, 3)


def test_a_count_that_another_autoscaler_decides_is_refused() -> None:
    off: dict[str, Any] = {"autoscaling": {"mode": "Disabled"}, "replicas": 3}
    foreign = {
        "metadata": {"name": "theirs", "uid": "x"},
        "spec": {"scaleTargetRef": {"kind": "Deployment", "name": NAME}},
    }
    found = resolved(**off)
    seen = replace(observed(as_applied(found), **off), autoscalers=[foreign])
    step = step_for(plan(found, seen), DEPLOYMENT)
    assert step.verb == Verb.REFUSE
    assert isinstance(step.error, NotOwned)
    assert step.place == GatePlace.LEAVE, "the user has changed the object, which waits for no other rollout"


@pytest.mark.parametrize("mode", ["Disabled", "Horizontal"])
def test_a_deployment_is_applied_to_exactly_the_state_that_was_seen(mode: str) -> None:
    """A new leader, whose watch lags behind, must not roll back what its predecessor has rolled out."""
    found = resolved(autoscaling={"mode": mode})
    step = step_for(plan(found, observed(as_applied(found), autoscaling={"mode": mode})), DEPLOYMENT)
    assert step.desired["metadata"]["resourceVersion"]


def test_fault_42_a_count_stays_if_autoscalers_cannot_be_listed_and_everything_else_is_applied() -> None:
    off: dict[str, Any] = {"autoscaling": {"mode": "Disabled"}, "replicas": 3}
    found = resolved(**off)
    live = as_applied(found)
    live[DEPLOYMENT]["spec"]["replicas"] = 7
    step = step_for(plan(found, replace(observed(live, **off), autoscalers=Forbidden("cannot list"))), DEPLOYMENT)
    assert (step.verb, step.desired["spec"]["replicas"]) == (Verb.APPLY, 7)
    assert isinstance(step.error, Forbidden)


NEW_DEFAULT = {"nodeSelector": {"disk": "ssd"}}


@pytest.mark.parametrize(
    ("edited", "has_place", "verb", "place"),
    [
        (True, False, Verb.APPLY, GatePlace.LEAVE),
        (False, True, Verb.APPLY, GatePlace.ENTER),
        (False, False, Verb.KEEP, GatePlace.ENTER),
    ],
)
def test_a_rollout_that_no_user_asked_for_needs_a_place(
    *, edited: bool, has_place: bool, verb: Verb, place: GatePlace
) -> None:
    seen = replace(observed(as_applied(resolved()), edited=edited), has_place=has_place)
    step = step_for(plan(resolved(**NEW_DEFAULT), seen), DEPLOYMENT)
    assert (step.verb, step.place) == (verb, place)
    assert (step.requeue_after_seconds is not None) == (verb == Verb.KEEP)


@pytest.mark.parametrize(
    ("progressing", "kept", "expected"),
    [("NewReplicaSetAvailable", True, Verb.ADOPT), ("NewReplicaSetAvailable", False, Verb.KEEP),
     ("ReplicaSetUpdated", True, Verb.KEEP)],
)  # fmt: skip
def test_a_service_is_adopted_once_the_deployment_is_rolled_out_and_stays_as_it_is(
    progressing: str, expected: Verb, *, kept: bool
) -> None:
    found = resolved()
    children = as_applied(found, conditions=[{"type": "Progressing", "reason": progressing}])
    del children[SERVICE]["metadata"]["ownerReferences"], children[SERVICE]["metadata"]["managedFields"]
    seen = observed(children, edited=False)
    seen.manifest["metadata"]["annotations"] = {"hca-operator.io/adopt": children[SERVICE]["metadata"]["uid"]}
    adopting = resolve(seen.manifest, NO_POLICY, DEFAULT_CAPABILITIES)
    assert isinstance(adopting, Resolved)
    if kept:
        applied = {step.slot: step.digests for step in plan(adopting, seen).workload}
        seen = replace(seen, applied=applied)
    step = step_for(plan(adopting, seen), SERVICE)
    assert step.verb == expected
    assert (step.requeue_after_seconds is not None) == (expected == Verb.KEEP)


def test_a_paused_object_has_restarts_to_report_and_no_step_and_no_floor() -> None:
    """A floor that is not carried out would be reported as if it were, and a burst would raise the count."""
    scaling = {
        "metrics": [{"name": "rps", "type": "RequestsPerSecond", "requestsPerSecond": {"targetPerPod": "50"}}],
        "burst": {"mode": "Enabled"},
        "schedules": [{"name": "day", "cron": "0 3 * * *", "duration": "2h", "minReplicas": 4}],
    }
    paused = resolved(reconciliation="Paused", restartSchedule={"cron": "0 3 * * *"}, autoscaling=scaling)
    planned = plan(paused, replace(observed(as_applied(resolved())), burst=BurstState(needed=7)))
    assert planned.restarts is not None
    assert planned.restarts.next_at is not None
    assert planned.floors == ()
    assert verbs(planned) == {}


def test_all_floors_reach_the_autoscaler_as_one_minimum() -> None:
    autoscaling = {
        "metrics": [{"name": "rps", "type": "RequestsPerSecond", "requestsPerSecond": {"targetPerPod": "50"}}],
        "burst": {"mode": "Enabled"},
        "schedules": [{"name": "day", "cron": "0 3 * * *", "duration": "2h", "minReplicas": 4}],
    }
    seen = replace(observed(), burst=BurstState(needed=7))
    planned = plan(resolved(autoscaling=autoscaling), seen)
    assert [(floor.source, floor.pods) for floor in planned.floors] == [
        (Source.SCHEDULE, 4), (Source.FALLBACK, 0), (Source.BURST, 7),
    ]  # fmt: skip
    assert step_for(planned, AUTOSCALER).desired["spec"]["minReplicas"] == 7


def test_without_the_right_to_read_a_configuration_the_rest_is_planned() -> None:
    found = resolved(envFrom=[{"configMapRef": {"name": "settings"}}])
    refused = ObservedConfig(used={}, refused=Forbidden("cannot get"))
    planned = plan(found, replace(observed(), config=refused))
    assert step_for(planned, DEPLOYMENT).verb == Verb.CREATE


BURST = Floor(Source.BURST, 5, NOW + timedelta(minutes=1))


@pytest.mark.parametrize(
    ("minimum", "count", "floor", "raised"),
    [(5, 2, BURST, 5), (4, 2, BURST, None), (5, 5, BURST, None), (5, 8, BURST, None), (5, 0, BURST, None),
     (5, 2, Floor(Source.SCHEDULE, 5), None)],
)  # fmt: skip
def test_the_count_is_raised_after_the_minimum_and_never_lowered(
    minimum: int, count: int, floor: Floor, raised: int | None
) -> None:
    found = resolved()
    children = as_applied(found)
    children[DEPLOYMENT]["spec"]["replicas"] = count
    children[AUTOSCALER]["spec"]["minReplicas"] = minimum
    planned = plan_scale(found.api, children, [floor])
    assert (planned and planned[1]) == raised


def test_the_deployment_of_another_owner_is_not_scaled() -> None:
    found = resolved()
    children = as_applied(found)
    children[AUTOSCALER]["spec"]["minReplicas"] = 5
    children[DEPLOYMENT]["metadata"]["ownerReferences"] = [{"uid": "x", "kind": "Rollout", "controller": True}]
    assert plan_scale(found.api, children, [BURST]) is None
