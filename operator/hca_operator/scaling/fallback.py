"""The floor while the HorizontalPodAutoscaler (HPA) cannot get its metrics (spec.autoscaling.fallback): pure.

It follows from the condition ScalingActive of the HPA and is applied through its `minReplicas`. Neither needs the
external metrics API, so a failure there cannot keep the fallback from working.
"""

from datetime import datetime, timedelta

from hca_operator.api.spec import HighConcurrencyApiSpec
from hca_operator.api.status import ConditionType, Reason
from hca_operator.core.durations import parse_duration
from hca_operator.core.names import Manifest
from hca_operator.core.observed import condition
from hca_operator.core.timestamps import past_time_of
from hca_operator.scaling.floors import Floor, Source

NO_FALLBACK = Floor(Source.FALLBACK)


def fallback_floor(spec: HighConcurrencyApiSpec, autoscaler: Manifest | None, status: Manifest, now: datetime) -> Floor:
    """The fallback floor at `now`, from the live HPA and from the stored status, which says whether it is in force.

    It begins when the metrics have been missing for `after`, and ends when they have been there for as long: an HPA
    that gets its metrics only now and then would otherwise remove the pods and add them again each time.
    """
    wanted = spec.autoscaling.fallback
    active = condition(autoscaler, "ScalingActive")
    if wanted is None or spec.autoscaling.mode == "Disabled" or not active:
        return NO_FALLBACK
    # An HPA whose Deployment has no pods reports ScalingDisabled; that is no outage.
    metrics_missing = active.get("status") == "False" and active.get("reason") != "ScalingDisabled"
    in_force = condition({"status": status}, ConditionType.SCALING_ACTIVE).get("reason") == Reason.FALLBACK_IN_FORCE
    changes_at = None
    if metrics_missing != in_force:
        changes_at = (past_time_of(active, "lastTransitionTime", now) or now) + timedelta(
            seconds=parse_duration(wanted.after)
        )
        if now >= changes_at:
            in_force, changes_at = metrics_missing, None
    return Floor(Source.FALLBACK, wanted.replicas if in_force else 0, changes_at)
