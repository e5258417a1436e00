"""The condition ScalingActive: from the HorizontalPodAutoscaler's own condition and the floors of the object."""

import re
from collections.abc import Iterator, Sequence

from hca_operator.api.spec import ApiObject
from hca_operator.api.status import Problem, Reason
from hca_operator.core.names import CONTAINER, Manifest
from hca_operator.core.observed import condition
from hca_operator.core.timestamps import time_text
from hca_operator.scaling.floors import Floor, Source, in_force
from hca_operator.status.entries import PAUSED, Verdict, not_applied

_NO_REQUEST = re.compile(r"missing request for (\w+) in container (\S+)")


def scaling_active(
    api: ApiObject | None, autoscaler: Manifest | None, floors: Sequence[Floor], problem: Problem | None
) -> Verdict:
    """Whether the HorizontalPodAutoscaler works.

    `api`: None if the spec is invalid; `floors`: those applied now; `problem`: why the autoscaler was not read or
    written.
    """
    if autoscaler is None:
        if problem is not None:
            return not_applied(problem.reason)
        if api is not None and api.spec.reconciliation == "Paused":
            return PAUSED
        if api is not None and api.spec.autoscaling.mode == "Disabled":
            return Verdict("False", Reason.AUTOSCALING_DISABLED, "spec.replicas sets the number of pods")
    active = condition(autoscaler, "ScalingActive")
    if active.get("status") not in {"True", "False"}:
        message = "the HorizontalPodAutoscaler has not evaluated the API yet"
        return Verdict("Unknown", Reason.AUTOSCALER_PENDING, message)
    reason, message = Reason.SCALING, "the HorizontalPodAutoscaler has its metrics"
    if in_force(floors, Source.BURST):
        reason = Reason.BURST_IN_FORCE
    if active["status"] == "False":
        reason, message = _autoscaler_trouble(active)
    if in_force(floors, Source.FALLBACK):
        reason = Reason.FALLBACK_IN_FORCE
    return Verdict(active["status"], reason, "; ".join([message, *_scaling_orders(api, floors)]))


def _autoscaler_trouble(active: Manifest) -> tuple[Reason, str]:
    """Reason and message for a condition ScalingActive of the HorizontalPodAutoscaler that is not True."""
    if missing := _NO_REQUEST.search(active.get("message", "")):
        resource, container = missing.groups()
        field = f"spec.resources.requests.{resource}" if container == CONTAINER else "its resources.requests"
        return Reason.AUTOSCALER_FAILING, (
            f"the HorizontalPodAutoscaler cannot set the number of pods: container {container} requests no {resource}, "
            f"so there is no utilization: set {field}"
        )
    match active.get("reason", ""):
        case "ScalingDisabled":
            return Reason.SCALED_TO_ZERO, "there are no pods"
        case "FailedGetExternalMetric":
            return Reason.API_METRICS_UNAVAILABLE, (
                "the HorizontalPodAutoscaler cannot get the API's own metrics, so it removes no pods: "
                "run kubectl describe hpa to see which are missing"
            )
        case reason:
            return Reason.AUTOSCALER_FAILING, (
                f"the HorizontalPodAutoscaler cannot set the number of pods ({reason}): run kubectl describe hpa to "
                "see why"
            )


def _scaling_orders(api: ApiObject | None, floors: Sequence[Floor]) -> Iterator[str]:
    """Fields that decide the number of pods beside the metrics."""
    if api is not None:
        scaling = api.spec.autoscaling
        if scaling.hold != "None":
            yield f"autoscaling.hold is {scaling.hold}"
        floors_wanted = scaling.schedules or scaling.fallback or scaling.burst.mode == "Enabled"
        if api.spec.reconciliation == "Paused" and floors_wanted:
            yield "spec.reconciliation is Paused, so autoscaling.schedules, fallback and burst change nothing"
    yield from (_floor_text(floor) for floor in floors if floor.pods)


def _floor_text(floor: Floor) -> str:
    match floor.source:
        case Source.SCHEDULE:
            return f"schedule {floor.name} asks for at least {floor.pods} pods"
        case Source.FALLBACK:
            least = f"autoscaling.fallback asks for at least {floor.pods} pods"
            return f"{least} until the metrics have been back for fallback.after"
        case Source.BURST:
            until = "" if floor.until is None else f" until {time_text(floor.until)}"
            return f"a jump of the load asks for at least {floor.pods} pods{until}"
