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
from hca_operator.status.conditions import Observation, PodMemoryState, Problems, RolloutState, next_status

UNREADY_MIN_SECONDS, UNREADY_MAX_SECONDS = 1.0, 30.0
"""Bounds of the interval between passes over an unready object: a tenth of the time for which it has been unready."""
POLLS_PER_SECOND = 10.0
"""Most passes over the objects of a namespace that wait for what no watch reports, such as unready pods: each may list
pods. A namespace with 30 such objects, or 300 after five minutes, notices nothing of it."""


@dataclass(frozen=True)
class Report:
    """The status after a pass, and when the next pass is due."""

    status: Manifest
    requeue_after_seconds: float | None
    """Until the next pass; None if only a watch event starts it."""
    polled: bool
    """Whether the object waits for what no watch reports, and not for long."""
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
    poll = min(_polls_in_seconds(result, status), default=None)
    due = [*_due_in_seconds(result)]
    if poll is not None:
        due.append(max(poll, observed.polled_in_namespace / POLLS_PER_SECOND))
    return Report(
        status,
        min(due, default=None),
        poll is not None and poll <= UNREADY_MAX_SECONDS,
        newly_counted(observed.status.get("memoryRestarts"), memory),
    )


def _observation(result: PassResult) -> Observation:
    observed, plan, done, pods = result.observed, result.plan, result.done, result.pods
    autoscaler = done.live.get(("HorizontalPodAutoscaler", observed.key.name))
    return Observation(
        generation=observed.manifest["metadata"]["generation"],
        previous=observed.status,
        api=result.resolved.api,
        sizing=result.resolved.sizing,
        deployment=pods.deployment,
        autoscaler=autoscaler if autoscaler and is_ours(autoscaler, observed.uid) else None,
        restarts=plan.restarts,
        floors=plan.floors,
        problems=_problems(result),
        rollout=RolloutState(
            began=done.rolls,
            waits=any(step.waits_for_place for step in plan.workload),
            config_delayed=plan.config is not None and (plan.config.wait_seconds or 0) > LONGEST_QUIET_SECONDS,
        ),
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


def _problems(result: PassResult) -> Problems:
    found = result.done.problems
    refusal = [result.resolved.problem] if isinstance(result.resolved, Refused) else []
    missing = ["Deployment"] if result.pods.deployment is None else []

    def first(*kinds: str) -> Problem | None:
        """The first problem with children of some kinds, or with the Deployment, without which none is written."""
        of_kinds = (problem for (kind, _), problem in found.items() if kind in {*kinds, *missing})
        return next(iter([*refusal, *of_kinds]), None)

    return Problems(
        blocked=next(iter([*refusal, *found.values()]), None),
        pods=result.pods.problem,
        traffic=first("Service", "Ingress"),
        scaling=first("HorizontalPodAutoscaler"),
        children={slot: problem for slot, problem in found.items() if slot in result.plan.children},
    )


def _dropped(resolved: Resolved | Refused, done: Done, autoscaler: Manifest | None) -> Sequence[Unsupported]:
    """Tolerances that the API server has dropped; empty if the HorizontalPodAutoscaler could not be written."""
    if isinstance(resolved, Refused) or not resolved.active:
        return ()
    if any(kind == "HorizontalPodAutoscaler" for kind, _ in done.problems):
        return ()
    return dropped_tolerances(resolved.api, autoscaler)


def _due_in_seconds(result: PassResult) -> Iterator[float]:
    """Seconds until each thing is due that has a time of its own; the earliest decides the next pass."""
    plan, now = result.plan, result.observed.now
    if plan.config is not None and plan.config.wait_seconds is not None:
        yield plan.config.wait_seconds
    times = [floor.until for floor in plan.floors]
    times += [plan.restarts.next_at] if plan.restarts else []
    yield from (max(0.0, (time - now).total_seconds()) for time in times if time is not None)


def _polls_in_seconds(result: PassResult, status: Manifest) -> Iterator[float]:
    """Seconds until each thing is read or tried again that no watch event reports."""
    done, pods_done, restarts = result.done, result.pods_done, result.plan.restarts
    seconds = [pods_done.requeue_after_seconds, done.put_off_seconds, done.retry_seconds]
    yield from (after for after in seconds if after is not None)
    ready = condition({"status": status}, "Ready")
    if ready["status"] == "False":
        # Pods are not watched: while some are not ready they are listed again, less and less often.
        now = result.observed.now
        since = time_of(ready, "lastTransitionTime") or now
        tenth = (now - since).total_seconds() / 10
        yield min(UNREADY_MAX_SECONDS, max(UNREADY_MIN_SECONDS, tenth))
    elif result.pods.too_few or (restarts is not None and restarts.held_back):
        yield EVENT_MISSED_SECONDS
