"""`spec.restartSchedule`: rolling restarts on a schedule."""

from hca_operator.api.cron import Cron, TimeZone
from hca_operator.api.schema import SpecModel


class RestartSchedule(SpecModel):
    """Schedule of rolling restarts."""

    cron: Cron
    """Time of the restarts as minute, hour, day of month, month and day of week (0 and 7 are Sunday), such as 0 3 * * \
* for 03:00 every day. Each object adds a fixed delay of less than ten minutes, so that objects with the same schedule \
do not restart at the same time."""
    time_zone: TimeZone = "UTC"
    """IANA time zone of cron, such as Europe/Berlin."""
