"""Restarts that are requested by an annotation or due by the schedule: pure.

A restart is a time in an annotation of the pod template, which always has the latest time that was due. It is compared
with the time that is due now, so nothing has to be remembered or cleared, and repeating a pass changes nothing.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from hca_operator.api.spec import ApiObject, HighConcurrencyApiSpec
from hca_operator.core.cron import Schedule, read_schedule
from hca_operator.core.names import RESTART_ANNOTATION, RESTARTED_ANNOTATION, Manifest
from hca_operator.core.observed import rolled_out
from hca_operator.core.timestamps import parse_time, past_time_of, time_of, time_text
from hca_operator.desired.metadata import annotated, with_template

MAX_DELAY = timedelta(hours=1)
"""A scheduled restart that was missed for longer than this is skipped."""
SCHEDULE_SPREAD_SECONDS = 600
"""Over which the restarts of objects with the same schedule are spread."""


@dataclass(frozen=True)
class Restarts:
    """Which restart the pod template is to have. Times are RFC 3339 texts unless said otherwise."""

    applied: str | None = None
    """The one in the live pod template."""
    due: str | None = None
    """The one that the pod template is to have now."""
    requested: bool = False
    """Whether `due` was requested by the annotation: then it does not wait at the rollout gate."""
    held_back: bool = False
    """Whether a restart is due and waits for the end of the current rollout."""
    next_at: datetime | None = None
    """When the next scheduled restart is due; None without one."""
    schedule_status: Manifest | None = None
    """status.restartSchedule."""
    invalid: str | None = None
    """What is wrong with the annotation."""


def plan_restarts(
    api: ApiObject, schedule: Schedule | None, status: Manifest, deployment: Manifest | None, now: datetime
) -> Restarts:
    """Which restart is due at `now`. `status`: the stored one; `deployment`: the live one, None before its creation."""
    applied = _applied(deployment)
    requested, invalid = _requested(api)
    schedule_status = _schedule_status(api, schedule, status, now)
    scheduled = time_of(schedule_status, "due")
    coming = [requested] if requested and requested > now else []
    if schedule is not None and (tick := next(schedule.after(now - _spread_delay(api)), None)):
        coming.append(tick + _spread_delay(api))
    due = max((time for time in (applied, requested, scheduled) if time is not None and time <= now), default=None)
    # A new Deployment is created with it, which restarts nothing.
    held_back = due != applied and deployment is not None and not rolled_out(deployment)
    return Restarts(
        applied=_time_text(applied),
        due=_time_text(applied if held_back else due),
        requested=due == requested != applied,
        held_back=held_back,
        next_at=min(coming, default=None),
        schedule_status=schedule_status,
        invalid=invalid,
    )


def restarted(deployment: Manifest, at: str | None) -> Manifest:
    """The Deployment with a restart in its pod template, unchanged without one."""
    if at is None:
        return deployment
    return with_template(deployment, annotated(deployment["spec"]["template"], RESTARTED_ANNOTATION, at))


def _requested(api: ApiObject) -> tuple[datetime | None, str | None]:
    text = api.annotations.get(RESTART_ANNOTATION)
    if text is None:
        return None, None
    try:
        return parse_time(text).replace(microsecond=0), None
    except ValueError as error:
        return None, f"metadata.annotations[{RESTART_ANNOTATION}]: {error}"


def _applied(deployment: Manifest | None) -> datetime | None:
    template = (deployment or {}).get("spec", {}).get("template", {})
    return time_of(template.get("metadata", {}).get("annotations"), RESTARTED_ANNOTATION)


def _schedule_status(api: ApiObject, schedule: Schedule | None, status: Manifest, now: datetime) -> Manifest | None:
    """status.restartSchedule: the schedule, since when it applies, and the last of its times that was detected.

    A restart that was detected in time stays due, however long it is held back; one that was detected later than
    MAX_DELAY is skipped.
    """
    wanted = api.spec.restart_schedule
    if schedule is None or wanted is None:
        return None
    result = {"cron": wanted.cron, "timeZone": wanted.time_zone}
    before = status.get("restartSchedule") or {}
    same = all(before.get(name) == value for name, value in result.items())
    since = (past_time_of(before, "since", now) if same else None) or now.replace(microsecond=0)
    due = past_time_of(before, "due", now) if same else None
    if api.spec.reconciliation == "Active":
        due = schedule.last(max(since, now - _spread_delay(api) - MAX_DELAY), now - _spread_delay(api)) or due
    return {**result, "since": time_text(since)} | ({"due": time_text(due)} if due else {})


def _spread_delay(api: ApiObject) -> timedelta:
    """Delay of an object after the times of its schedule: derived from its uid, so it never changes."""
    digest = hashlib.blake2b(api.uid.encode(), digest_size=4).digest()
    return timedelta(seconds=int.from_bytes(digest, "big") % SCHEDULE_SPREAD_SECONDS)


def _time_text(time: datetime | None) -> str | None:
    return None if time is None else time_text(time)


def restart_schedule(spec: HighConcurrencyApiSpec) -> Schedule | None:
    """The parsed spec.restartSchedule; None without one. Raises SpecError as `read_schedule` does."""
    wanted = spec.restart_schedule
    return None if wanted is None else read_schedule(wanted.cron, wanted.time_zone, "spec.restartSchedule")
