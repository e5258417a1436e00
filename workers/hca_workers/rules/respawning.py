"""When a dead worker is started again: at once, or after a delay if workers die soon after their start. Pure."""

from dataclasses import dataclass

STEADY_SECONDS = 60.0
"""A worker that reached this age did not die of its start."""
LONGEST_DELAY_SECONDS = 30.0


@dataclass(frozen=True)
class RestartBackoff:
    """Early deaths in a row, and the monotonic time before which no worker is started because of them."""

    early_deaths: int = 0
    not_before: float = float("-inf")

    def after_death(self, *, age_seconds: float, now: float) -> "RestartBackoff":
        """Return the backoff after the death of a worker: 1, 2, 4 ... 30 s if it was young, else none."""
        if age_seconds >= STEADY_SECONDS:
            return RestartBackoff()
        early_deaths = self.early_deaths + 1
        return RestartBackoff(early_deaths, now + min(2.0 ** min(early_deaths - 1, 32), LONGEST_DELAY_SECONDS))
