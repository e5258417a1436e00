"""Floors under the number of pods that come and go with the clock: pure.

They act through the autoscaler's minReplicas. That needs no metrics, so they hold while those are missing, and the last
one stays when the operator is gone.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from hca_operator.api.scaling import FloorSchedule
from hca_operator.api.spec import HighConcurrencyApiSpec
from hca_operator.core.cron import Schedule, read_schedule
from hca_operator.core.durations import parse_duration
from hca_operator.core.names import Manifest
from hca_operator.desired.children import Child


@dataclass(frozen=True)
class Floor:
    """What the schedules ask for now."""

    pods: int = 0
    """Pods at least; 0 where no schedule is under way."""
    schedule: str = ""
    """The one that asks for them."""
    next: datetime | None = None
    """When one begins or ends, None where there are none."""


NO_FLOOR = Floor()


@dataclass(frozen=True)
class Shift:
    """A schedule of the object and when it comes."""

    wanted: FloorSchedule
    times: Schedule

    def end(self, now: datetime) -> datetime | None:
        """When it is over, None where it is not under way."""
        end = self.times.before(now) + timedelta(seconds=parse_duration(self.wanted.duration))
        return end if end > now else None


def shifts(spec: HighConcurrencyApiSpec) -> list[Shift]:
    """The schedules of an object. Raises SpecError where one names a day or a time zone that does not exist."""
    return [
        Shift(wanted, read_schedule(wanted.cron, wanted.time_zone, f"spec.autoscaling.schedules[{wanted.name}]"))
        for wanted in spec.autoscaling.schedules
    ]


def floor_at(found: list[Shift], now: datetime) -> Floor:
    """The floor at a moment: the greatest of the schedules that are under way."""
    under_way = [(shift.wanted.min_replicas, shift.wanted.name, end) for shift in found if (end := shift.end(now))]
    changes = [end for _, _, end in under_way]
    changes += [tick for shift in found if (tick := next(shift.times.after(now), None))]
    pods, name, _ = max(under_way, default=(0, "", None), key=lambda entry: entry[0])
    return Floor(pods, name, min(changes, default=None))


def with_floor(children: list[Child], pods: int) -> list[Child]:
    """The children, of which the autoscaler has that many pods at least."""
    return [
        child._replace(manifest=_raised(child.manifest, pods))
        if child.kind == "HorizontalPodAutoscaler" and child.manifest is not None
        else child
        for child in children
    ]


def _raised(autoscaler: Manifest, pods: int) -> Manifest:
    least = max(autoscaler["spec"]["minReplicas"], pods)
    return {**autoscaler, "spec": {**autoscaler["spec"], "minReplicas": least}}
