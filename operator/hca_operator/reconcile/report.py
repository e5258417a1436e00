"""Fifth step: the status, from what was observed and done, and when the next pass is due. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from hca_operator.api.status import Problem, Unsupported
from hca_operator.core.names import Manifest
from hca_operator.core.observed import condition, is_ours
from hca_operator.core.timestamps import time_of
from hca_operator.reconcile.act import Done, PodsDone
from hca_operator.reconcile.observed_state import Observed, ObservedPods
from hca_operator.reconcile.plan import Plan
from hca_operator.reconcile.resolve import Refused, Resolved
from hca_operator.reconcile.steps import EVENT_MISSED_SECONDS
from hca_operator.restarts.debounce import LONGEST_QUIET_SECONDS
from hca_operator.restarts.memory_counters import newly_counted
from hca_operator.scaling.tolerance import dropped_tolerances
from hca_operator.status.conditions import Observation, PodMemoryState, next_status

UNREADY_MIN_SECONDS, UNREADY_MAX_SECONDS = 1.0, 30.0
"""Bounds of the interval between passes over an unready object: a tenth of the time for which it has been unready."""
UNREADY_PASSES_PER_SECOND = 10.0
"""Most of these passes over the objects of a namespace: each lists pods. A namespace with 300 unready objects notices
nothing of it."""


@dataclass(frozen=True)
class Report:
    """The status after a pass, and when the next pass is due."""

    status: Manifest
    requeue_after_seconds: float | None
    """Until the next pass; None if only a watch event starts it."""
    memory_restarts: Mapping[str, int]
    """Restarts on memory that were not in the stored status, by reason."""


@dataclass(frozen=True)
class PassResult:
    """Everything that a pass resolved, observed, planned and did."""

    resolved: Resolved | Refused
    observed: Observed
    plan: Plan
    done: Done
    pods: ObservedPods
    pods_done: PodsDone


def report(result: PassResult) -> Report:
    """The status of an object after a pass, and when the next one is due."""
    observed, memory = result.observed, result.pods_done.counted
    status = next_status(_observation(result), observed.now)
    return Report(
        status,
        min(_due_in_seconds(result, status), default=None),
        newly_counted(observed.status.get("memoryRestarts"), memory),
    )


def _observation(result: PassResult) -> Observation:
    observed, plan, done, pods = result.observed, result.plan, result.done, result.pods
    autoscaler = done.live.get(("HorizontalPodAutoscaler", observed.key.name))
    refusal = [result.resolved.problem] if isinstance(result.resolved, Refused) else []
    deployed = pods.deployment is not None

    def problem_with(*kinds: str) -> Problem | None:
        """The first problem with children of some kinds, or with the Deployment, without which none is written."""
        of = {*kinds} if deployed else {*kinds, "Deployment"}
        return next(iter([*refusal, *(problem for (kind, _), problem in done.problems.items() if kind in of)]), None)

    return Observation(
        generation=observed.manifest["metadata"]["generation"],
        previous=observed.status,
        api=result.resolved.api,
        sizing=result.resolved.sizing,
        deployment=pods.deployment,
        rolls=done.rolls,
        autoscaler=autoscaler if autoscaler and is_ours(autoscaler, observed.uid) else None,
        blocked=next(iter([*refusal, *done.problems.values()]), None),
        child_problems={slot: problem for slot, problem in done.problems.items() if slot in plan.children},
        traffic_problem=problem_with("Service", "Ingress"),
        scaling_problem=problem_with("HorizontalPodAutoscaler"),
        pod_problem=pods.problem,
        rollout_waits=any(step.waits_for_place for step in plan.workload),
        restarts=plan.restarts,
        floors=plan.floors,
        config_delayed=plan.config is not None and (plan.config.wait_seconds or 0) > LONGEST_QUIET_SECONDS,
        memory=PodMemoryState(
            counted=result.pods_done.counted,
            problem=result.pods_done.problem,
            detached=result.pods_done.serving,
            known=pods.memory_known,
            unread=pods.memory_unread,
            grows=pods.memory_grows,
        ),
        unsupported=[*result.resolved.unsupported, *_dropped(result.resolved, done, autoscaler)],
    )


def _dropped(resolved: Resolved | Refused, done: Done, autoscaler: Manifest | None) -> Sequence[Unsupported]:
    """Tolerances that the API server has dropped; empty if the HorizontalPodAutoscaler could not be written."""
    if isinstance(resolved, Refused) or not resolved.active:
        return ()
    if any(kind == "HorizontalPodAutoscaler" for kind, _ in done.problems):
        return ()
    return dropped_tolerances(resolved.api, autoscaler)


def _due_in_seconds(result: PassResult, status: Manifest) -> Iterator[float]:
    """Seconds until each thing is due that no watch event starts; the earliest decides the next pass."""
    plan, now = result.plan, result.observed.now
    done, pods_done = result.done, result.pods_done
    seconds = [pods_done.requeue_after_seconds, done.put_off_seconds, done.retry_seconds]
    seconds += [plan.config.wait_seconds] if plan.config else []
    yield from (after for after in seconds if after is not None)
    times = [floor.until for floor in plan.floors]
    times += [plan.restarts.next_at] if plan.restarts else []
    yield from (max(0.0, (time - now).total_seconds()) for time in times if time is not None)
    ready = condition({"status": status}, "Ready")
    if ready["status"] == "False":
        # Pods are not watched: while some are not ready they are listed again, less and less often.
        since = time_of(ready, "lastTransitionTime") or now
        tenth = (now - since).total_seconds() / 10
        share = result.observed.unready_in_namespace / UNREADY_PASSES_PER_SECOND
        yield max(share, min(UNREADY_MAX_SECONDS, max(UNREADY_MIN_SECONDS, tenth)))
    elif result.pods.too_few or (plan.restarts is not None and plan.restarts.held_back):
        yield EVENT_MISSED_SECONDS
