"""What holds of every status, whatever is seen and whatever the status was before."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hca_operator.api.status import STALLING, ConditionType, Problem, Reason
from hca_operator.core.names import Manifest
from hca_operator.core.observed import condition
from hca_operator.status.conditions import Observation, Problems, RolloutState, next_status
from tests.unit.operator.objects import deployment
from tests.unit.operator.status.observations import AUTOSCALER, LATER, NOW, conditions, seen


def is_ready(status: Manifest) -> bool:
    """Whether a status says that the latest generation is rolled out."""
    return bool(condition({"status": status}, "Ready").get("status") == "True")


problems = st.none() | st.builds(Problem, st.sampled_from(list(Reason)), st.text(max_size=3000))
deployments = st.none() | st.builds(
    deployment,
    replicas=st.integers(0, 3),
    available=st.integers(0, 3),
    observed=st.integers(0, 1),
    progressing=st.sampled_from(["NewReplicaSetAvailable", "ReplicaSetUpdated", "ProgressDeadlineExceeded"]),
)
specs = st.sampled_from(
    [
        {},
        {"autoscaling": {"mode": "Disabled"}},
        {"reconciliation": "Paused"},
        {"traffic": {"routes": [{"host": "a.b"}]}},
    ]
)
observations = st.builds(
    seen,
    spec=specs,
    generation=st.integers(1, 5),
    deployment=deployments,
    autoscaler=st.sampled_from([None, {}, AUTOSCALER, {"status": {"conditions": None}}]),
    problems=st.builds(Problems, blocked=problems, pods=problems),
) | st.builds(
    seen,
    api=st.none(),
    sizing=st.none(),
    deployment=deployments,
    problems=st.just(Problems(blocked=Problem(Reason.INVALID_SPEC, "spec.port: too large"))),
)


@given(observations)
def test_every_condition_is_there_for_this_generation_with_a_reason_of_the_list(observation: Observation) -> None:
    status = next_status(observation, NOW)
    assert [entry["type"] for entry in status["conditions"]] == list(ConditionType)
    assert status["observedGeneration"] == observation.generation
    for entry in status["conditions"]:
        assert entry["observedGeneration"] == observation.generation
        assert entry["reason"] in list(Reason)
        assert entry["status"] in {"True", "False", "Unknown"}
        assert len(entry["message"]) <= 2048


@given(observations)
def test_stalled_is_only_what_a_retry_cannot_cure_and_never_beside_ready_or_reconciling(seen: Observation) -> None:
    found = conditions(seen)
    if found["Stalled"][0] == "True":
        assert found["Stalled"][1] in STALLING
        assert found["Reconciling"][0] == "False"
        assert found["Ready"][0] == "False"
    if found["Ready"][0] == "True":
        assert found["Reconciling"][0] == "False"
    if found["Ready"][0] == "False":
        assert "True" in {found["Stalled"][0], found["Reconciling"][0]}, "kstatus would call it current"


@given(observations)
def test_ready_needs_the_latest_template_rolled_out(observation: Observation) -> None:
    status = next_status(observation, NOW)
    live = observation.deployment
    if is_ready(status):
        assert live is not None
        assert live["status"]["observedGeneration"] == live["metadata"]["generation"]
        assert condition(live, "Progressing")["reason"] == "NewReplicaSetAvailable"
        assert observation.problems.blocked is None


def test_a_template_that_changes_while_the_autoscaler_acts_is_not_called_rolled_out() -> None:
    """The Deployment's controller then reports the new generation, and the last rollout's reason, before it starts."""
    assert not is_ready(next_status(seen(deployment=deployment(replicas=3, available=3, updated=0)), NOW))


def test_a_count_that_the_controller_has_not_seen_yet_is_no_rollout() -> None:
    ready = next_status(seen(), NOW)
    scaled = seen(deployment=deployment(observed=0), previous=ready)
    assert is_ready(next_status(scaled, LATER))
    changed = replace(scaled, rollout=RolloutState(began=True))
    assert not is_ready(next_status(changed, LATER)), "a template of ours is one"
    assert not is_ready(next_status(replace(scaled, generation=2), LATER)), "what was said of another generation"
    assert not is_ready(next_status(replace(scaled, previous={}), LATER))


@given(observations, observations)
def test_transition_times_move_only_when_a_status_flips(before: Observation, after: Observation) -> None:
    first = next_status(before, NOW)
    second = next_status(replace(after, previous=first), LATER)
    for old, new in zip(first["conditions"], second["conditions"], strict=True):
        moved = new["lastTransitionTime"] != old["lastTransitionTime"]
        assert moved == (new["status"] != old["status"])


@given(observations)
def test_nothing_changes_unless_something_changed(observation: Observation) -> None:
    first = next_status(observation, NOW)
    assert next_status(replace(observation, previous=first), LATER) == first


@pytest.mark.parametrize(
    "stored",
    [
        {"conditions": None},
        {"conditions": [{"type": "Ready", "status": "True"}]},
        {"conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-02T03:04:05+99:99"}]},
        {"conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "9999-12-31T23:59:59Z"}]},
        {"conditions": [{"type": "Other", "status": "True", "lastTransitionTime": "x"}], "observedGeneration": 7},
    ],
    ids=str,
)
def test_a_status_written_by_others_is_replaced_by_a_right_one(stored: Manifest) -> None:
    status = next_status(seen(previous=stored), NOW)
    assert status == next_status(seen(), NOW)
