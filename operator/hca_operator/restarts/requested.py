"""Restarts that somebody or the clock asks for: pure.

A restart is a time in the pod template, and the template only ever carries the newest one that was due: what is there
is compared with what is asked for, so nothing has to be remembered or cleared, and a repetition changes nothing.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from hca_operator.api.spec import ApiObject, HighConcurrencyApiSpec
from hca_operator.core.cron import Schedule, read_schedule
from hca_operator.core.names import RESTART_ANNOTATION, RESTARTED_ANNOTATION, Manifest
from hca_operator.core.observed import rolled_out
from hca_operator.core.timestamps import parse_time, time_of, time_text
from hca_operator.desired.metadata import annotated, with_template

LATEST = timedelta(hours=1)
"""How late a scheduled restart may begin to be considered: one that was missed for longer is skipped."""
LONGEST_DELAY = 600
"""Seconds over which objects with the same schedule are spread."""


@dataclass(frozen=True)
class Restarts:
    """What an object's pods are to be restarted for."""

    carried: str | None = None
    """The restart that the pods have already had."""
    due: str | None = None
    """The one that the template is to carry now: another one, or the same."""
    asked: bool = False
    """Whether `due` is somebody's wish, which waits for no turn."""
    waits: bool = False
    """Whether one is due that another rollout holds up."""
    next: datetime | None = None
    """When the next one is due, as far as it is known."""
    counted: Manifest | None = None
    """What status keeps of the schedule."""
    mistake: str | None = None
    """What is wrong with the annotation."""


def plan_restarts(
    api: ApiObject, schedule: Schedule | None, status: Manifest, deployment: Manifest | None, now: datetime
) -> Restarts:
    """What is due for an object with that stored status and that live Deployment."""
    carried = _carried(deployment)
    asked, mistake = _asked(api)
    counted = _counted(api, schedule, status, now)
    ticked = time_of(counted, "due")
    coming = [asked] if asked and asked > now else []
    if schedule is not None and (tick := next(schedule.after(now - _delay(api)), None)):
        coming.append(tick + _delay(api))
    candidates = [moment for moment in (carried, asked, ticked) if moment is not None and moment <= now]
    due = max(candidates, default=None)
    # A Deployment that is not there yet is made with it, and costs no restart.
    waits = due != carried and deployment is not None and not rolled_out(deployment)
    return Restarts(
        carried=_text(carried),
        due=_text(carried if waits else due),
        asked=due == asked != carried,
        waits=waits,
        next=min(coming, default=None),
        counted=counted,
        mistake=mistake,
    )


def restarted(deployment: Manifest, at: str | None) -> Manifest:
    """The Deployment with a restart in its pod template; as it is where there has been none."""
    if at is None:
        return deployment
    return with_template(deployment, annotated(deployment["spec"]["template"], RESTARTED_ANNOTATION, at))


def _asked(api: ApiObject) -> tuple[datetime | None, str | None]:
    text = api.annotations.get(RESTART_ANNOTATION)
    if text is None:
        return None, None
    try:
        return parse_time(text).replace(microsecond=0), None
    except ValueError as error:
        return None, f"metadata.annotations[{RESTART_ANNOTATION}]: {error}"


def _carried(deployment: Manifest | None) -> datetime | None:
    template = (deployment or {}).get("spec", {}).get("template", {})
    return time_of(template.get("metadata", {}).get("annotations"), RESTARTED_ANNOTATION)


def _counted(api: ApiObject, schedule: Schedule | None, status: Manifest, now: datetime) -> Manifest | None:
    """The schedule, since when it counts, and its last time that was met.

    What is due once stays due, however long it waits for its turn; only what nobody saw in time is skipped.
    """
    wanted = api.spec.restart_schedule
    if schedule is None or wanted is None:
        return None
    counted = {"cron": wanted.cron, "timeZone": wanted.time_zone}
    before = status.get("restartSchedule") or {}
    same = all(before.get(name) == value for name, value in counted.items())
    since = (time_of(before, "since") if same else None) or now.replace(microsecond=0)
    due = time_of(before, "due") if same else None
    if api.spec.reconciliation == "Active":
        due = schedule.last(max(since, now - _delay(api) - LATEST), now - _delay(api)) or due
    return {**counted, "since": time_text(since)} | ({"due": time_text(due)} if due else {})


def _delay(api: ApiObject) -> timedelta:
    """An object's own delay: the same for ever, for its uid is."""
    digest = hashlib.blake2b(api.uid.encode(), digest_size=4).digest()
    return timedelta(seconds=int.from_bytes(digest, "big") % LONGEST_DELAY)


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else time_text(moment)


def schedule_of(spec: HighConcurrencyApiSpec) -> Schedule | None:
    """When the pods are restarted by the clock, None for never. Raises SpecError as `read_schedule` does."""
    wanted = spec.restart_schedule
    return None if wanted is None else read_schedule(wanted.cron, wanted.time_zone, "spec.restartSchedule")
