"""When a dead worker is started anew: at once, unless it died soon after its start."""

from dataclasses import dataclass

STEADY = 60.0
LONGEST_WAIT = 30.0


@dataclass(frozen=True)
class Deaths:
    """Early ones in a row, and until when to wait because of them."""

    early: int = 0
    not_before: float = float("-inf")

    def after(self, *, age: float, now: float) -> "Deaths":
        """Return what is remembered when a worker of this age has died."""
        if age >= STEADY:
            return Deaths()
        early = self.early + 1
        return Deaths(early, now + min(2.0 ** min(early - 1, 32), LONGEST_WAIT))
