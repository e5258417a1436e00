"""Which pod near its memory limit is to be replaced: by its own limit, and by what the kernel cannot reclaim. Pure.

metrics.k8s.io has the working set, which includes the active page cache. Compared with the limit of the object, it only
selects candidates. For these, the limit comes from the status of the pod, and the resident memory from its workers.
"""

from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from typing import NamedTuple

from hca_operator.core.names import CONTAINER, Manifest
from hca_operator.core.quantities import MEBIBYTE, parse_quantity
from hca_operator.desired.sizing import SUPERVISOR_RESERVE_MIB
from hca_operator.restarts.memory_trend import History, NearLimit, Sample, is_due


class Measure(StrEnum):
    """The number that was compared with the threshold."""

    WORKERS = "Workers"
    """The resident memory of its workers, from their metrics."""
    WORKING_SET = "WorkingSet"
    """Its working set, because its workers expose no resident memory."""


class DuePod(NamedTuple):
    """A pod that is to be replaced."""

    name: str
    measure: Measure


def limits_of(pods: Iterable[Manifest]) -> dict[str, int]:
    """By name of the pod, the memory limit of the API's container as it is now: resized in place, or set by VPA."""
    return {pod["metadata"]["name"]: limit for pod in pods if (limit := _limit(pod)) is not None}


def to_ask(near: NearLimit, pods: Iterable[Manifest]) -> Iterator[Manifest]:
    """Pods that are due by their working set and their own limit, the one with the most memory first."""
    named = {pod["metadata"]["name"]: pod for pod in pods}
    limits = limits_of(named.values())
    for name, history in near.histories.items():
        if name in named and is_due(history, near.policy.with_limit(limits.get(name))):
            yield named[name]


def due_pod(near: NearLimit, pods: Iterable[Manifest], held: Mapping[str, int | None]) -> DuePod | None:
    """The first pod that is to be replaced; None if there is none.

    `held`: resident memory of the workers in bytes, by name of the pod; None for a pod whose workers do not expose it.
    """
    limits = limits_of(pods)
    for name, history in near.histories.items():
        if name not in held:
            continue
        policy, workers = near.policy.with_limit(limits.get(name)), held[name]
        if workers is None:
            return DuePod(name, Measure.WORKING_SET)
        if is_due(_without_cache(history, workers), policy):
            return DuePod(name, Measure.WORKERS)
    return None


def held_bytes(resident: Iterable[int], workers: int) -> int | None:
    """The resident memory of a pod in bytes, from that of its workers; None unless all workers expose it."""
    found = list(resident)
    return sum(found) + SUPERVISOR_RESERVE_MIB * MEBIBYTE if len(found) >= workers else None


def _without_cache(history: History, held: int) -> History:
    """The samples without the page cache, which is assumed to be the same in all of them."""
    cache = max(0, history[-1].used - held)
    return tuple(Sample(sample.at, sample.used - cache) for sample in history)


def _limit(pod: Manifest) -> int | None:
    status, spec = pod.get("status", {}), pod.get("spec", {})
    for container in (*(status.get("containerStatuses") or ()), *(spec.get("containers") or ())):
        limits = (container.get("resources") or {}).get("limits") or {}
        if container.get("name") == CONTAINER and "memory" in limits:
            return int(parse_quantity(limits["memory"]))
    return None
