"""The one orchestrator: read, plan, write, observe, report. Each pass starts from what is there now."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from hca_operator.api.fleet_policy import FleetPolicy, apply
from hca_operator.api.promql import queries
from hca_operator.api.spec import ApiObject, parse_object
from hca_operator.api.status import Problem, Reason, Unsupported
from hca_operator.core.cron import Schedule
from hca_operator.core.errors import Conflict, HcaError, LimitExceeded, SpecError
from hca_operator.core.names import API_VERSION, KIND, Manifest
from hca_operator.core.observed import (
    all_ready,
    available_replicas,
    condition,
    edited,
    is_new,
    is_ours,
    looked_at,
    rolled_out,
)
from hca_operator.core.ports import Cluster, Key
from hca_operator.desired.children import Child, desired_children
from hca_operator.desired.metadata import selector_text, stable_selector
from hca_operator.desired.scaling import fewest_pods
from hca_operator.desired.sizing import Sizing, size
from hca_operator.kube.cache import version_of
from hca_operator.reconcile.writer import SOON, Pass, Writer, exactly, problem_of
from hca_operator.restarts.config_changes import Configuration
from hca_operator.restarts.debounce import LONGEST_QUIET
from hca_operator.restarts.memory_counters import count_kills, newly_counted
from hca_operator.restarts.memory_trend import MemoryTracker, memory_policy
from hca_operator.restarts.pod_replacement import Replacement, Replacer
from hca_operator.restarts.requested import plan_restarts, schedule_of
from hca_operator.restarts.rollout_gate import RolloutGate
from hca_operator.scaling.burst import BurstPolicy, BurstTracker, burst_policy
from hca_operator.scaling.capabilities import ExternalMetrics
from hca_operator.scaling.fallback import fallback_at
from hca_operator.scaling.schedules import Shift, floor_at, shifts, with_floor
from hca_operator.scaling.tolerance import dropped_tolerances
from hca_operator.status.conditions import Observation, next_status
from hca_operator.status.diagnosis import diagnose, event_reasons
from hca_operator.status.events import events_of

logger = logging.getLogger(__name__)

FASTEST_LOOK, SLOWEST_LOOK = 1.0, 30.0
"""Seconds between two looks at pods that are not ready; a tenth of the time that it has taken, within these."""


@dataclass(frozen=True)
class Outcome:
    """What came of one reconcile."""

    requeue_after: float | None = None
    """Seconds until the next look, None where an event will tell."""
    writes: tuple[str, ...] = ()
    """What was written."""
    status: Manifest | None = None
    """The object's status now, None where the object is gone."""
    memory_restarts: Mapping[str, int] = field(default_factory=dict)
    """By their reason, the restarts on memory that were not known before."""


class Reconciler:
    """Brings the children of one object at a time to what the object says."""

    def __init__(  # noqa: PLR0913 - what the world outside has to offer
        self,
        cluster: Cluster,
        policy: FleetPolicy,
        *,
        configuration: Configuration,
        external: ExternalMetrics,
        gate: RolloutGate,
        memory: MemoryTracker,
        bursts: BurstTracker,
        identity: str,
        now: Callable[[], datetime],
    ) -> None:
        self._cluster = cluster
        self._configuration = configuration
        self._external = external
        self._gate = gate
        self._identity = identity
        self._now = now
        self._policy = policy
        self._writer = Writer(cluster, gate)
        self._memory = memory
        self._bursts = bursts
        self.replacer = Replacer(cluster, memory)

    async def reconcile(self, key: Key) -> Outcome:
        """One pass.

        Raises Transient where the pass is to be repeated; every other trouble ends in a condition.
        """
        manifest = await self._see(KIND, key)
        if manifest is None or "deletionTimestamp" in manifest["metadata"]:
            self._writer.forget(key)
            self._memory.watch(key, None)
            self._bursts.forget(key)
            self._configuration.forget(key)
            return Outcome()
        api: ApiObject | None = None
        sizing: Sizing | None = None
        schedule: Schedule | None = None
        hours: list[Shift] = []
        jumps: BurstPolicy | None = None
        done = Pass()
        try:
            api = apply(self._policy, parse_object(manifest))
            sizing = size(api.spec)
            schedule = schedule_of(api.spec)
            hours = shifts(api.spec)
            queries(api.spec, key.namespace)  # refuses those that may not be asked
            self._memory.watch(key, memory_policy(api.spec, sizing))
            jumps = burst_policy(self._external.carried_out(api), sizing)
        except LimitExceeded as error:
            done.blocked = Problem(Reason.LIMIT_EXCEEDED, str(error))
        except SpecError as error:
            done.blocked = Problem(Reason.INVALID_SPEC, str(error))
        if api is not None and sizing is not None and done.blocked is None:
            done.floor = floor_at(hours, self._now())
            children = desired_children(
                self._external.carried_out(api), sizing, isolated=self._policy.network_policy.enabled
            )
            await self._observe(manifest, children, done)
            status = manifest.get("status", {})
            autoscaler = done.live.get(("HorizontalPodAutoscaler", key.name))
            done.fallback = fallback_at(api.spec, autoscaler, status, self._now())
            if jumps is not None:
                done.burst = self._bursts.floor(key, jumps, status, self._now())
            children = with_floor(children, max(done.floor.pods, done.fallback.pods, done.burst.pods))
            live = done.live.get(("Deployment", key.name))
            done.restarts = plan_restarts(api, schedule, status, live, self._now())
            if api.spec.reconciliation == "Active":
                await self._write(api, children, done, edited=edited(manifest))
                await self._writer.meet_burst(api, done)
        else:
            deployment = await self._see("Deployment", key)
            if deployment is not None:
                done.live["Deployment", key.name] = deployment
        self._follow(key, jumps, done)
        return await self._report(key, manifest, api, sizing, done)

    def _follow(self, key: Key, jumps: BurstPolicy | None, done: Pass) -> None:
        deployment = done.live.get(("Deployment", key.name))
        if jumps is None or deployment is None:
            self._bursts.forget(key)
        else:
            self._bursts.follow(key, jumps, deployment)

    def _unsupported(self, api: ApiObject, done: Pass) -> list[Unsupported]:
        found = [
            *self._configuration.unfollowed(api),
            *self._external.unsupported(api),
            *self._external.unsupported_burst(api),
        ]
        if done.blocked is None and api.spec.reconciliation == "Active":  # else nothing was to be stored
            found += dropped_tolerances(api, done.live.get(("HorizontalPodAutoscaler", api.name)))
        return found

    async def _see(self, kind: str, key: Key) -> Manifest | None:
        known = self._cluster.known(kind, key.namespace, key.name)
        return known or await self._cluster.get(kind, key.namespace, key.name)

    async def _observe(self, manifest: Manifest, children: list[Child], done: Pass) -> None:
        """See the children. Raises Conflict where the object is no longer as it was seen.

        What is to be there is asked for where it is not known, since its name may be taken; and so is the object, since
        whoever ends it ends its children. Those of a new object are to be made, which tells whether a name is taken.
        """
        namespace, name = manifest["metadata"]["namespace"], manifest["metadata"]["name"]
        live = {(kind, child): self._cluster.known(kind, namespace, child) for kind, child, _ in children}
        missing = [(kind, child) for kind, child, wanted in children if wanted and live[kind, child] is None]
        if missing and not is_new(manifest):
            now, *found = await asyncio.gather(
                self._cluster.get(KIND, namespace, name),
                *(self._cluster.get(kind, namespace, child) for kind, child in missing),
            )
            if now is None or version_of(now) > version_of(manifest):
                raise Conflict(f"{KIND} {namespace}/{name} has changed since it was last seen")
            live |= zip(missing, found, strict=True)
        done.live = {slot: seen for slot, seen in live.items() if seen is not None}

    async def _write(self, api: ApiObject, children: list[Child], done: Pass, *, edited: bool) -> None:
        """Write the children, the workload with what its pods are to know of a changed configuration."""
        workload = next(child for child in children if child.kind == "Deployment")
        assert workload.manifest is not None, "an object always has one"  # noqa: S101
        live = done.live.get((workload.kind, workload.name))
        carried = await self._configuration.carry(api, workload.manifest, live, edited=edited)
        if carried.trouble:
            done.blocked = problem_of(carried.trouble)
        done.configuration_waits = carried.wait
        children = [child._replace(manifest=carried.deployment) if child is workload else child for child in children]
        # Whoever changes the configuration has asked for the rollout.
        await self._writer.write(api, children, done, edited=edited or carried.changed)
        if carried.changed and done.blocked is None:
            self._configuration.carried_out(api)

    async def _report(
        self, key: Key, manifest: Manifest, api: ApiObject | None, sizing: Sizing | None, done: Pass
    ) -> Outcome:
        uid = manifest["metadata"]["uid"]
        live = {slot: child for slot, child in done.live.items() if is_ours(child, uid)}
        deployment = live.get(("Deployment", key.name))
        missing = api is not None and available_replicas(deployment) < fewest_pods(api)
        if rolled_out(deployment) and not missing and done.requeue_after is None:
            self._gate.leave(key)
        previous = manifest.get("status", {})
        pods = await self._pods_to_look_at(api, deployment)
        pod_problem = None
        if (
            api is not None
            and deployment is not None
            and looked_at(deployment)
            and (missing or not rolled_out(deployment))
        ):
            pod_problem = await self._diagnose(api, deployment, pods)
        replacement = await self._replace(
            api, deployment, done, count_kills(previous.get("memoryRestarts"), pods, self._now())
        )
        observation = Observation(
            generation=manifest["metadata"]["generation"],
            previous=previous,
            api=api,
            sizing=sizing,
            deployment=deployment,
            rolls=done.rolls,
            configuration_waits=(done.configuration_waits or 0) > LONGEST_QUIET,
            autoscaler=live.get(("HorizontalPodAutoscaler", key.name)),
            blocked=done.blocked,
            pod_problem=pod_problem,
            restarts=done.restarts,
            floor=done.floor,
            fallback=done.fallback,
            burst=done.burst,
            memory_restarts=replacement.counted,
            memory_problem=replacement.problem,
            detached=replacement.serving,
            memory_known=self._memory.available,
            memory_grows=self._memory.grows(key),
            unsupported=self._unsupported(api, done) if api else (),
        )
        status = next_status(observation, self._now())
        if status != manifest.get("status"):
            await self._store_status(key, manifest, status, done)
        if done.writes:
            ready = condition({"status": status}, "Ready")
            logger.info(
                "reconciled",
                extra={
                    "object": str(key),
                    "generation": observation.generation,
                    "writes": done.writes,
                    "ready": ready["status"],
                    "reason": ready["reason"],
                },
            )
        return Outcome(
            self._next_look(status, self._wish(done, missing=missing)),
            tuple(done.writes),
            status,
            newly_counted(previous.get("memoryRestarts"), replacement.counted),
        )

    async def _store_status(self, key: Key, manifest: Manifest, status: Manifest, done: Pass) -> None:
        await self._cluster.apply(
            {
                "apiVersion": API_VERSION,
                "kind": KIND,
                # What is told follows from what was told before: bound to the version that both were read from.
                "metadata": exactly(manifest, "resourceVersion"),
                "status": status,
            },
            subresource="status",
        )
        done.writes.append("status")
        for event in events_of(manifest, status, self._now(), self._identity):
            try:
                await self._cluster.create(event)
            except HcaError as error:
                # The condition says the same and lasts; an Event is for those who look just now.
                logger.info("an event could not be written: %s", error, extra={"object": str(key)})

    async def _replace(
        self, api: ApiObject | None, deployment: Manifest | None, done: Pass, counted: Manifest | None
    ) -> Replacement:
        """Go on with the replacement of a pod that memory calls for, or begin one where nothing else is going on."""
        if api is None or deployment is None or api.spec.reconciliation == "Paused":
            return Replacement(counted)
        replacement = await self.replacer.advance(
            api, deployment, counted, self._now(), settled=not done.rolls and all_ready(deployment)
        )
        if replacement.wrote:
            done.writes.append(replacement.wrote)
        if replacement.requeue_after is not None:
            done.waits.append(replacement.requeue_after)
        return replacement

    async def _pods_to_look_at(self, api: ApiObject | None, deployment: Manifest | None) -> list[Manifest]:
        """The pods where one does not serve: they are not watched, but their Deployment tells of it."""
        if api is None or deployment is None or not looked_at(deployment) or all_ready(deployment):
            return []
        return await self._cluster.list("Pod", api.namespace, labelSelector=selector_text(stable_selector(api.name)))

    async def _diagnose(self, api: ApiObject, deployment: Manifest, pods: list[Manifest]) -> Problem | None:
        events: list[Manifest] = []
        for reason in event_reasons(api.spec, pods):
            events += await self._cluster.list(
                "Event", api.namespace, fieldSelector=f"involvedObject.kind=Pod,reason={reason}"
            )
        return diagnose(api.spec, deployment, pods, events)

    def _wish(self, done: Pass, *, missing: bool) -> float | None:
        """Seconds until something is due that no event will tell of."""
        waits = [*done.waits, SOON] if missing or (done.restarts and done.restarts.waits) else [*done.waits]
        waits += [wait for wait in (done.requeue_after, done.configuration_waits) if wait is not None]
        moments = [done.restarts.next if done.restarts else None, done.floor.next, done.fallback.next, done.burst.until]
        waits += [max(0.0, (moment - self._now()).total_seconds()) for moment in moments if moment]
        return min(waits, default=None)

    def _next_look(self, status: Manifest, wished: float | None) -> float | None:
        """Pods are not watched: while some are not ready they are looked at, ever more slowly."""
        ready = condition({"status": status}, "Ready")
        if ready["status"] != "False":
            return wished
        since = datetime.fromisoformat(ready["lastTransitionTime"])
        slowing = max(FASTEST_LOOK, (self._now() - since).total_seconds() / 10)
        return min(SLOWEST_LOOK, slowing)
