"""Floors that begin and end by the clock (spec.autoscaling.schedules): pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from hca_operator.api.scaling import FloorSchedule
from hca_operator.api.spec import HighConcurrencyApiSpec
from hca_operator.core.cron import Schedule, read_schedule
from hca_operator.core.durations import parse_duration
from hca_operator.scaling.floors import Floor, Source


@dataclass(frozen=True)
class ScheduledFloor:
    """An entry of spec.autoscaling.schedules with its parsed cron expression."""

    entry: FloorSchedule
    starts: Schedule

    def end(self, now: datetime) -> datetime | None:
        """When the floor ends; None if it is not in force at `now`."""
        end = self.starts.before(now) + timedelta(seconds=parse_duration(self.entry.duration))
        return end if end > now else None


def scheduled_floors(spec: HighConcurrencyApiSpec) -> list[ScheduledFloor]:
    """The parsed schedules of an object. Raises SpecError for a day or a time zone that does not exist."""
    return [
        ScheduledFloor(entry, read_schedule(entry.cron, entry.time_zone, f"spec.autoscaling.schedules[{entry.name}]"))
        for entry in spec.autoscaling.schedules
    ]


def schedule_floor(scheduled: Sequence[ScheduledFloor], now: datetime) -> Floor:
    """The greatest floor in force, until the next time at which any schedule begins or ends."""
    active = [(each.entry.min_replicas, each.entry.name, end) for each in scheduled if (end := each.end(now))]
    changes = [end for _, _, end in active]
    changes += [start for each in scheduled if (start := next(each.starts.after(now), None))]
    pods, name, _ = max(active, default=(0, "", None), key=lambda entry: entry[0])
    return Floor(Source.SCHEDULE, pods, min(changes, default=None), name)
