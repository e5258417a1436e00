"""The floor that holds while the autoscaler cannot get its metrics: pure.

Read off the autoscaler's own condition and acted on through its minReplicas. Neither needs the way that the metrics
take, so whatever breaks on that way cannot keep the fallback from working.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from hca_operator.api.spec import HighConcurrencyApiSpec
from hca_operator.api.status import ConditionType, Reason
from hca_operator.core.durations import parse_duration
from hca_operator.core.names import Manifest
from hca_operator.core.observed import condition
from hca_operator.core.timestamps import time_of


@dataclass(frozen=True)
class Fallback:
    """What the object falls back to now."""

    pods: int = 0
    """Pods at least; 0 where it is not in force."""
    next: datetime | None = None
    """When it begins or ends, if the autoscaler's condition stays as it is; None where that changes nothing."""


NO_FALLBACK = Fallback()


def fallback_at(spec: HighConcurrencyApiSpec, autoscaler: Manifest | None, status: Manifest, now: datetime) -> Fallback:
    """The fallback at a moment, from the live autoscaler and from the object's status, which says if it is in force.

    It begins when the metrics have been missing for `after`, and ends when they have been there for as long: an
    autoscaler that has them now and then would otherwise lose the pods each time and get them anew.
    """
    wanted = spec.autoscaling.fallback
    active = condition(autoscaler, "ScalingActive")
    if wanted is None or spec.autoscaling.mode == "Disabled" or not active:
        return NO_FALLBACK
    # With no pods at all there is nothing to decide; that is no outage.
    blind = active.get("status") == "False" and active.get("reason") != "ScalingDisabled"
    in_force = condition({"status": status}, ConditionType.SCALING_ACTIVE).get("reason") == Reason.FALLBACK_IN_FORCE
    turn = None
    if blind != in_force:
        turn = (time_of(active, "lastTransitionTime") or now) + timedelta(seconds=parse_duration(wanted.after))
        if now >= turn:
            in_force, turn = blind, None
    return Fallback(wanted.replicas if in_force else 0, turn)
