"""The next status of an object, from what was observed: pure. The same observation gives the same status."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from hca_operator.api.spec import ApiObject
from hca_operator.api.status import STALLING, ConditionType, Problem, Reason, Unsupported
from hca_operator.core.names import REVISION_ANNOTATION, Manifest
from hca_operator.core.observed import available_replicas, condition, is_observed, replicas_of, rolled_out
from hca_operator.core.timestamps import time_text
from hca_operator.desired.metadata import selector_text, stable_selector
from hca_operator.desired.network import public_metrics, url
from hca_operator.desired.sizing import Sizing
from hca_operator.restarts.memory_counters import killed_lately
from hca_operator.restarts.requested import Restarts
from hca_operator.scaling.floors import Floor, Source, in_force
from hca_operator.status.entries import PAUSED, Verdict, child_errors, entry, not_applied
from hca_operator.status.scaling import scaling_active


@dataclass(frozen=True)
class Problems:
    """What keeps an object from being as its spec asks; None for what is as it should be."""

    blocked: Problem | None = None
    """Why the latest generation could not be written to the children."""
    pods: Problem | None = None
    """Why pods do not serve."""
    traffic: Problem | None = None
    """Why routes of the latest generation may be missing in the Ingress."""
    scaling: Problem | None = None
    """Why the HorizontalPodAutoscaler may not be that of the latest generation."""
    children: Mapping[tuple[str, str], Problem] = field(default_factory=dict)
    """Why children could not be read or written, by kind and name."""


@dataclass(frozen=True)
class RolloutState:
    """What becomes of a changed pod template."""

    began: bool = False
    """Whether this pass has given the pods another template."""
    waits: bool = False
    """Whether a rollout that no user requested waits for the rollouts of other objects."""
    config_delayed: bool = False
    """Whether a changed configuration is rolled out only after a while."""


@dataclass(frozen=True)
class PodMemoryState:
    """The memory of the pods of an object."""

    counted: Manifest | None = None
    """status.memoryRestarts; None before the first restart."""
    problem: Problem | None = None
    """Why MemoryHealthy is False; None if it is not."""
    detached: int = 0
    """Pods that are being replaced and still serve."""
    known: bool | None = None
    """Whether the cluster serves metrics.k8s.io; None before the first reading."""
    unread: bool = False
    """Whether metrics.k8s.io has no reading of any pod of the object."""
    grows: bool = False
    """Whether the memory of a pod grows towards its limit."""


@dataclass(frozen=True)
class Observation:
    """Everything from which the status follows."""

    generation: int
    previous: Manifest
    """The stored status."""
    api: ApiObject | None
    """None if the spec is not valid."""
    sizing: Sizing | None
    deployment: Manifest | None
    """None if it does not exist or is not controlled by the object."""
    autoscaler: Manifest | None
    """The HorizontalPodAutoscaler; None if it does not exist or is not controlled by the object."""
    restarts: Restarts | None
    """None for a refused object."""
    floors: Sequence[Floor] = ()
    problems: Problems = Problems()
    rollout: RolloutState = RolloutState()
    memory: PodMemoryState = PodMemoryState()
    unsupported: Sequence[Unsupported] = ()
    """Fields that the install does not carry out in full."""


def next_status(seen: Observation, now: datetime) -> Manifest:
    """The status to store, with every condition; `lastTransitionTime` moves only when a status flips."""
    verdicts = {
        ConditionType.AVAILABLE: _available(seen),
        ConditionType.READY: _ready(seen),
        ConditionType.RECONCILING: _reconciling(seen),
        ConditionType.STALLED: _stalled(seen),
        ConditionType.SCALING_ACTIVE: scaling_active(seen.api, seen.autoscaler, seen.floors, seen.problems.scaling),
        ConditionType.TRAFFIC_READY: _traffic_ready(seen),
        ConditionType.MEMORY_HEALTHY: _memory_healthy(seen, now),
        ConditionType.ROLLOUT_HEALTHY: _rollout_healthy(seen),
    }
    status: Manifest = {
        "observedGeneration": seen.generation,
        "conditions": [entry(seen.previous, seen.generation, kind, verdict, now) for kind, verdict in verdicts.items()],
    }
    if seen.deployment is not None:
        live = seen.deployment.get("status", {})
        status["replicas"] = live.get("replicas", 0)
        status["readyReplicas"] = live.get("readyReplicas", 0)
        status["desiredReplicas"] = replicas_of(seen.deployment)
        if revision := seen.deployment["metadata"].get("annotations", {}).get(REVISION_ANNOTATION):
            status["revision"] = revision
    status |= _following(seen)
    # The schedule's last time is kept while the object is refused.
    counted = seen.previous.get("restartSchedule") if seen.restarts is None else seen.restarts.schedule_status
    if counted is not None:
        status["restartSchedule"] = counted
    if seen.memory.counted is not None:
        status["memoryRestarts"] = seen.memory.counted
    burst = in_force(seen.floors, Source.BURST)
    if burst is not None and burst.until:
        status["burst"] = {"replicas": burst.pods, "until": time_text(burst.until)}
    if seen.problems.children:
        status["childErrors"] = child_errors(seen.previous, seen.problems.children, now)
    if seen.unsupported:
        status["unsupported"] = [entry.model_dump() for entry in seen.unsupported]
    return status


def _following(seen: Observation) -> Manifest:
    """Fields of the status that follow from the spec; those of an earlier one while this one is not applied."""
    found: Manifest = {}
    if seen.api is not None:
        found["selector"] = selector_text(stable_selector(seen.api.name))
        found["url"] = url(seen.api)
    if seen.sizing is not None:
        found["workersPerPod"] = seen.sizing.workers
    if seen.restarts is None or _paused(seen):
        found |= {name: seen.previous[name] for name in ("url", "workersPerPod") if name in seen.previous}
    return found


def _paused(seen: Observation) -> bool:
    return seen.api is not None and seen.api.spec.reconciliation == "Paused"


def _problem(seen: Observation) -> Problem | None:
    return seen.problems.blocked or seen.problems.pods


def _serves(seen: Observation) -> bool:
    """Whether a pod is ready, including detached pods, which their ReplicaSet no longer counts."""
    return available_replicas(seen.deployment) + seen.memory.detached > 0


def _available(seen: Observation) -> Verdict:
    if _serves(seen):
        return Verdict("True", Reason.PODS_AVAILABLE, "at least one pod is ready")
    if seen.deployment is not None and replicas_of(seen.deployment) == 0:
        return Verdict("False", Reason.SCALED_TO_ZERO, "the Deployment is scaled to 0")
    problem = seen.problems.pods or seen.problems.blocked
    if problem is not None:
        return Verdict("False", problem.reason, problem.message)
    return Verdict("False", Reason.NO_PODS_AVAILABLE, "no pod is ready yet")


def _ready(seen: Observation) -> Verdict:
    if blocked := seen.problems.blocked:
        return Verdict("False", blocked.reason, blocked.message)
    if _paused(seen):
        return PAUSED
    scaled_to_zero = seen.deployment is not None and replicas_of(seen.deployment) == 0
    serving = scaled_to_zero or _serves(seen)
    if problem := seen.problems.pods:
        return Verdict("False", problem.reason, problem.message)
    if _only_scaled(seen) or (rolled_out(seen.deployment) and serving):
        return Verdict("True", Reason.ROLLED_OUT, _rolled_out_message(seen))
    if rolled_out(seen.deployment):
        return Verdict("False", Reason.NO_PODS_AVAILABLE, "no pod is ready")
    return Verdict("False", Reason.ROLLING_OUT, "the latest generation is being rolled out")


def _only_scaled(seen: Observation) -> bool:
    """Whether the pods are still rolled out although the Deployment controller has not observed the last change.

    Another client made that change, usually the HorizontalPodAutoscaler, and a new count is no rollout. A changed pod
    template is repaired, and Ready becomes False once the Deployment controller has observed it.
    """
    before = condition({"status": seen.previous}, ConditionType.READY)
    return (
        seen.deployment is not None
        and not seen.rollout.began
        and not is_observed(seen.deployment)
        and before.get("status") == "True"
        and before.get("observedGeneration") == seen.generation
    )


def _rolled_out_message(seen: Observation) -> str:
    message = "all pods run the latest generation"
    if seen.sizing is not None and seen.sizing.cpu_rounded_down:
        message += (
            f"; CPURoundedDown: {seen.sizing.cpu_rounded_down} CPU gives {seen.sizing.workers} worker(s), "
            "a whole number of CPUs leaves none idle"
        )
    if seen.rollout.waits:
        message += (
            "; RolloutWaits: a rollout that comes from the operator or a schedule, not from a change of this object, "
            "waits until fewer other APIs roll out (chart value unaskedRollouts)"
        )
    if seen.rollout.config_delayed:
        message += (
            "; ConfigurationWaits: a changed ConfigMap or Secret is rolled out within minutes, "
            "because of other recent rollouts for such changes"
        )
    return message


def _reconciling(seen: Observation) -> Verdict:
    ready = _ready(seen)
    if ready.status != "False":
        return Verdict("False", ready.reason, "")
    if _stalled(seen).status == "True":
        return Verdict("False", ready.reason, "")
    return Verdict("True", ready.reason, ready.message)


def _stalled(seen: Observation) -> Verdict:
    problem = _problem(seen)
    if problem is not None and problem.reason in STALLING and _ready(seen).status == "False":
        return Verdict("True", problem.reason, problem.message)
    return Verdict("False", Reason.NO_PROBLEM, "")


def _traffic_ready(seen: Observation) -> Verdict:
    problem = seen.problems.traffic
    if seen.api is None or problem is not None:
        return not_applied(problem.reason if problem else Reason.INVALID_SPEC)
    if _paused(seen):
        return PAUSED
    if not seen.api.spec.traffic.routes:
        message = "spec.traffic.routes is empty: the API is reachable through its Service"
        return Verdict("True", Reason.NOT_REQUESTED, message)
    message = "the Ingress has every route"
    if route := public_metrics(seen.api):
        leading = f"{route.host}{route.path} also routes to {seen.api.spec.monitoring.path}"
        message += (
            f"; MetricsPublic: {leading}, so every client can read the metrics: serve them on a separate port "
            "(spec.monitoring.port), or block the path at the ingress"
        )
    return Verdict("True", Reason.ROUTES_APPLIED, message)


def _rollout_healthy(seen: Observation) -> Verdict:
    if seen.restarts is None:
        blocked = seen.problems.blocked
        return not_applied(blocked.reason if blocked else Reason.INVALID_SPEC)
    if seen.restarts.invalid is not None:
        return Verdict("False", Reason.RESTART_TIME_INVALID, seen.restarts.invalid)
    paused, next_at = _paused(seen), seen.restarts.next_at
    if paused and seen.restarts.due != seen.restarts.applied:
        return Verdict("True", Reason.RESTART_PENDING, "a restart is due and starts once spec.reconciliation is Active")
    if seen.restarts.held_back:
        return Verdict("True", Reason.RESTART_PENDING, "a restart is due and starts after the current rollout")
    if next_at is not None:
        unless = ", unless spec.reconciliation is still Paused then" if paused else ""
        return Verdict("True", Reason.RESTART_PENDING, f"the next restart is due at {time_text(next_at)}{unless}")
    return Verdict("True", Reason.NO_RESTART_DUE, "no restart is requested")


def _memory_healthy(seen: Observation, now: datetime) -> Verdict:
    if killed_lately(seen.memory.counted, now):
        return Verdict(
            "False",
            Reason.OUT_OF_MEMORY,
            "the kernel killed a container at its memory limit within the last hour: raise "
            "spec.resources.limits.memory, or use fewer workers (spec.workers.count)",
        )
    if seen.memory.problem is not None:
        return Verdict("False", seen.memory.problem.reason, seen.memory.problem.message)
    if seen.api is not None and seen.api.spec.memory_restart.mode == "Disabled":
        return Verdict("Unknown", Reason.MEMORY_RESTART_DISABLED, "spec.memoryRestart.mode is Disabled")
    if unknown := _memory_unknown(seen):
        return unknown
    if seen.memory.grows:
        return Verdict(
            "True",
            Reason.MEMORY_GROWING,
            "the working set of a pod, in which page cache counts, would reach its memory limit within two hours at "
            "its current growth; unless it is cache, the pod is replaced before that",
        )
    return Verdict("True", Reason.MEMORY_WITHIN_LIMITS, "no pod is near its memory limit")


def _memory_unknown(seen: Observation) -> Verdict | None:
    """MemoryHealthy while there is no reading of the pods' memory, else None.

    Before the first reading of this process, the stored condition says whether there was one.
    """
    before = condition({"status": seen.previous}, ConditionType.MEMORY_HEALTHY).get("reason")
    known, unread = seen.memory.known, seen.memory.unread
    if known is None:
        known, unread = before not in {None, Reason.METRICS_UNAVAILABLE}, before == Reason.MEMORY_NOT_READ
    if not known:
        message = "the memory of the pods cannot be read, so no pod is replaced: check that metrics-server runs"
        return Verdict("Unknown", Reason.METRICS_UNAVAILABLE, message)
    if unread:
        message = (
            "there is no reading of the memory of the pods: metrics-server has the first one about half a minute after "
            "a pod has started"
        )
        return Verdict("Unknown", Reason.MEMORY_NOT_READ, message)
    return None
