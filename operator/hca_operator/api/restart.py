"""The part of the object that has its pods restarted by the clock."""

from hca_operator.api.cron import Cron, TimeZone
from hca_operator.api.schema import SpecModel


class RestartSchedule(SpecModel):
    """When the pods are restarted by the clock."""

    cron: Cron
    """Minute, hour, day of the month, month and day of the week (0 and 7 are Sunday), such as 0 3 * * * for three at \
night. Each object is late by a delay of its own, less than ten minutes, so that many with the same hour do not roll \
at once."""
    time_zone: TimeZone = "UTC"
    """Name of the time zone in which cron is read, such as Europe/Berlin."""
