"""The value of a metric, or the reason why there is none."""

import math
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from hca_operator.core.errors import HcaError


class Unknown(HcaError):
    """A metric has no value. The message says why and what to do; an autoscaler repeats it in its condition."""


@dataclass(frozen=True)
class Reading:
    """The value of a metric of an object."""

    value: float
    """Finite and at least 0."""
    at: datetime
    """UTC, of the oldest sample used."""
    window: float
    """Seconds over which it was taken, up to now."""


class Readings(Protocol):
    """Values of metrics, from memory."""

    def read(
        self, namespace: str, api: str, metric: str, now: datetime, *, window_seconds: float = math.inf
    ) -> Reading:
        """The value of an external metric of an object, over at most `window_seconds` if the source can.

        `metric`: for a query of the object, its external name, a slash, and the name of the metric in the object.
        Raises Unknown.
        """
