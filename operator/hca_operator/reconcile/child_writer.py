"""Carries out the steps for one child, the part of `act` that writes children.

The API server's answer to a write is the observation of the child from then on. The next step is planned from that
answer after an adoption, or if an object with the name of a new child exists.
"""

from dataclasses import dataclass, replace

from hca_operator.core.errors import HcaError
from hca_operator.core.names import Manifest
from hca_operator.core.ports import Cluster, Key
from hca_operator.reconcile.observe import Observer
from hca_operator.reconcile.observed_state import Observed
from hca_operator.reconcile.plan import Plan
from hca_operator.reconcile.repairs import after_repair
from hca_operator.reconcile.resolve import Resolved
from hca_operator.reconcile.retries import Slot
from hca_operator.reconcile.steps import GatePlace, Step, Verb, object_digest, plan_child, repaired
from hca_operator.reconcile.trackers import Applied, Trackers


@dataclass(frozen=True)
class ChildDone:
    """What came of the steps for one child."""

    slot: Slot
    live: Manifest | None
    """As it is now; None: it does not exist."""
    writes: tuple[str, ...] = ()
    """Changes, such as `apply Service`."""
    rolls: bool = False
    """Whether the pods were given another template."""
    requeue_after_seconds: float | None = None
    """Until a postponed write can be tried again; None if none was postponed."""
    error: HcaError | None = None
    """Why the child could not be written, or not in full."""
    unwritten: bool = False
    """Whether it could not be written at all."""


class ChildWriter:
    """Writes one child of an object after the other."""

    def __init__(self, cluster: Cluster, observer: Observer, trackers: Trackers) -> None:
        self._cluster = cluster
        self._observer = observer
        self._trackers = trackers

    async def write(self, resolved: Resolved, observed: Observed, plan: Plan, step: Step) -> ChildDone:
        """Carry out the step for a child, after `take_place`, and the steps that follow from the answers.

        Every error is a problem of this child alone.
        """
        done = ChildDone(step.slot, observed.children.get(step.slot))
        try:
            while True:
                try:
                    done = await self._carry_out(done, observed, step)
                except HcaError:
                    creates = step.verb == Verb.CREATE
                    taken = await self._observer.taken(resolved, observed, step.slot) if creates else None
                    if taken is None:
                        raise
                    observed, done = taken, replace(done, live=taken.children[step.slot])
                else:
                    if step.verb not in {Verb.ADOPT, Verb.CLAIM} or done.live is None:
                        return done
                    observed = self._observer.answered(observed, done.live)
                claimed, child = step.verb == Verb.CLAIM, plan.children[step.slot]
                step = plan_child(resolved.api, plan.intent, observed, child, claimed=claimed)
                take_place(self._trackers, observed.key, step.place)
        except HcaError as error:
            return replace(done, error=error, unwritten=True)

    async def _carry_out(self, done: ChildDone, observed: Observed, step: Step) -> ChildDone:
        done = replace(done, requeue_after_seconds=step.requeue_after_seconds, error=step.error)
        done = replace(done, unwritten=step.verb == Verb.REFUSE)
        match step.verb:
            case Verb.DELETE:
                await self._cluster.delete(observed.children[step.slot])
                return replace(done, live=None, writes=(*done.writes, f"delete {step.slot[0]}"))
            case Verb.ADOPT | Verb.CLAIM:
                return await self._patch(done, observed, step)
            case Verb.CREATE:
                return self._applied(done, observed, step, await self._cluster.apply_new(step.desired))
            case Verb.APPLY:
                return self._applied(done, observed, step, await self._cluster.apply(step.desired))
        return done

    async def _patch(self, done: ChildDone, observed: Observed, step: Step) -> ChildDone:
        live = await self._cluster.patch(observed.children[step.slot], step.operations)
        if step.verb == Verb.CLAIM:
            return replace(done, live=live)
        kind = step.slot[0]
        return replace(done, live=live, writes=(*done.writes, f"adopt {kind}"), rolls=kind == "Deployment")

    def _applied(self, done: ChildDone, observed: Observed, step: Step, live: Manifest) -> ChildDone:
        """The same after a creation or an application with that answer."""
        kind, before, after = step.slot[0], observed.children.get(step.slot), object_digest(live)
        changed = after != step.digests.live  # not by the version: a status may have changed since
        if changed and (contests := repaired(observed, step)) is not None:
            repairs = self._trackers.repairs.setdefault(observed.key, {})
            repairs[step.slot] = after_repair(repairs.get(step.slot), contests, observed.now.timestamp())
        self._trackers.applied.setdefault(observed.key, {})[step.slot] = Applied(step.digests.desired, after)
        rolls = kind == "Deployment" and before is not None and live["spec"]["template"] != before["spec"]["template"]
        writes = (*done.writes, f"apply {kind}") if changed else done.writes
        return replace(done, live=live, writes=writes, rolls=done.rolls or rolls)


def take_place(trackers: Trackers, key: Key, place: GatePlace) -> None:
    """Take or free the object's place at the rollout gate."""
    if place == GatePlace.ENTER:
        trackers.gate.enter(key)
    elif place == GatePlace.LEAVE:
        trackers.gate.leave(key)
