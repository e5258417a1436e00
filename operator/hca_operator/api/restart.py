"""The part of the object that has its pods restarted by the clock, and how a time is written for a restart by hand."""

import re
from datetime import UTC, datetime

from hca_operator.api.cron import Cron, TimeZone
from hca_operator.api.schema import SpecModel

_RFC_3339 = re.compile(
    r"\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d{1,9})?([Zz]|[+-]\d{2}:\d{2})",
    re.ASCII,
)


class RestartSchedule(SpecModel):
    """When the pods are restarted by the clock."""

    cron: Cron
    """Minute, hour, day of the month, month and day of the week (0 and 7 are Sunday), such as 0 3 * * * for three at \
night. Each object is late by a delay of its own, less than ten minutes, so that many with the same hour do not roll \
at once."""
    time_zone: TimeZone = "UTC"
    """Name of the time zone in which cron is read, such as Europe/Berlin."""


def parse_time(text: str) -> datetime:
    """The moment that an RFC 3339 time names. Raises ValueError for every other text."""
    try:
        if _RFC_3339.fullmatch(text):
            return datetime.fromisoformat(text.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        pass  # a day that no month has, or a time zone that leads out of the calendar
    raise ValueError(f"{text!r} is not an RFC 3339 time such as 2026-03-01T03:00:00Z or 2026-03-01T03:00:00+01:00")


def time_text(moment: datetime) -> str:
    """A moment as Kubernetes writes it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
