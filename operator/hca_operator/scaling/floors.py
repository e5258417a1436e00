"""Floors under the number of pods: at least N pods, until a time, because of a source. Pure.

A floor is applied through `minReplicas` of the HorizontalPodAutoscaler. That needs no metrics, so it holds while they
are missing, and the last floor stays while no operator runs.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from hca_operator.core.names import Manifest
from hca_operator.desired.children import Child


class Source(StrEnum):
    """What asks for a floor."""

    SCHEDULE = "schedule"
    """spec.autoscaling.schedules."""
    FALLBACK = "fallback"
    """spec.autoscaling.fallback, while the HorizontalPodAutoscaler has no metrics."""
    BURST = "burst"
    """spec.autoscaling.burst, after a jump of the load."""


@dataclass(frozen=True)
class Floor:
    """At least `pods` pods until `until`, because of `source`."""

    source: Source
    pods: int = 0
    """Minimum number of pods; 0 if the source asks for none now."""
    until: datetime | None = None
    """When this floor ends or the next one begins; None if no time is known."""
    name: str = ""
    """Name of the schedule; empty for the other sources."""


def fewest(floors: Iterable[Floor]) -> int:
    """The minimum number of pods by all floors together: the greatest of them, 0 without a floor."""
    return max((floor.pods for floor in floors), default=0)


def in_force(floors: Iterable[Floor], source: Source) -> Floor | None:
    """The floor of a source; None if it asks for no pods now."""
    return next((floor for floor in floors if floor.source == source and floor.pods), None)


def with_minimum(children: Sequence[Child], pods: int) -> list[Child]:
    """The children, with `minReplicas` of the HorizontalPodAutoscaler raised to `pods` if it is smaller."""
    return [
        child._replace(manifest=_raised(child.manifest, pods))
        if child.kind == "HorizontalPodAutoscaler" and child.manifest is not None
        else child
        for child in children
    ]


def _raised(autoscaler: Manifest, pods: int) -> Manifest:
    minimum = max(autoscaler["spec"]["minReplicas"], pods)
    return {**autoscaler, "spec": {**autoscaler["spec"], "minReplicas": minimum}}
