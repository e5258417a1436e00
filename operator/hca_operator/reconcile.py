"""The one orchestrator: read, plan, prune, apply, observe, report. Each pass starts from what is there now."""

import asyncio
import hashlib
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple, Protocol

from hca_operator.api.spec import ApiObject, parse_object
from hca_operator.api.status import Reason
from hca_operator.desired import Child, desired_children
from hca_operator.desired.metadata import selector_text, stable_selector
from hca_operator.desired.scaling import autoscaling_wanted
from hca_operator.diagnosis import Problem, diagnose, needs_events
from hca_operator.errors import Forbidden, HcaError, NotOwned, Rejected, SpecError, Transient
from hca_operator.names import API_VERSION, FIELD_MANAGER, KIND, REPLICAS_MANAGER, Manifest
from hca_operator.observed import (
    available_replicas,
    belongs_to_predecessor,
    condition,
    is_ours,
    owns_replicas,
    replicas_of,
    rolled_out,
)
from hca_operator.sizing import Sizing, size
from hca_operator.status import Observation, next_status

logger = logging.getLogger(__name__)

FASTEST_LOOK, SLOWEST_LOOK = 1.0, 30.0
"""Seconds between two looks at pods that are not ready; a tenth of the time that it has taken, within these."""


class Key(NamedTuple):
    """Which object."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


class Cluster(Protocol):
    """What a reconcile needs of the API server; `hca_operator.kube.Kube` is the real one."""

    async def get(self, kind: str, namespace: str, name: str) -> Manifest | None:
        """An object, None where it does not exist."""

    async def list(self, kind: str, namespace: str, **selectors: str) -> list[Manifest]:
        """Objects of a namespace."""

    async def apply(
        self, manifest: Manifest, *, manager: str = ..., subresource: str = ..., force: bool = ...
    ) -> Manifest:
        """Server-side apply, by force unless told otherwise."""

    async def delete(self, manifest: Manifest) -> None:
        """Delete exactly this object."""


@dataclass(frozen=True)
class Outcome:
    """What came of one reconcile."""

    look_again: float | None = None
    """Seconds until the next look, None where an event will tell."""
    writes: tuple[str, ...] = ()
    """What was written."""
    status: Manifest | None = None
    """The object's status now, None where the object is gone."""


@dataclass
class Pass:
    """What one reconcile has seen and done so far."""

    live: dict[tuple[str, str], Manifest] = field(default_factory=dict)
    writes: list[str] = field(default_factory=list)
    blocked: Problem | None = None


class Reconciler:
    """Brings the children of one object at a time to what the object says."""

    def __init__(self, cluster: Cluster, *, now: Callable[[], datetime]) -> None:
        self._cluster = cluster
        self._now = now
        self._applied: dict[Key, dict[tuple[str, str], tuple[str, str]]] = {}
        """Per child: digests of what we last applied and of what it looked like then. Losing it costs one apply."""

    async def reconcile(self, key: Key) -> Outcome:
        """One pass.

        Raises Transient where the pass is to be repeated; every other trouble ends in a condition.
        """
        manifest = await self._cluster.get(KIND, key.namespace, key.name)
        if manifest is None or "deletionTimestamp" in manifest["metadata"]:
            self._applied.pop(key, None)  # the garbage collector removes the children
            return Outcome()
        api: ApiObject | None = None
        sizing: Sizing | None = None
        done = Pass()
        try:
            api = parse_object(manifest)
            sizing = size(api.spec)
        except SpecError as error:
            done.blocked = Problem(Reason.INVALID_SPEC, str(error))
        if api is not None and sizing is not None:
            children = desired_children(api, sizing)
            await self._observe(key, children, done)
            if api.spec.reconciliation == "Active":
                await self._bring_about(key, api, children, done)
        else:
            deployment = await self._cluster.get("Deployment", key.namespace, key.name)
            if deployment is not None:
                done.live["Deployment", key.name] = deployment
        return await self._report(key, manifest, api, sizing, done)

    async def _observe(self, key: Key, children: list[Child], done: Pass) -> None:
        found = await asyncio.gather(*(self._cluster.get(child.kind, key.namespace, child.name) for child in children))
        done.live = {
            (child.kind, child.name): manifest
            for child, manifest in zip(children, found, strict=True)
            if manifest is not None
        }

    async def _bring_about(self, key: Key, api: ApiObject, children: list[Child], done: Pass) -> None:
        """Write what differs. One child that cannot be written does not hold up the others."""
        # Deletions first: an autoscaler that is to go must not undo the count that is applied next.
        for child in sorted(children, key=lambda child: child.manifest is not None):
            try:
                self._refuse_foreign(api, child, done)
                await self._write(key, api, child, done)
            except (NotOwned, Rejected, Forbidden) as error:
                done.blocked = done.blocked or _problem_of(error)
                if child.kind == "Deployment":
                    return  # traffic and scaling for a workload that is not there help nobody

    def _refuse_foreign(self, api: ApiObject, child: Child, done: Pass) -> None:
        live = done.live.get((child.kind, child.name))
        if live is None or is_ours(live, api.uid):
            return
        if belongs_to_predecessor(live, api.name):
            raise Transient(f"{child.kind} {child.name} of the deleted object of this name is still there")
        if child.manifest is None:
            return  # somebody else's object where none of ours is wanted
        raise NotOwned(
            f"{child.kind} {child.name} exists and is not this object's: rename or delete it, "
            f"or give this {KIND} another name"
        )

    async def _write(self, key: Key, api: ApiObject, child: Child, done: Pass) -> None:
        slot = (child.kind, child.name)
        live = done.live.get(slot)
        if child.manifest is None:
            if live is not None and is_ours(live, api.uid):
                await self._cluster.delete(live)
                done.writes.append(f"delete {child.kind}")
                del done.live[slot]
            return
        if child.kind == "Deployment":
            await self._write_deployment(key, api, child.manifest, done)
        else:
            await self._apply(key, slot, child.manifest, done)

    async def _write_deployment(self, key: Key, api: ApiObject, desired: Manifest, done: Pass) -> None:
        """Apply the Deployment, with `replicas` only where the object itself decides the count.

        Dropping `replicas` as its only owner would set it to 1, so another manager takes it over first
        (docs/design/0002-replicas.md).
        """
        slot = ("Deployment", api.name)
        live = done.live.get(slot)
        if not autoscaling_wanted(api):
            await self._apply(key, slot, _with_replicas(desired, api.spec.replicas), done)
            return
        least = api.spec.autoscaling.min_replicas
        if live is None:
            # Made with a count and then handed over like any other: whatever fails in between, the count is right.
            await self._apply(key, slot, _with_replicas(desired, least), done)
            live = done.live[slot]
            done.live[slot] = await self._set_replicas(desired, replicas_of(live), done)
        elif owns_replicas(live, FIELD_MANAGER) or replicas_of(live) == 0:
            done.live[slot] = await self._set_replicas(_as_of(live, desired), replicas_of(live) or least, done)
        else:
            # Not ours to drop as far as we see: a count that we took back unseen would become 1.
            desired = _as_of(live, desired)
        await self._apply(key, slot, desired, done)

    async def _set_replicas(self, deployment: Manifest, count: int, done: Pass) -> Manifest:
        kept = ("name", "namespace", "resourceVersion")
        metadata = {name: value for name, value in deployment["metadata"].items() if name in kept}
        done.writes.append(f"replicas {count}")
        return await self._cluster.apply(
            {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": {"replicas": count}},
            manager=REPLICAS_MANAGER,
        )

    async def _apply(self, key: Key, slot: tuple[str, str], desired: Manifest, done: Pass) -> None:
        """Apply unless neither what we want nor what is there has changed since the last time."""
        live = done.live.get(slot)
        if live is not None and self._applied.get(key, {}).get(slot) == (_digest(desired), _digest(live)):
            return
        # A new object has no other owners. If it has, it was there unseen, and force would take what is theirs.
        applied = await self._cluster.apply(desired, force=live is not None)
        if live is None or applied["metadata"]["resourceVersion"] != live["metadata"]["resourceVersion"]:
            done.writes.append(f"apply {slot[0]}")
        done.live[slot] = applied
        self._remember(key, slot, desired, applied)

    def _remember(self, key: Key, slot: tuple[str, str], desired: Manifest, live: Manifest) -> None:
        self._applied.setdefault(key, {})[slot] = (_digest(desired), _digest(live))

    async def _report(
        self, key: Key, manifest: Manifest, api: ApiObject | None, sizing: Sizing | None, done: Pass
    ) -> Outcome:
        uid = manifest["metadata"]["uid"]
        live = {slot: child for slot, child in done.live.items() if is_ours(child, uid)}
        deployment = live.get(("Deployment", key.name))
        settled = rolled_out(deployment) and available_replicas(deployment) > 0
        pod_problem = None
        if api is not None and deployment is not None and not settled:
            pod_problem = await self._diagnose(api, deployment)
        observation = Observation(
            generation=manifest["metadata"]["generation"],
            previous=manifest.get("status", {}),
            api=api,
            sizing=sizing,
            deployment=deployment,
            autoscaler=live.get(("HorizontalPodAutoscaler", key.name)),
            blocked=done.blocked,
            pod_problem=pod_problem,
        )
        status = next_status(observation, self._now())
        if status != manifest.get("status"):
            await self._cluster.apply(
                {
                    "apiVersion": API_VERSION,
                    "kind": KIND,
                    "metadata": {"name": key.name, "namespace": key.namespace},
                    "status": status,
                },
                subresource="status",
            )
            done.writes.append("status")
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
        return Outcome(self._next_look(status), tuple(done.writes), status)

    async def _diagnose(self, api: ApiObject, deployment: Manifest) -> Problem | None:
        selector = selector_text(stable_selector(api.name))
        pods = await self._cluster.list("Pod", api.namespace, labelSelector=selector)
        events: list[Manifest] = []
        if needs_events(pods):
            events = await self._cluster.list(
                "Event", api.namespace, fieldSelector="involvedObject.kind=Pod,reason=Unhealthy"
            )
        return diagnose(api.spec, deployment, pods, events)

    def _next_look(self, status: Manifest) -> float | None:
        """Pods are not watched: while some are not ready they are looked at, ever more slowly."""
        ready = condition({"status": status}, "Ready")
        if ready["status"] != "False":
            return None
        since = datetime.fromisoformat(ready["lastTransitionTime"])
        return min(SLOWEST_LOOK, max(FASTEST_LOOK, (self._now() - since).total_seconds() / 10))


def _problem_of(error: HcaError) -> Problem:
    if isinstance(error, NotOwned):
        return Problem(Reason.RESOURCE_CONFLICT, str(error))
    if isinstance(error, Forbidden):
        return Problem(Reason.FORBIDDEN, f"the operator may not do this: {error}")
    return Problem(Reason.REJECTED, f"the API server refused a child object: {error}")


def _with_replicas(deployment: Manifest, count: int) -> Manifest:
    return {**deployment, "spec": {**deployment["spec"], "replicas": count}}


def _as_of(live: Manifest, desired: Manifest) -> Manifest:
    """What is refused where the object is no longer as it was seen."""
    return {**desired, "metadata": {**desired["metadata"], "resourceVersion": live["metadata"]["resourceVersion"]}}


def _digest(manifest: Manifest) -> str:
    """Fingerprint of what an object is meant to be: its status and bookkeeping change all the time."""
    metadata = {
        name: manifest["metadata"].get(name)
        for name in ("uid", "labels", "annotations", "ownerReferences", "deletionTimestamp")
    }
    relevant = {**manifest, "metadata": metadata, "status": None}
    return hashlib.sha256(json.dumps(relevant, sort_keys=True).encode()).hexdigest()
