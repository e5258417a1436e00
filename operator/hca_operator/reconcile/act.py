"""Fourth step: what was planned is done. The only place with effects, on the API server and on the trackers."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from hca_operator.api.status import Problem, Reason
from hca_operator.core.errors import Forbidden, HcaError, Rejected, Transient
from hca_operator.core.names import API_VERSION, EVICTION_ANNOTATION, KIND, Manifest
from hca_operator.core.ports import Cluster, Key
from hca_operator.core.timestamps import time_text
from hca_operator.reconcile.child_writer import ChildDone, ChildWriter, take_place
from hca_operator.reconcile.observe import Observer
from hca_operator.reconcile.observed_state import Observed, ObservedPods
from hca_operator.reconcile.plan import Plan, PodsPlan, after_workload, plan_scale, without_workload
from hca_operator.reconcile.resolve import Refused, Resolved
from hca_operator.reconcile.retries import Slot, problem_of
from hca_operator.reconcile.steps import EVENT_MISSED_SECONDS, Step, exactly
from hca_operator.reconcile.trackers import Trackers
from hca_operator.restarts import disruption_budget
from hca_operator.restarts.debounce import after_rollout
from hca_operator.restarts.pod_replacement import Replacement, annotating
from hca_operator.scaling.floors import Source

CONFIGURATION: Slot = ("ConfigMap", "")
POD_LIST: Slot = ("Pod", "")
"""What is read beside the children."""

logger = logging.getLogger(__name__)

TWO_BUDGETS = "more than one PodDisruptionBudget"
"""Text in the API server's 500 for an eviction that no retry cures."""


@dataclass(frozen=True)
class Done:
    """What came of a plan for the children."""

    live: Mapping[Slot, Manifest]
    """Objects with the names of the children, as they are now."""
    children: Sequence[ChildDone] = ()
    """In the order of the plan, as far as it was carried out."""
    writes: Sequence[str] = ()
    """All changes."""
    problems: Mapping[Slot, Problem] = field(default_factory=dict)
    """Why steps failed, by child, in the order of the plan."""
    repeat: HcaError | None = None
    """Why the pass is to be repeated before anything is reported; None: it is not."""
    retry_seconds: float | None = None
    """Until a failed step is tried again; None if none is."""

    @property
    def rolls(self) -> bool:
        """Whether the pods were given another template."""
        return any(child.rolls for child in self.children)

    @property
    def put_off_seconds(self) -> float | None:
        """Seconds until what was put off can be tried again; None: nothing was."""
        waits = (child.requeue_after_seconds for child in self.children)
        return min((seconds for seconds in waits if seconds is not None), default=None)


@dataclass(frozen=True)
class PodsDone:
    """What came of a plan for the pods."""

    counted: Manifest | None = None
    """status.memoryRestarts."""
    problem: Problem | None = None
    """Why memory is not healthy."""
    serving: int = 0
    """Detached pods that serve."""
    requeue_after_seconds: float | None = None
    writes: Sequence[str] = ()
    repeat: HcaError | None = None
    """Why the pass is to be repeated before anything is reported; None: it is not."""


class Actor:
    """Carries out plans."""

    def __init__(self, cluster: Cluster, observer: Observer, trackers: Trackers) -> None:
        self._cluster = cluster
        self._observer = observer
        self._trackers = trackers
        self._child_writer = ChildWriter(cluster, observer, trackers)

    def forget(self, key: Key) -> None:
        """Drop everything that is kept for a deleted object."""
        self._trackers.forget(key)
        self._observer.forget(key)

    def keep_polled(self, key: Key, *, polled: bool) -> None:
        """Store whether an object waits for what no watch reports, for the rate of the passes over all that do."""
        self._trackers.keep_polled(key, polled=polled)

    async def write(self, resolved: Resolved | Refused, observed: Observed, plan: Plan) -> Done:
        """Write the children, each only if it differs. One that cannot be written does not hold up the others."""
        self._keep(resolved, observed.key, plan)
        children: list[ChildDone] = []
        errors: dict[Slot, HcaError] = {}
        if plan.config and plan.config.refused:
            errors[CONFIGURATION] = plan.config.refused
        if isinstance(resolved, Resolved):
            children = await self._write_children(resolved, observed, plan)
        errors |= {child.slot: child.error for child in children if child.error is not None}
        written = {child.slot: child.live for child in children}
        live = {slot: found for slot, found in {**observed.children, **written}.items() if found is not None}
        writes = [write for child in children for write in child.writes]
        workload = ("Deployment", observed.key.name)
        unwritten = any(child.unwritten for child in children if child.slot == workload)
        if plan.config and plan.config.rolls_out and not unwritten:
            state = after_rollout(plan.config.state, observed.now.timestamp())
            self._trackers.config_changes.keep(observed.key, state)
        if plan.intent.user_change and unwritten:
            self._trackers.user_changes.add(observed.key)
        else:
            self._trackers.user_changes.discard(observed.key)
        if resolved.api is not None and (raised := plan_scale(resolved.api, live, plan.floors)):
            try:
                await self._cluster.scale(*raised)
                writes.append("scale Deployment")
            except HcaError as error:
                errors.setdefault(workload, error)
        self._track_load(resolved, observed.key, live)
        repeat = self._repeat(observed, errors)
        problems = {slot: problem_of(error) for slot, error in errors.items()}
        due = (retry.at - observed.now.timestamp() for retry in self._trackers.retries.of(observed.key).values())
        return Done(live, children, writes, problems, repeat, min(due, default=None))

    def _repeat(self, observed: Observed, errors: Mapping[Slot, HcaError]) -> HcaError | None:
        """Record failures for the retries. Returns an error for which the pass is to be repeated, else None."""
        retries, now = self._trackers.retries, observed.now.timestamp()
        for slot in set(retries.of(observed.key)) - set(errors) - {POD_LIST}:
            retries.succeeded(observed.key, slot)
        failed = [error for slot, error in errors.items() if not retries.failed(observed.key, slot, error, now)]
        return next(iter(failed), None)

    async def replace(self, observed: Observed, pods: ObservedPods, plan: PodsPlan) -> PodsDone:
        """Take the next step in the replacement of a pod."""
        take_place(self._trackers, observed.key, plan.place)
        if pods.unread is not None:
            reported = self._trackers.retries.failed(observed.key, POD_LIST, pods.unread, observed.now.timestamp())
            problem = problem_of(pods.unread) if pods.replaces else None
            return PodsDone(plan.counted, problem, repeat=None if reported else pods.unread)
        self._trackers.retries.succeeded(observed.key, POD_LIST)
        if plan.limits is not None:
            self._trackers.memory.keep_limits(observed.key, plan.limits)
        wanted = plan.replacement
        if wanted is None:
            return PodsDone(plan.counted)
        self._trackers.replacements.keep(observed.key, under_way=wanted.under_way)
        writes: list[str] = []
        try:
            if wanted.detach is not None:
                await self._cluster.patch(wanted.detach, wanted.operations)
                writes.append("detach Pod")
            refused = await self._write_replica_sets(observed, pods, wanted, writes)
            problem = await self._evict(observed, pods.pods, wanted.evict, writes)
        except Transient as error:
            logger.info("the replacement of a pod goes on later: %s", error, extra={"object": str(observed.key)})
            return PodsDone(plan.counted, requeue_after_seconds=EVENT_MISSED_SECONDS, writes=writes)
        except (Forbidden, Rejected) as error:
            reason = Reason.FORBIDDEN if isinstance(error, Forbidden) else Reason.REJECTED
            problem = Problem(reason, f"a pod near its limit cannot be replaced: {error}")
            return PodsDone(plan.counted, problem, writes=writes)
        requeue = wanted.requeue_after_seconds if refused is None or wanted.detached else None
        return PodsDone(wanted.counted, problem or refused or wanted.problem, wanted.serving, requeue, writes)

    async def _evict(
        self, observed: Observed, pods: Sequence[Manifest], to_evict: Sequence[Manifest], writes: list[str]
    ) -> Problem | None:
        """Evict pods. Returns why one never can be."""
        refused: list[tuple[Manifest, Transient]] = []
        for pod in to_evict:
            try:
                await self._cluster.evict(pod)
                writes.append("evict Pod")
            except Transient as error:  # a disruption budget, as a rule: the next pass tries again
                refused.append((pod, error))
        if not refused:
            return None
        budgets = await self._cluster.list("PodDisruptionBudget", observed.key.namespace)
        problem = None
        for pod, refusal in refused:
            if TWO_BUDGETS in str(refusal):
                problem = _two_budgets(disruption_budget.others(budgets, pod, observed.uid))
            elif disruption_budget.is_outdated(budgets, pod, pods, observed.now):
                await self._cluster.patch(pod, annotating(pod, EVICTION_ANNOTATION, time_text(observed.now)))
                writes.append("annotate Pod")
        return problem

    async def _write_replica_sets(
        self, observed: Observed, pods: ObservedPods, wanted: Replacement, writes: list[str]
    ) -> Problem | None:
        """Create and delete ReplicaSets of detached pods. Returns why that is refused.

        It holds up nothing: a pod without one is replaced in the same way.
        """
        planned = wanted.replica_sets
        requests: list[tuple[str, Callable[[], Awaitable[object]]]] = [
            *(("create ReplicaSet", partial(self._cluster.create, each)) for each in planned.create),
            *(("delete ReplicaSet", partial(self._cluster.delete, each, orphan=True)) for each in planned.orphan),
            *(("delete ReplicaSet", partial(self._cluster.delete, each)) for each in planned.delete),
        ]
        failed = pods.replica_sets if isinstance(pods.replica_sets, HcaError) else None
        for write, request in requests:
            try:
                await request()
                writes.append(write)
            except HcaError as error:
                failed = error
        if failed is None or not wanted.under_way:
            return None
        if isinstance(failed, Transient):
            logger.info("the ReplicaSet of a pod comes or goes later: %s", failed, extra={"object": str(observed.key)})
            return None
        text = "the ReplicaSet of a pod that was replaced near its memory limit cannot be deleted"
        if wanted.detached:
            text = (
                "a pod near its memory limit is replaced without a ReplicaSet of its own, so kubectl drain needs "
                "--force for its node, and the cluster autoscaler keeps the node meanwhile"
            )
        return Problem(Reason.FORBIDDEN if isinstance(failed, Forbidden) else Reason.REJECTED, f"{text}: {failed}")

    async def store_status(self, observed: Observed, status: Manifest, events: Sequence[Manifest]) -> None:
        """Store a status, and create the Events about what has changed in it.

        Raises Conflict if the object has changed since it was read: the status and its Events follow from both.
        """
        metadata = exactly(observed.manifest, "resourceVersion")
        stored = {"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "status": status}
        await self._cluster.apply(stored, subresource="status")
        for event in events:
            try:
                await self._cluster.create(event)
            except HcaError as error:
                # The condition says the same, and stays.
                logger.info("an event could not be written: %s", error, extra={"object": str(observed.key)})

    async def _write_children(self, resolved: Resolved, observed: Observed, plan: Plan) -> list[ChildDone]:
        """Carry out the stages in order; the last one only if the workload could be written."""
        removed = await self._stage(resolved, observed, plan, plan.removals)
        workload = await self._stage(resolved, observed, plan, plan.workload)
        if any(child.unwritten for child in workload):
            plan = without_workload(plan, observed)
        if workload and workload[0].live is not None:
            plan = after_workload(resolved.api, plan, observed.with_child(workload[0].live), rolls=workload[0].rolls)
        return [*removed, *workload, *await self._stage(resolved, observed, plan, plan.others)]

    async def _stage(
        self, resolved: Resolved, observed: Observed, plan: Plan, steps: Sequence[Step]
    ) -> list[ChildDone]:
        if not steps:
            return []
        # All are waited for, whatever happens to one: the next pass must not overlap with writes of this one.
        results = await asyncio.gather(
            *(self._child_writer.write(resolved, observed, plan, step) for step in steps), return_exceptions=True
        )
        done: list[ChildDone] = []
        for result in results:
            if isinstance(result, BaseException):
                raise result
            done.append(result)
        return done

    def _keep(self, resolved: Resolved | Refused, key: Key, plan: Plan) -> None:
        """Store in the trackers what was decided from them, before another pass can read them."""
        if isinstance(resolved, Resolved):
            self._trackers.memory.track(key, resolved.memory)
        for step in plan.workload:
            take_place(self._trackers, key, step.place)
        if burst := next((floor for floor in plan.floors if floor.source == Source.BURST), None):
            self._trackers.bursts.keep(key, burst)
        if plan.config:
            self._trackers.config_changes.keep(key, plan.config.state)

    def _track_load(self, resolved: Resolved | Refused, key: Key, live: Mapping[Slot, Manifest]) -> None:
        deployment = live.get(("Deployment", key.name))
        if isinstance(resolved, Refused) or resolved.burst is None or deployment is None:
            self._trackers.bursts.forget(key)
        else:
            self._trackers.bursts.track(key, resolved.burst, deployment)


def _two_budgets(others: Sequence[str]) -> Problem:
    """Which budgets keep a pod from ever being evicted, by the operator as by a drain of its node."""
    return Problem(
        Reason.REJECTED,
        "no pod of this API can be evicted, neither to replace it near its memory limit nor to drain its node, "
        "because more than one PodDisruptionBudget selects it: delete or narrow "
        + ", ".join(f"PodDisruptionBudget {name}" for name in others),
    )
