"""What is to be done about one child: pure, from what is desired and what is there."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from hca_operator.api.spec import ApiObject
from hca_operator.core.errors import HcaError, NotOwned, Transient
from hca_operator.core.field_ownership import Contest, applied_fields, contested, extract
from hca_operator.core.fingerprints import fingerprint
from hca_operator.core.names import ADOPT_ANNOTATION, KIND, REVISION_ANNOTATION, TEMPLATE_ANNOTATION, Manifest
from hca_operator.core.observed import belongs_to_predecessor, is_ours, owns_replicas, replicas_of
from hca_operator.desired.children import Child
from hca_operator.desired.metadata import annotated, with_template
from hca_operator.desired.scaling import autoscaling_wanted
from hca_operator.reconcile import adoption
from hca_operator.reconcile.observed_state import Observed
from hca_operator.reconcile.retries import Slot
from hca_operator.reconcile.trackers import Applied
from hca_operator.restarts.requested import Restarts, restarted

EVENT_MISSED_SECONDS = 5.0
"""Until the next pass while a step waits for a rollout, in case the watch event of the Deployment is missed."""
PLACE_MISSED_SECONDS = 120.0
"""Until the next pass while a rollout waits for a place, in case the free place is missed."""


class Verb(StrEnum):
    """What is to be done."""

    KEEP = "keep"
    """Nothing: the child is as it is desired, or may not be changed yet."""
    DELETE = "delete"
    ADOPT = "adopt"
    """Make the object of another owner ours, by JSON Patch."""
    CLAIM = "claim"
    """Give the fields of an adopted object to server-side apply, by JSON Patch."""
    CREATE = "create"
    APPLY = "apply"
    REFUSE = "refuse"
    """The child cannot be written."""


class GatePlace(StrEnum):
    """What happens to the object's place at the rollout gate."""

    KEEP = "keep"
    ENTER = "enter"
    """Take one, or wait for one."""
    LEAVE = "leave"


@dataclass(frozen=True)
class Step:
    """One step for one child."""

    slot: Slot
    verb: Verb
    desired: Manifest = field(default_factory=dict)
    """To be created or applied."""
    operations: Sequence[Manifest] = ()
    """JSON Patch of an adoption or a claim."""
    error: HcaError | None = None
    """Why the child cannot be written, or not in full."""
    digests: Applied = field(default_factory=lambda: Applied(b"", b""))
    """Of the desired and the live child, for a creation or an application."""
    place: GatePlace = GatePlace.KEEP
    requeue_after_seconds: float | None = None
    """Until a postponed write can be tried again; None if none was postponed."""

    @property
    def waits_for_place(self) -> bool:
        """Whether a rollout that no user asked for waits for others."""
        return self.place == GatePlace.ENTER and self.requeue_after_seconds is not None

    @property
    def idle(self) -> bool:
        """Whether there is nothing to do and nothing to wait for."""
        if self.error is not None:
            return False
        return self.verb == Verb.KEEP and self.place == GatePlace.KEEP and self.requeue_after_seconds is None


@dataclass(frozen=True)
class Intent:
    """What else a pass knows about the children, beside their manifests."""

    restarts: Restarts = field(default_factory=Restarts)
    user_change: bool = False
    """Whether a user has edited the object or its configuration, so that a rollout needs no place."""
    rolled_out: bool = False
    """Whether the pods of the Deployment are the desired ones, so that a Service may be switched to them."""


def plan_child(api: ApiObject, intent: Intent, observed: Observed, child: Child, *, claimed: bool = False) -> Step:
    """The next step for a child. `claimed`: its fields have just been claimed."""
    slot = child.kind, child.name
    live = observed.children.get(slot)
    try:
        if child.manifest is None:
            ours = live is not None and is_ours(live, observed.uid)
            return Step(slot, Verb.DELETE if ours else Verb.KEEP)
        if live is not None:
            if not is_ours(live, observed.uid):
                return _adoption(api, intent, observed, slot, child.manifest)
            if not claimed and (operations := adoption.claim(live)):
                return Step(slot, Verb.CLAIM, operations=operations)
        if child.kind == "Deployment":
            return _deployment(api, intent, observed, slot, child.manifest)
        return _application(observed, slot, child.manifest)
    except HcaError as error:
        return Step(slot, Verb.REFUSE, error=error)


def _adoption(api: ApiObject, intent: Intent, observed: Observed, slot: Slot, desired: Manifest) -> Step:
    """The step for an object that has the name of a child and is not ours. Raises HcaError if it may not be ours."""
    live = observed.children[slot]
    if belongs_to_predecessor(live, api.name):
        raise Transient(f"{slot[0]} {slot[1]} of the deleted object of this name is still there{_held_by(live)}")
    if not adoption.is_requested(api, live):
        raise NotOwned(
            f"{slot[0]} {slot[1]} exists and is not this object's: rename or delete it, give this {KIND} "
            f"another name, or annotate it with {ADOPT_ANNOTATION}: <uid> to adopt it"
        )
    adoption.refuse_controlled(live)
    if isinstance(observed.neighbours, HcaError):
        raise observed.neighbours
    adoption.refuse_losses(api, live, desired, observed.neighbours)
    # A Service selects our pods by other labels, so it must not be switched before they all serve.
    if slot[0] == "Service" and not intent.rolled_out:
        return Step(slot, Verb.KEEP, requeue_after_seconds=EVENT_MISSED_SECONDS)
    return Step(slot, Verb.ADOPT, operations=adoption.take_over(live, desired))


def _held_by(live: Manifest) -> str:
    finalizers = live["metadata"].get("finalizers") or []
    return f": finalizer {', '.join(finalizers)} holds up its deletion" if finalizers else ""


def _deployment(api: ApiObject, intent: Intent, observed: Observed, slot: Slot, desired: Manifest) -> Step:
    """Apply the Deployment, unless its rollout has to wait for a place or `_check_count` refuses its count."""
    live, restarts = observed.children.get(slot), intent.restarts
    plain = adoption.keeping_selector(live, desired)
    wanted = _with_template_digest(restarted(plain, restarts.due))
    place, requeue, error = GatePlace.KEEP, None, None
    if live is not None and (intent.user_change or restarts.requested):
        place = GatePlace.LEAVE
    elif (
        live is not None and _template_digest(live) != _template_digest(wanted) and not _template_changed(live, wanted)
    ):
        place = GatePlace.ENTER
        if not observed.has_place:
            requeue = PLACE_MISSED_SECONDS
            # If a restart alone waits, everything else is applied all the same.
            wanted = _with_template_digest(restarted(plain, restarts.applied))
            if _template_digest(live) != _template_digest(wanted):
                applied = _applied_template(live)
                if not applied:
                    return Step(slot, Verb.KEEP, place=place, requeue_after_seconds=requeue)
                wanted = annotated(with_template(wanted, applied), TEMPLATE_ANNOTATION, _template_digest(live) or "")
    try:
        wanted = _with_count(api, observed, live, wanted)
    except HcaError as refused:
        # A rollout that does not happen takes no place; a user's change gives it up all the same.
        return Step(slot, Verb.REFUSE, error=refused, place=place if place == GatePlace.LEAVE else GatePlace.KEEP)
    if isinstance(observed.autoscalers, HcaError):
        error = observed.autoscalers
    # Whose the count is may have changed unseen: it must be neither undone nor, as its only owner, dropped. And a new
    # leader, whose watch lags behind, must not roll back what its predecessor has rolled out.
    step = _application(observed, slot, wanted, shared=True)
    return replace(step, place=place, requeue_after_seconds=requeue, error=error)


def _with_count(api: ApiObject, observed: Observed, live: Manifest | None, desired: Manifest) -> Manifest:
    """The Deployment with `replicas` if spec.replicas decides it, or if no HorizontalPodAutoscaler has set it so far.

    Dropping `replicas` as its only owner would set it to 1, so it is sent unchanged until the HorizontalPodAutoscaler
    owns it, with the first count of its own (docs/design/0002-replicas.md).
    """
    if not autoscaling_wanted(api):
        if isinstance(observed.autoscalers, HcaError) and live is not None:
            return _with_replicas(desired, replicas_of(live))  # whose count it is cannot be known
        _check_count(api, observed)
        return _with_replicas(desired, api.spec.replicas)
    count = 0 if live is None else replicas_of(live)
    if not count or owns_replicas(live):
        return _with_replicas(desired, count or _first_count(api, observed))
    return desired


def _first_count(api: ApiObject, observed: Observed) -> int:
    """`replicas` of a Deployment without pods: the minimum, or the HorizontalPodAutoscaler's last desired count."""
    scaling, autoscaler = api.spec.autoscaling, observed.child("HorizontalPodAutoscaler")
    wanted = 0
    if autoscaler is not None and is_ours(autoscaler, observed.uid):
        wanted = autoscaler.get("status", {}).get("desiredReplicas", 0)
    return max(scaling.min_replicas, min(wanted, scaling.max_replicas))


def _check_count(api: ApiObject, observed: Observed) -> None:
    """Raise NotOwned if a HorizontalPodAutoscaler of another owner scales the Deployment: it would undo the count."""
    for autoscaler in () if isinstance(observed.autoscalers, HcaError) else observed.autoscalers:
        target = autoscaler["spec"]["scaleTargetRef"]
        if (target["kind"], target["name"]) == ("Deployment", api.name) and not is_ours(autoscaler, api.uid):
            raise NotOwned(
                f"HorizontalPodAutoscaler {autoscaler['metadata']['name']} and spec.replicas both set the number of "
                "pods: delete it, or set spec.autoscaling.mode: Horizontal and delete it"
            )


def _application(observed: Observed, slot: Slot, desired: Manifest, *, shared: bool = False) -> Step:
    """Create or apply, unless neither what is desired nor what is there has changed since the last time.

    An application names the uid, so that a child that was just deleted is not created again with the applied fields
    alone. `shared`: it also names the resourceVersion, so that it fails if another owner has changed `replicas` since.
    """
    live = observed.children.get(slot)
    if live is None:
        return Step(slot, Verb.CREATE, desired, digests=Applied(object_digest(desired), b""))
    digests = Applied(object_digest(desired), object_digest(live))
    if observed.applied.get(slot) == digests:
        return Step(slot, Verb.KEEP)
    bound = exactly(live, "resourceVersion") if shared else exactly(live)
    return Step(slot, Verb.APPLY, {**desired, "metadata": {**desired["metadata"], **bound}}, digests=digests)


def repaired(observed: Observed, step: Step) -> tuple[Contest, ...] | None:
    """The fields of others that a step sets back, None if it repairs nothing: because what is desired has changed.

    With such fields it is a repair all the same: `replicas` are desired or not, depending on who set them last.
    """
    live, last = observed.children.get(step.slot), observed.applied.get(step.slot)
    if step.verb != Verb.APPLY or live is None or last is None:
        return None
    contests = tuple(contested(live, step.desired))
    return contests if contests or last.desired == step.digests.desired else None


def exactly(live: Manifest, *more: str) -> Manifest:
    """Metadata that binds a write to a live object by its uid, or with its resourceVersion to exactly this state."""
    return {name: live["metadata"][name] for name in ("name", "namespace", "uid", *more)}


def _with_replicas(deployment: Manifest, count: int) -> Manifest:
    return {**deployment, "spec": {**deployment["spec"], "replicas": count}}


def _with_template_digest(deployment: Manifest) -> Manifest:
    """The Deployment with the digest of its pod template, by which a later release sees that it would restart pods."""
    return annotated(deployment, TEMPLATE_ANNOTATION, fingerprint(deployment["spec"]["template"]).hex())


def _template_changed(live: Manifest, wanted: Manifest) -> bool:
    """Whether another client has changed the pod template, by hand or by kubectl rollout undo.

    Its pods are being replaced anyway, so it is repaired without waiting for a place.
    """
    ours = ("spec.template.", f"metadata.annotations.{TEMPLATE_ANNOTATION}")
    return any(contest.path.startswith(ours) for contest in contested(live, wanted))


def _applied_template(live: Manifest) -> Manifest:
    """The pod template as it was applied last: to apply it once more restarts nothing. Empty if that is not known."""
    fields = applied_fields(live).get("f:spec", {}).get("f:template")
    found: Manifest = extract(live["spec"]["template"], fields) if fields else {}
    return found


def _template_digest(deployment: Manifest) -> str | None:
    found: str | None = deployment["metadata"].get("annotations", {}).get(TEMPLATE_ANNOTATION)
    return found


def object_digest(manifest: Manifest) -> bytes:
    """Digest of an object without its status and bookkeeping, which change all the time."""
    metadata = {
        name: manifest["metadata"].get(name) for name in ("uid", "labels", "ownerReferences", "deletionTimestamp")
    }
    annotations = manifest["metadata"].get("annotations") or {}
    # The Deployment controller writes it right after each of our own writes.
    metadata["annotations"] = {name: value for name, value in annotations.items() if name != REVISION_ANNOTATION}
    return fingerprint({**manifest, "metadata": metadata, "status": None})
