"""Third step: what is to be done, from what an object comes to and what was observed. Pure.

As there are two observations there are two plans: of the children, and, after they are written, of the pods.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from hca_operator.api.spec import ApiObject
from hca_operator.core.names import Manifest
from hca_operator.core.observed import is_ours, replicas_of, rolled_out
from hca_operator.desired.children import Child
from hca_operator.reconcile.observed_state import Observed, ObservedPods
from hca_operator.reconcile.resolve import Refused, Resolved
from hca_operator.reconcile.retries import Slot
from hca_operator.reconcile.steps import GatePlace, Intent, Step, Verb, plan_child, repaired
from hca_operator.restarts.config_changes import ConfigPlan, plan_config
from hca_operator.restarts.memory_counters import count_kills
from hca_operator.restarts.pod_memory import due_pod, limits_of
from hca_operator.restarts.pod_replacement import Pods, Replacement, plan_replacement
from hca_operator.restarts.requested import Restarts, plan_restarts
from hca_operator.scaling.burst import burst_floor
from hca_operator.scaling.fallback import fallback_floor
from hca_operator.scaling.floors import Floor, Source, fewest, in_force, with_minimum
from hca_operator.scaling.schedules import schedule_floor


@dataclass(frozen=True)
class Plan:
    """What is to be done about the children of an object; nothing for a refused or a paused one.

    The steps come in three stages. None of them is idle: at rest there is no step.
    """

    restarts: Restarts | None = None
    """None for a refused object."""
    floors: Sequence[Floor] = ()
    """None for a paused object either: they are carried out through the autoscaler."""
    config: ConfigPlan | None = None
    """None if the configuration does not matter now."""
    intent: Intent = field(default_factory=Intent)
    children: Mapping[Slot, Child] = field(default_factory=dict)
    """The desired children, with floors and configuration."""
    removals: Sequence[Step] = ()
    """First: a HorizontalPodAutoscaler that is to be deleted must not undo the count that is applied next."""
    workload: Sequence[Step] = ()
    """Second. Without it the rest is not written: traffic and scaling are of no use then."""
    others: Sequence[Step] = ()
    """Third."""


def plan(resolved: Resolved | Refused, observed: Observed) -> Plan:
    """What is to be done about the children."""
    if isinstance(resolved, Refused):
        return Plan()
    api, now, deployment = resolved.api, observed.now, observed.child("Deployment")
    restarts = plan_restarts(api, resolved.schedule, observed.status, deployment, now)
    if not resolved.active:
        return Plan(restarts)
    floors = (
        schedule_floor(resolved.scheduled_floors, now),
        fallback_floor(api.spec, observed.child("HorizontalPodAutoscaler"), observed.status, now),
        burst_floor(resolved.burst, observed.burst, observed.status, now),
    )
    config = plan_config(api, observed.config, deployment, now, edited=observed.edited)
    children = [
        child._replace(manifest=config.applied_to(child.manifest))
        if child.kind == "Deployment" and child.manifest is not None
        else child
        for child in with_minimum(resolved.children, fewest(floors))
    ]
    intent = Intent(restarts, user_change=observed.edited or observed.user_change or config.rolls_out)
    workload = [_plan_child(api, intent, observed, child) for child in children if child.kind == "Deployment"]
    kept = all(step.verb == Verb.KEEP for step in workload)
    intent = replace(intent, rolled_out=kept and rolled_out(deployment))
    others = [child for child in children if child.kind != "Deployment"]
    return Plan(
        restarts,
        floors,
        config,
        intent,
        {(child.kind, child.name): child for child in children},
        removals=_busy(_plan_child(api, intent, observed, child) for child in others if child.manifest is None),
        workload=_busy(workload),
        others=_busy(_plan_child(api, intent, observed, child) for child in others if child.manifest is not None),
    )


def _plan_child(api: ApiObject, intent: Intent, observed: Observed, child: Child) -> Step:
    """The step for a child; none for one that could not be read, or that has failed and is not to be tried yet."""
    slot = child.kind, child.name
    if error := observed.unread.get(slot):
        return Step(slot, Verb.REFUSE, error=error)
    step, retry = _spaced(plan_child(api, intent, observed, child), observed), observed.retries.get(slot)
    if retry is None or step.idle or observed.edited or observed.now.timestamp() >= retry.at:
        return step
    return Step(slot, Verb.REFUSE, error=retry.error, place=step.place)


def _spaced(step: Step, observed: Observed) -> Step:
    """The same step, unless another controller repeatedly changes the child: then it waits, with an error to report."""
    repairs, now = observed.repairs.get(step.slot), observed.now.timestamp()
    fight = None if repairs is None else repairs.fight(*step.slot, now)
    if repairs is None or fight is None or step.error is not None:
        return step
    due = repairs.at + repairs.wait_seconds
    if repaired(observed, step) is not None and now < due and not observed.edited:
        return Step(step.slot, Verb.REFUSE, error=fight, place=step.place, requeue_after_seconds=due - now)
    return replace(step, error=fight, requeue_after_seconds=step.requeue_after_seconds or repairs.over_at - now)


def after_workload(api: ApiObject, plan: Plan, observed: Observed, *, rolls: bool) -> Plan:
    """The plan with what was put off until the pods are rolled out, if the API server's answer shows that they are.

    Otherwise the object would be Ready while its Service still leads to the pods of another owner. `observed`: with
    the Deployment as it was answered. `rolls`: whether the pod template has just been changed.
    """
    if rolls or not rolled_out(observed.child("Deployment")):
        return plan
    intent = replace(plan.intent, rolled_out=True)
    others = [
        plan_child(api, intent, observed, plan.children[step.slot]) if step.verb == Verb.KEEP else step
        for step in plan.others
    ]
    return replace(plan, intent=intent, others=others)


def without_workload(plan: Plan, observed: Observed) -> Plan:
    """The plan after a Deployment could not be written: without one, traffic and scaling are of no use."""
    deployment = observed.child("Deployment")
    ours = deployment is not None and is_ours(deployment, observed.uid)
    return plan if ours else replace(plan, others=())


def _busy(steps: Iterable[Step]) -> list[Step]:
    return [step for step in steps if not step.idle]


def plan_scale(
    api: ApiObject, children: Mapping[Slot, Manifest], floors: Sequence[Floor]
) -> tuple[Manifest, int] | None:
    """The Deployment whose count a jump of the load raises now, and the new count; None for no raise.

    A new `minReplicas` takes the autoscaler up to 15 s to carry out. The count is raised only after it, for the
    autoscaler might take the pods away, and never lowered. `children`: as they are after the writes.
    """
    deployment, autoscaler = (children.get((kind, api.name)) for kind in ("Deployment", "HorizontalPodAutoscaler"))
    burst = in_force(floors, Source.BURST)
    if burst is None or deployment is None or autoscaler is None or not is_ours(deployment, api.uid):
        return None
    if autoscaler["spec"].get("minReplicas", 1) < burst.pods or not 0 < replicas_of(deployment) < burst.pods:
        return None
    return deployment, burst.pods


@dataclass(frozen=True)
class PodsPlan:
    """What is to be done about the pods of an object, after its children were written."""

    counted: Manifest | None
    """status.memoryRestarts with the kills that were observed."""
    limits: Mapping[str, int] | None = None
    """Memory limits of the pods by name; None: they were not listed."""
    place: GatePlace = GatePlace.KEEP
    replacement: Replacement | None = None
    """The next step of the replacement of a pod; None: no pod is replaced."""


def plan_pods(resolved: Resolved | Refused, observed: Observed, pods: ObservedPods, *, put_off: bool) -> PodsPlan:
    """What is to be done about the pods. `put_off`: a write of a child was."""
    counted = count_kills(observed.status.get("memoryRestarts"), pods.unready, observed.now)
    over = rolled_out(pods.deployment) and not pods.too_few and not put_off
    place = GatePlace.LEAVE if over else GatePlace.KEEP
    limits = limits_of(pods.pods) if pods.pods else None
    if resolved.api is None or pods.deployment is None or not pods.replaces:
        return PodsPlan(counted, limits, place)
    due = due_pod(pods.near_limit, pods.pods, pods.held) if pods.near_limit else None
    seen = Pods(pods.deployment, pods.pods, due, pods.replica_sets)
    replacement = plan_replacement(resolved.api, seen, counted, observed.now)
    return PodsPlan(counted, limits, place, replacement)
