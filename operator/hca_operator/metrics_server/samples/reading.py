"""The value of a metric, or the reason why there is none."""

import math
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from hca_operator.core.errors import HcaError


class Unknown(HcaError):
    """A metric has no value. The message says why and what to do; the HorizontalPodAutoscaler's condition shows it."""


@dataclass(frozen=True)
class Reading:
    """The value of a metric of an object."""

    value: float
    """Finite and at least 0."""
    at: datetime
    """Time of the oldest sample used, in UTC."""
    window: float
    """Seconds over which the value was measured, up to now."""


class Readings(Protocol):
    """Returns values of metrics, from memory."""

    def read(
        self, namespace: str, api: str, metric: str, now: datetime, *, window_seconds: float = math.inf
    ) -> Reading:
        """The value of an external metric of an object, over at most `window_seconds` if the source can.

        `metric`: for a query of the object, its external name, a slash, and the name of the metric in the object.
        Raises Unknown.
        """
