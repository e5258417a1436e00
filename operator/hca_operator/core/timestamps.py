"""Times as Kubernetes writes them (RFC 3339)."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

SKEW = timedelta(minutes=5)
"""By which the clocks of a cluster may differ."""

_RFC_3339 = re.compile(
    r"\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d{1,9})?([Zz]|[+-]\d{2}:\d{2})",
    re.ASCII,
)


def parse_time(text: str) -> datetime:
    """The moment that an RFC 3339 time names. Raises ValueError for every other text."""
    try:
        if _RFC_3339.fullmatch(text):
            return datetime.fromisoformat(text.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        pass  # a day that no month has, or a time zone that leads out of the calendar
    raise ValueError(f"{text!r} is not an RFC 3339 time such as 2026-03-01T03:00:00Z or 2026-03-01T03:00:00+01:00")


def time_of(holder: dict[str, Any] | None, name: str) -> datetime | None:
    """A time of an object that any client may have written, None if it is missing or not valid."""
    try:
        return parse_time(str((holder or {}).get(name)))
    except ValueError:
        return None


def past_time_of(holder: dict[str, Any] | None, name: str, now: datetime) -> datetime | None:
    """A time of an object at which something has happened, None if it is missing, not valid or in the future.

    Any client may have written it, and the clock by which it was written may have been set back since.
    """
    time = time_of(holder, name)
    return None if time is None or time > now + SKEW else time


def time_text(moment: datetime) -> str:
    """A moment to the second. Not by strftime, which writes years before 1000 with fewer digits."""
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
