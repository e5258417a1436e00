"""Repairs of children that other clients change. If one is changed again and again, its repairs become rare. Pure."""

from typing import NamedTuple

from hca_operator.core.errors import Contested
from hca_operator.core.field_ownership import Contest
from hca_operator.core.names import KIND

FIGHT_AFTER = 5
"""Repairs in a row, each soon after the one before: more than a user makes by hand."""
IN_A_ROW_SECONDS = 300.0
"""Longer than the interval at which other controllers act, which is a minute for a downscaler."""
LONGEST_REPAIR_WAIT_SECONDS = 300.0
MAX_NAMED_FIELDS = 3


class Repairs(NamedTuple):
    """Repairs of one child in a row."""

    number: int
    at: float
    """Of the last repair, in seconds since the epoch."""
    contests: tuple[Contest, ...]
    """Fields that the last repair restored."""

    @property
    def wait_seconds(self) -> float:
        """From the last repair to the next one."""
        beyond = self.number - FIGHT_AFTER
        return 0.0 if beyond < 0 else min(LONGEST_REPAIR_WAIT_SECONDS, 2.0 ** min(beyond + 1, 16))

    @property
    def over_at(self) -> float:
        """From when on a repair is no longer one in a row, in seconds since the epoch."""
        return self.at + max(IN_A_ROW_SECONDS, 2 * self.wait_seconds)

    def fight(self, kind: str, name: str, now: float) -> Contested | None:
        """The error to report if another controller changes the child again and again; None if it does not."""
        if self.number < FIGHT_AFTER or now >= self.over_at:
            return None
        fields = [
            f"{contest.path} by {contest.manager or 'a manager that the API server does not record'}"
            for contest in self.contests[:MAX_NAMED_FIELDS]
        ]
        more = ", and more" if len(self.contests) > MAX_NAMED_FIELDS else ""
        changed = ", ".join(fields) + more if fields else "fields that the operator sets are removed"
        return Contested(
            f"{kind} {name} is changed again and again, and set back ever more rarely: {changed}: have this {KIND} say "
            "what is wanted, or stop the other one"
        )


def after_repair(before: Repairs | None, contests: tuple[Contest, ...], now: float) -> Repairs:
    """The repairs with one more, now."""
    number = before.number + 1 if before is not None and now < before.over_at else 1
    return Repairs(number, now, contests)
