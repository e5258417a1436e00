"""Brings the children to what is desired: the only place that decides which write is made, and which is not."""

import asyncio
from dataclasses import dataclass, field

from hca_operator.api.spec import ApiObject
from hca_operator.api.status import Problem, Reason
from hca_operator.core.errors import Forbidden, HcaError, NotOwned, Rejected, Transient
from hca_operator.core.fingerprints import fingerprint
from hca_operator.core.names import ADOPT_ANNOTATION, KIND, REVISION_ANNOTATION, TEMPLATE_ANNOTATION, Manifest
from hca_operator.core.observed import belongs_to_predecessor, is_ours, owns_replicas, replicas_of, rolled_out
from hca_operator.core.ports import Cluster, Key
from hca_operator.desired.children import Child
from hca_operator.desired.metadata import annotated
from hca_operator.desired.scaling import autoscaling_wanted
from hca_operator.reconcile import adoption
from hca_operator.restarts.requested import Restarts, restarted
from hca_operator.restarts.rollout_gate import RolloutGate
from hca_operator.scaling.burst import NO_BURST, Burst
from hca_operator.scaling.fallback import NO_FALLBACK, Fallback
from hca_operator.scaling.schedules import NO_FLOOR, Floor

SOON = 5.0
"""Seconds until the next look at what waits for something that no event tells of."""

TURN = 120.0
"""Seconds until what waits for its turn looks by itself: as a rule it is told."""

_Slot = tuple[str, str]
"""Kind and name of a child."""


@dataclass
class Pass:
    """What one reconcile has seen and done so far."""

    live: dict[_Slot, Manifest] = field(default_factory=dict)
    writes: list[str] = field(default_factory=list)
    rolls: bool = False
    """Whether pods were given another template."""
    restarts: Restarts | None = None
    """None where the object could not be read."""
    floor: Floor = NO_FLOOR
    """What the clock asks for."""
    fallback: Fallback = NO_FALLBACK
    """What missing metrics ask for."""
    burst: Burst = NO_BURST
    """What a jump of the load asks for."""
    blocked: Problem | None = None
    requeue_after: float | None = None
    """Seconds until what was put off can be tried, None where nothing was."""
    configuration_waits: float | None = None
    """Seconds until a changed configuration is carried out, None where none has changed."""
    waits: list[float] = field(default_factory=list)
    """Seconds until something else is to be looked at that no event tells of."""


class Writer:
    """Writes children, each only where it differs from what was applied before."""

    def __init__(self, cluster: Cluster, gate: RolloutGate) -> None:
        self._cluster = cluster
        self._gate = gate
        self._applied: dict[Key, dict[_Slot, tuple[bytes, bytes]]] = {}
        """Per child: digests of what we last applied and of what it looked like then. Losing it costs one apply."""

    def forget(self, key: Key) -> None:
        """The object is gone, and the garbage collector removes its children."""
        self._applied.pop(key, None)
        self._gate.leave(key)

    async def write(self, api: ApiObject, children: list[Child], done: Pass, *, edited: bool) -> None:
        """Write what differs. One child that cannot be written does not hold up the others.

        `edited`: the object itself has changed since it was last carried out.
        """
        # Deletions first: an autoscaler that is to go must not undo the count that is applied next.
        unwanted = [child for child in children if child.manifest is None]
        workload = [child for child in children if child.kind == "Deployment"]
        others = [child for child in children if child.manifest is not None and child.kind != "Deployment"]
        for step in (unwanted, workload, others):
            # All are waited for, whatever becomes of one: the next pass must not meet writes of this one.
            results = await asyncio.gather(
                *(self._try(api, child, done, edited=edited) for child in step), return_exceptions=True
            )
            for result in results:
                if isinstance(result, BaseException):
                    raise result
            if step is workload and not all(results):
                return  # traffic and scaling for a workload that is not there help nobody

    async def meet_burst(self, api: ApiObject, done: Pass) -> None:
        """Have the pods that a jump of the load needs at once: a new minimum is only looked at 15 s later.

        Never without that minimum, for the autoscaler might take them away, and never less than there are.
        """
        live, autoscaler = (done.live.get((kind, api.name)) for kind in ("Deployment", "HorizontalPodAutoscaler"))
        if live is None or autoscaler is None or not is_ours(live, api.uid):
            return
        if autoscaler["spec"].get("minReplicas", 1) < done.burst.pods:
            return
        if 0 < replicas_of(live) < done.burst.pods:
            try:
                await self._cluster.scale(live, done.burst.pods)
            except (Rejected, Forbidden) as error:
                done.blocked = done.blocked or problem_of(error)
            else:
                done.writes.append("scale Deployment")

    async def _try(self, api: ApiObject, child: Child, done: Pass, *, edited: bool) -> bool:
        try:
            if child.manifest is None:
                await self._remove(api, child, done)
            else:
                await self._write(api, child.manifest, done, edited=edited)
        except (NotOwned, Rejected, Forbidden) as error:
            done.blocked = done.blocked or problem_of(error)
            return False
        return True

    async def _remove(self, api: ApiObject, child: Child, done: Pass) -> None:
        slot = (child.kind, child.name)
        live = done.live.get(slot)
        if live is not None and is_ours(live, api.uid):
            await self._cluster.delete(live)
            done.writes.append(f"delete {child.kind}")
            del done.live[slot]

    async def _write(self, api: ApiObject, desired: Manifest, done: Pass, *, edited: bool) -> None:
        try:
            await self._bring_about(api, desired, done, edited=edited)
        except HcaError:
            slot = _slot(desired)
            if slot in done.live:
                raise
            live = await self._cluster.get(slot[0], api.namespace, slot[1])
            if live is None:
                raise
            # Nothing was known to have the name, but something has.
            done.live[slot] = live
            await self._bring_about(api, desired, done, edited=edited)

    async def _bring_about(self, api: ApiObject, desired: Manifest, done: Pass, *, edited: bool) -> None:
        if not await self._made_ours(api, desired, done):
            return
        if desired["kind"] == "Deployment":
            await self._write_deployment(api, desired, done, edited=edited)
        else:
            await self._apply(api, desired, done)

    async def _made_ours(self, api: ApiObject, desired: Manifest, done: Pass) -> bool:
        """Whether the name is free or the object there is ours; False where that is to be awaited.

        Raises NotOwned for the object of somebody else that was not asked to be adopted.
        """
        slot = _slot(desired)
        live = done.live.get(slot)
        if live is None:
            return True
        if not is_ours(live, api.uid):
            if belongs_to_predecessor(live, api.name):
                raise Transient(f"{slot[0]} {slot[1]} of the deleted object of this name is still there")
            if not adoption.asked_for(api, live):
                raise NotOwned(
                    f"{slot[0]} {slot[1]} exists and is not this object's: rename or delete it, give this {KIND} "
                    f"another name, or annotate it with {ADOPT_ANNOTATION}: <uid> to have it taken over"
                )
            # A Service finds our pods by other labels, so it must not be switched before they all serve.
            if slot[0] == "Service" and not rolled_out(done.live.get(("Deployment", api.name))):
                done.requeue_after = SOON
                return False
            live = await self._cluster.patch(live, adoption.take_over(live, desired))
            done.writes.append(f"adopt {slot[0]}")
            done.rolls = done.rolls or slot[0] == "Deployment"
        if claim := adoption.claim(live):
            live = await self._cluster.patch(live, claim)
        done.live[slot] = live
        return True

    async def _write_deployment(self, api: ApiObject, desired: Manifest, done: Pass, *, edited: bool) -> None:
        """Apply the Deployment, with `replicas` where the object decides the count or nobody else has so far.

        Dropping `replicas` as its only owner would set it to 1, so it is sent as it is until the autoscaler takes it
        over with the first count of its own (docs/design/0002-replicas.md).
        """
        slot = _slot(desired)
        live = done.live.get(slot)
        plain, restarts = adoption.keeping_selector(live, desired), done.restarts or Restarts()
        desired = _with_template_digest(restarted(plain, restarts.due))
        if live is not None and self._put_off(api, desired, live, edited=edited or restarts.asked):
            done.requeue_after = TURN
            # What waits may be a restart alone, which holds up nothing else.
            desired = _with_template_digest(restarted(plain, restarts.carried))
            if _template_digest(live) != _template_digest(desired):
                return
        if not autoscaling_wanted(api):
            if live is not None and replicas_of(live) != api.spec.replicas:
                await self._refuse_other_autoscaler(api)
            await self._apply(api, _with_replicas(desired, api.spec.replicas), done)
            return
        count = 0 if live is None else replicas_of(live)
        if not count or owns_replicas(live):
            desired = _with_replicas(desired, count or api.spec.autoscaling.min_replicas)
        # Whose the count is may have changed unseen: it must be neither undone nor, as its only owner, dropped.
        await self._apply(api, desired, done, only_as_seen=True)

    async def _refuse_other_autoscaler(self, api: ApiObject) -> None:
        """Raise NotOwned where the count was changed by somebody who would change it again."""
        for autoscaler in await self._cluster.list("HorizontalPodAutoscaler", api.namespace):
            target = autoscaler["spec"]["scaleTargetRef"]
            if (target["kind"], target["name"]) == ("Deployment", api.name) and not is_ours(autoscaler, api.uid):
                raise NotOwned(
                    f"HorizontalPodAutoscaler {autoscaler['metadata']['name']} decides how many pods there are, and so "
                    "does spec.replicas: delete it, or set spec.autoscaling.mode: Horizontal and delete it"
                )

    def _put_off(self, api: ApiObject, desired: Manifest, live: Manifest, *, edited: bool) -> bool:
        """Whether a rollout that nobody asked for has to wait for its turn."""
        key = Key(api.namespace, api.name)
        if edited:
            self._gate.leave(key)
            return False
        if _template_digest(live) == _template_digest(desired):
            return False
        return not self._gate.enter(key)

    async def _apply(self, api: ApiObject, desired: Manifest, done: Pass, *, only_as_seen: bool = False) -> None:
        """Apply unless neither what we want nor what is there has changed since the last time.

        `only_as_seen`: Transient where what is there is no longer as it was seen.
        """
        slot = _slot(desired)
        live = done.live.get(slot)
        wanted, before = _digest(desired), None if live is None else _digest(live)
        memory = self._applied.setdefault(Key(api.namespace, api.name), {})
        if memory.get(slot) == (wanted, before):
            return
        if live is None:
            applied = await self._cluster.apply_new(desired)
        else:
            # With its uid, so that an object that was deleted a moment ago is not made anew from half of what it takes.
            seen = exactly(live, "resourceVersion") if only_as_seen else exactly(live)
            applied = await self._cluster.apply({**desired, "metadata": {**desired["metadata"], **seen}})
            if slot[0] == "Deployment" and applied["spec"]["template"] != live["spec"]["template"]:
                done.rolls = True
        after = _digest(applied)
        if after != before:  # the version says less: what was last seen may have been followed by a status
            done.writes.append(f"apply {slot[0]}")
        done.live[slot] = applied
        memory[slot] = (wanted, after)


def _slot(manifest: Manifest) -> _Slot:
    return manifest["kind"], manifest["metadata"]["name"]


def problem_of(error: HcaError) -> Problem:
    """What a request that was refused means for the object."""
    if isinstance(error, NotOwned):
        return Problem(Reason.RESOURCE_CONFLICT, str(error))
    if isinstance(error, Forbidden):
        return Problem(Reason.FORBIDDEN, f"the operator may not do this: {error}")
    return Problem(Reason.REJECTED, f"the API server refused a child object: {error}")


def exactly(live: Manifest, *more: str) -> Manifest:
    """Metadata with which a write is refused where the object, or with its version its state, is another by now."""
    return {name: live["metadata"][name] for name in ("name", "namespace", "uid", *more)}


def _with_replicas(deployment: Manifest, count: int) -> Manifest:
    return {**deployment, "spec": {**deployment["spec"], "replicas": count}}


def _with_template_digest(deployment: Manifest) -> Manifest:
    """The Deployment with the digest of its pod template, by which a later release sees that it would restart pods."""
    return annotated(deployment, TEMPLATE_ANNOTATION, fingerprint(deployment["spec"]["template"]).hex())


def _template_digest(deployment: Manifest) -> str | None:
    digest: str | None = deployment["metadata"].get("annotations", {}).get(TEMPLATE_ANNOTATION)
    return digest


def _digest(manifest: Manifest) -> bytes:
    """Fingerprint of what an object is meant to be: its status and bookkeeping change all the time."""
    metadata = {
        name: manifest["metadata"].get(name) for name in ("uid", "labels", "ownerReferences", "deletionTimestamp")
    }
    annotations = manifest["metadata"].get("annotations") or {}
    # Written by the Deployment's controller right after each of our own writes that it follows.
    metadata["annotations"] = {name: value for name, value in annotations.items() if name != REVISION_ANNOTATION}
    return fingerprint({**manifest, "metadata": metadata, "status": None})
