"""One pod is replaced before the kernel ends it, and serves until its successor does (docs/design/0009). Pure.

Each pass finds the next step from the pods as they are, so any process goes on with what another has begun:

1. The pod is detached: it loses the label by which its ReplicaSet counts it, which makes the ReplicaSet create another
   one at once, and keeps the labels by which the Services select it.
2. It gets a ReplicaSet of its own as its controller (`detached_pod.py`).
3. When as many pods serve as should, without it, the detached pod is evicted; after LONGEST_DETACHED when any does. A
   disruption budget may delay that (`disruption_budget.py`).
4. When the pod has gone, its ReplicaSet is deleted.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from hca_operator.api.spec import ApiObject
from hca_operator.api.status import Problem, Reason
from hca_operator.core.durations import parse_duration
from hca_operator.core.errors import HcaError
from hca_operator.core.names import (
    API_LABEL,
    DETACHED_LABEL,
    HASH_LABEL,
    MEASURE_ANNOTATION,
    REPLACED_FOR_MEMORY,
    REPLACED_LABEL,
    Manifest,
)
from hca_operator.core.observed import controller_of, is_ours, labelled_owner, replicas_of, serves
from hca_operator.core.ports import Key
from hca_operator.core.timestamps import past_time_of
from hca_operator.desired.metadata import owner_reference, selector_text
from hca_operator.restarts.detached_pod import ReplicaSetPlan, plan_replica_sets, pod_of, selected_uid
from hca_operator.restarts.memory_counters import count_replaced
from hca_operator.restarts.pod_memory import DuePod, Measure

LONGEST_DETACHED = timedelta(minutes=15)
"""After this a detached pod is evicted if any other pod serves: no rollout reaches it, so its image may be outdated."""
STEP_SECONDS = 3.0
"""From one step of a replacement to the next: pods are not watched."""
DETACHED = f"{API_LABEL},{selector_text({REPLACED_LABEL: REPLACED_FOR_MEMORY})}"
"""Label selector of the pods that are being replaced, and of their ReplicaSets, of all objects."""
_MEASURE_HINT: Mapping[str, str] = {
    Measure.WORKERS: "",
    Measure.WORKING_SET: "; it was judged by its working set, in which page cache counts: for a judgement by what "
    "cannot be reclaimed, have each worker show process_resident_memory_bytes at spec.monitoring.path",
}


@dataclass(frozen=True)
class Replacement:
    """The next step of a replacement, and what the status reports of it."""

    problem: Problem | None = None
    """Why memory is not healthy."""
    detach: Manifest | None = None
    """The pod that is to be detached now."""
    operations: Sequence[Manifest] = ()
    """JSON Patch that detaches it."""
    evict: Sequence[Manifest] = ()
    """The pods that are to be evicted now."""
    replica_sets: ReplicaSetPlan = field(default_factory=ReplicaSetPlan)
    under_way: bool = False
    """Whether a pod is detached, or is to be now, or has gone and left its ReplicaSet."""
    serving: int = 0
    """Detached pods that serve."""
    counted: Manifest | None = None
    """status.memoryRestarts."""

    @property
    def detached(self) -> bool:
        """Whether a pod is detached, or is to be now."""
        return self.problem is not None and self.problem.reason == Reason.REPLACING_POD

    @property
    def requeue_after_seconds(self) -> float | None:
        """Seconds until the next step, None if there is none."""
        return STEP_SECONDS if self.under_way else None


class ReplacementTracker:
    """The objects that may have a detached pod or the ReplicaSet of one.

    Only their pods are listed, and those of objects with a pod due.
    """

    def __init__(self) -> None:
        self._keys: set[Key] = set()

    def __contains__(self, key: Key) -> bool:
        """Whether an object may have a detached pod."""
        return key in self._keys

    def found(self, detached: Iterable[Manifest]) -> set[Key]:
        """Take in pods that were found detached, or ReplicaSets of such pods; returns their objects."""
        keys = {Key(found["metadata"]["namespace"], name) for found in detached if (name := labelled_owner(found))}
        self._keys |= keys
        return keys

    def keep(self, key: Key, *, under_way: bool) -> None:
        """Store whether an object has a detached pod."""
        if under_way:
            self._keys.add(key)
        else:
            self._keys.discard(key)


@dataclass(frozen=True)
class Pods:
    """The pods of an object."""

    deployment: Manifest
    listed: Sequence[Manifest]
    """Of every track, detached ones included."""
    due: DuePod | None = None
    """The pod to replace because of its memory; None if there is none, or during a rollout."""
    replica_sets: Sequence[Manifest] | HcaError = ()
    """Of detached pods, or why they cannot be listed."""


def plan_replacement(api: ApiObject, pods: Pods, counted: Manifest | None, now: datetime) -> Replacement:
    """The next step for the pods of an object. `counted`: status.memoryRestarts so far."""
    detached = [pod for pod in pods.listed if REPLACED_LABEL in pod["metadata"]["labels"]]
    step = _finish(pods, detached, counted, now) if detached else _next(api, pods, counted, now)
    if step.detach is not None:
        detached = [step.detach]
    listed = () if isinstance(pods.replica_sets, HcaError) else pods.replica_sets
    found = [replica_set for replica_set in listed if is_ours(replica_set, api.uid)]
    # A pod may have gone before the pass that evicted it could store its count: its ReplicaSet is left.
    replaced = [*detached, *map(pod_of, filter(selected_uid, found))]
    step = replace(step, counted=count_replaced(counted, replaced, now))
    if isinstance(pods.replica_sets, HcaError):
        return step
    stored: Sequence[str] = (counted or {}).get("replacedUIDs") or []
    late = bool(step.evict) and _is_late(counted, now)
    replica_sets = plan_replica_sets(api, detached, found, counted=stored, late=late)
    return replace(step, replica_sets=replica_sets, under_way=step.under_way or bool(found))


def _next(api: ApiObject, pods: Pods, counted: Manifest | None, now: datetime) -> Replacement:
    """The step while no pod is being replaced."""
    if pods.due is None:
        return Replacement()
    name, measure = pods.due
    pod = next((pod for pod in pods.listed if pod["metadata"]["name"] == name and _replaceable(pod)), None)
    return Replacement() if pod is None else _begin(api, pod, measure, counted, now)


def _begin(api: ApiObject, pod: Manifest, measure: Measure, counted: Manifest | None, now: datetime) -> Replacement:
    last = past_time_of(counted, "replacedAt", now)
    interval = api.spec.memory_restart.min_interval
    if last is not None and (now - last).total_seconds() < parse_duration(interval):
        return Replacement(
            Problem(
                Reason.MEMORY_PRESSURE,
                "a pod is near its memory limit, and is replaced when spec.memoryRestart.minInterval "
                f"({interval}) has passed since the last replacement{_MEASURE_HINT[measure]}",
            ),
        )
    return Replacement(
        _replacing(measure),
        detach=pod,
        operations=_detaching(api, pod, measure),
        under_way=True,
        serving=1,
    )


def _finish(pods: Pods, detached: Sequence[Manifest], counted: Manifest | None, now: datetime) -> Replacement:
    successors = [pod for pod in pods.listed if HASH_LABEL in pod["metadata"]["labels"] and serves(pod)]
    enough = len(successors) >= (1 if _is_late(counted, now) else replicas_of(pods.deployment))
    annotations = detached[0]["metadata"].get("annotations") or {}
    return Replacement(
        _replacing(annotations.get(MEASURE_ANNOTATION, Measure.WORKERS)),
        evict=[pod for pod in detached if enough and "deletionTimestamp" not in pod["metadata"]],
        under_way=True,
        serving=sum(map(serves, detached)),
    )


def _is_late(counted: Manifest | None, now: datetime) -> bool:
    began = past_time_of(counted, "replacedAt", now)
    return began is not None and now - began > LONGEST_DETACHED


def _replacing(measure: str) -> Problem:
    text = "a pod near its memory limit is being replaced; it serves until its successor does"
    return Problem(Reason.REPLACING_POD, text + _MEASURE_HINT.get(measure, ""))


def _detaching(api: ApiObject, pod: Manifest, measure: Measure) -> list[Manifest]:
    """JSON Patch that takes a pod out of its ReplicaSet.

    The object becomes its owner, so that the garbage collector removes the pod with it; but not its controller, which
    is to be a ReplicaSet.
    """
    others = [owner for owner in pod["metadata"].get("ownerReferences", []) if not owner.get("controller")]
    return [
        *annotating(pod, MEASURE_ANNOTATION, str(measure)),
        {"op": "remove", "path": f"/metadata/labels/{HASH_LABEL}"},
        *(
            {"op": "add", "path": f"/metadata/labels/{label.replace('/', '~1')}", "value": value}
            for label, value in ((REPLACED_LABEL, REPLACED_FOR_MEMORY), (DETACHED_LABEL, pod["metadata"]["uid"]))
        ),
        {
            "op": "add",
            "path": "/metadata/ownerReferences",
            "value": [*others, {**owner_reference(api), "controller": False}],
        },
    ]


def annotating(pod: Manifest, name: str, value: str) -> list[Manifest]:
    """JSON Patch that gives exactly this pod an annotation."""
    annotation: Manifest = (
        {"path": f"/metadata/annotations/{name.replace('/', '~1')}", "value": value}
        if pod["metadata"].get("annotations") is not None
        else {"path": "/metadata/annotations", "value": {name: value}}
    )
    return [
        {"op": "test", "path": "/metadata/uid", "value": pod["metadata"]["uid"]},
        {"op": "add", **annotation},
    ]


def _replaceable(pod: Manifest) -> bool:
    """Whether a pod serves for its ReplicaSet."""
    owner = controller_of(pod)
    return serves(pod) and HASH_LABEL in pod["metadata"]["labels"] and bool(owner and owner["kind"] == "ReplicaSet")
