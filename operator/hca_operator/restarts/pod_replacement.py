"""One pod is replaced before the kernel ends it, and serves until its successor does (docs/design/0009).

The steps are told apart by what is there, so whoever comes next goes on with what somebody else has begun:

1. The pod is detached: it loses the label by which its ReplicaSet knows it, which makes another one at once, and keeps
   those by which the Services do.
2. When as many pods serve as should, without it, the detached pod is evicted. A disruption budget may put that off.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from hca_operator.api.spec import ApiObject
from hca_operator.api.status import Problem, Reason
from hca_operator.core.durations import parse_duration
from hca_operator.core.errors import Forbidden, HcaError, Rejected, Transient
from hca_operator.core.names import API_LABEL, HASH_LABEL, MEMORY, REPLACED_LABEL, Manifest
from hca_operator.core.observed import condition, controller_of, replicas_of
from hca_operator.core.ports import Cluster, Key
from hca_operator.core.timestamps import time_of
from hca_operator.desired.metadata import api_selector, owner_reference, selector_text
from hca_operator.restarts.memory_counters import count_replaced
from hca_operator.restarts.memory_trend import MemoryTracker

STEP = 3.0
"""Seconds between two looks at a replacement that is under way: pods are not watched."""
DETACHED = f"{API_LABEL},{selector_text({REPLACED_LABEL: MEMORY})}"
"""Finds the pods that are being replaced, of all objects."""


@dataclass(frozen=True)
class Replacement:
    """How far the replacement of a pod has come."""

    counted: Manifest | None
    problem: Problem | None = None
    """Why memory is not healthy."""
    requeue_after: float | None = None
    wrote: str | None = None
    serving: int = 0
    """Detached pods that serve."""


class Replacer:
    """Replaces pods that memory calls for, one of an object at a time."""

    def __init__(self, cluster: Cluster, memory: MemoryTracker) -> None:
        self._cluster = cluster
        self._memory = memory
        self._begun: set[Key] = set()
        """Objects that may have a detached pod: theirs are looked at, the others' are not."""

    def go_on(self, pods: Iterable[Manifest]) -> set[Key]:
        """The objects of pods that were found detached, whoever has done that."""
        found = {Key(pod["metadata"]["namespace"], pod["metadata"]["labels"][API_LABEL]) for pod in pods}
        self._begun |= found
        return found

    async def advance(
        self, api: ApiObject, deployment: Manifest, counted: Manifest | None, now: datetime, *, settled: bool
    ) -> Replacement:
        """Take the next step. `settled`: nothing else is going on with the pods."""
        key = Key(api.namespace, api.name)
        wanted = self._memory.due(key) if settled else None
        if key not in self._begun and wanted is None:
            return Replacement(counted)
        pods = await self._cluster.list("Pod", api.namespace, labelSelector=selector_text(api_selector(api.name)))
        try:
            if detached := [pod for pod in pods if REPLACED_LABEL in pod["metadata"]["labels"]]:
                return await self._finish(detached, pods, deployment, counted, now)
            self._begun.discard(key)
            return await self._begin(api, wanted, pods, counted, now)
        except (Forbidden, Rejected) as error:
            return Replacement(counted, Problem(_reason(error), f"a pod near its limit cannot be replaced: {error}"))

    async def _begin(
        self, api: ApiObject, wanted: str | None, pods: list[Manifest], counted: Manifest | None, now: datetime
    ) -> Replacement:
        pod = next((pod for pod in pods if pod["metadata"]["name"] == wanted and _replaceable(pod)), None)
        if pod is None:
            return Replacement(counted)
        last = time_of(counted, "replacedAt")
        interval = parse_duration(api.spec.memory_restart.min_interval)
        if last is not None and (now - last).total_seconds() < interval:
            return Replacement(
                counted,
                Problem(
                    Reason.MEMORY_PRESSURE,
                    "a pod is near its memory limit, and is replaced when spec.memoryRestart.minInterval "
                    f"({api.spec.memory_restart.min_interval}) has passed since the last replacement",
                ),
            )
        self._begun.add(Key(api.namespace, api.name))
        detached = await self._cluster.patch(pod, _detach(api, pod))
        return Replacement(count_replaced(counted, detached, now), _REPLACING, STEP, "detach Pod", serving=1)

    async def _finish(
        self,
        detached: list[Manifest],
        pods: list[Manifest],
        deployment: Manifest,
        counted: Manifest | None,
        now: datetime,
    ) -> Replacement:
        serving = [pod for pod in pods if HASH_LABEL in pod["metadata"]["labels"] and _serves(pod)]
        wrote = None
        for pod in detached:
            counted = count_replaced(counted, pod, now)
            if len(serving) >= replicas_of(deployment) and "deletionTimestamp" not in pod["metadata"]:
                try:
                    await self._cluster.evict(pod)
                    wrote = "evict Pod"
                except Transient:
                    pass  # a disruption budget, as a rule: it is tried again at the next look
        return Replacement(counted, _REPLACING, STEP, wrote, serving=sum(map(_serves, detached)))


_REPLACING = Problem(
    Reason.REPLACING_POD, "a pod near its memory limit is being replaced; it serves until its successor does"
)


def _detach(api: ApiObject, pod: Manifest) -> list[Manifest]:
    """What takes a pod out of its ReplicaSet; an owner that is no controller has it collected with the object."""
    others = [owner for owner in pod["metadata"].get("ownerReferences", []) if not owner.get("controller")]
    return [
        {"op": "test", "path": "/metadata/uid", "value": pod["metadata"]["uid"]},
        {"op": "remove", "path": f"/metadata/labels/{HASH_LABEL}"},
        {"op": "add", "path": f"/metadata/labels/{REPLACED_LABEL.replace('/', '~1')}", "value": MEMORY},
        {
            "op": "add",
            "path": "/metadata/ownerReferences",
            "value": [*others, {**owner_reference(api), "controller": False}],
        },
    ]


def _replaceable(pod: Manifest) -> bool:
    """Whether a pod serves for its ReplicaSet."""
    owner = controller_of(pod)
    return _serves(pod) and HASH_LABEL in pod["metadata"]["labels"] and bool(owner and owner["kind"] == "ReplicaSet")


def _serves(pod: Manifest) -> bool:
    return "deletionTimestamp" not in pod["metadata"] and condition(pod, "Ready").get("status") == "True"


def _reason(error: HcaError) -> Reason:
    return Reason.FORBIDDEN if isinstance(error, Forbidden) else Reason.REJECTED
