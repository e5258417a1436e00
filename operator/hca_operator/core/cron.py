"""The times that a cron expression names, in its time zone: pure.

cronsim reads the expression as Debian's cron does, also where clocks are put forward (a time that does not exist comes
a moment later) or back (one that exists twice comes once). The time zones are those of the tzdata package, so that they
are as new as the operator and not as its base image.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from hca_operator.core.errors import SpecError

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)

NICKNAMES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}


class Schedule:
    """A cron expression in a time zone."""

    def __init__(self, cron: str, zone: ZoneInfo) -> None:
        """Raises CronSimError for a day that none of its months has."""
        # Of a week that begins on Monday, Sunday is the last day, which cronsim knows by its number alone.
        self._cron = NICKNAMES.get(cron.lower(), cron).upper().replace("-SUN", "-7")
        self._zone = zone
        CronSim(self._cron, datetime(2000, 1, 1, tzinfo=zone))

    def after(self, moment: datetime) -> Iterator[datetime]:
        """The times after a moment, without an end as a rule."""
        start = moment
        if self._offset(moment) != self._offset(moment - HOUR):
            # Of an hour that comes twice, cron takes the first. Begun in the second, cronsim names times that are past;
            # and where clocks change by half an hour, it names others if it is begun after the change.
            start = moment - 2 * HOUR
        for tick in CronSim(self._cron, start.astimezone(self._zone)):
            if tick > moment:
                yield tick.astimezone(UTC)

    def _offset(self, moment: datetime) -> timedelta | None:
        """From UTC to the clock of the zone."""
        return moment.astimezone(self._zone).utcoffset()

    def before(self, moment: datetime) -> datetime:
        """The last time that is not after a moment.

        Found by the times after earlier moments: backwards, cronsim misses times near a change of the clock, and never
        ends where one leaves out the hour before midnight.
        """
        early, late = moment - HOUR, moment
        while self._next(early) > moment:
            early, late = moment - 4 * (moment - early), early
        while late - early > MINUTE:
            middle = early + (late - early) / 2
            early, late = (middle, late) if self._next(middle) <= moment else (early, middle)
        return self._next(early)

    def _next(self, moment: datetime) -> datetime:
        return next(self.after(moment))

    def last(self, after: datetime, until: datetime) -> datetime | None:
        """The last time after one moment and not after another, None if there is none."""
        return max(takewhile(lambda tick: tick <= until, self.after(after)), default=None)


def read_schedule(cron: str, time_zone: str, field: str) -> Schedule:
    """The schedule that a field of the object, such as spec.restartSchedule, describes.

    Raises SpecError where the API server could not know that there is no such time or time zone.
    """
    try:
        return Schedule(cron, ZoneInfo(time_zone))
    except CronSimError:
        raise SpecError(
            f"{field}.cron: {cron!r} names a day that none of its months has: "
            "use a day that comes, such as '0 3 1 * *' for the first of each month"
        ) from None
    except (KeyError, ValueError, OSError):
        raise SpecError(
            f"{field}.timeZone: {time_zone!r} is no known time zone: "
            "use a name of the IANA database, such as Europe/Berlin or UTC"
        ) from None
