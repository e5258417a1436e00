"""The status as tools read it, and the closed lists of condition types and reasons."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, StringConstraints

from hca_operator.api.schema import ListMap, SpecModel
from hca_operator.api.types import DnsSubdomain

MAX_MESSAGE = 2048


class ConditionType(StrEnum):
    """What the status says something about."""

    AVAILABLE = "Available"
    READY = "Ready"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"
    SCALING_ACTIVE = "ScalingActive"
    TRAFFIC_READY = "TrafficReady"
    MEMORY_HEALTHY = "MemoryHealthy"
    ROLLOUT_HEALTHY = "RolloutHealthy"


class Reason(StrEnum):
    """Every reason that a condition may have; docs/conditions.md says what to do about each."""

    # Good and passing states
    PODS_AVAILABLE = "PodsAvailable"
    ROLLED_OUT = "RolledOut"
    ROLLING_OUT = "RollingOut"
    SCALED_TO_ZERO = "ScaledToZero"
    NO_PROBLEM = "NoProblem"
    PAUSED = "Paused"
    AUTOSCALING_DISABLED = "AutoscalingDisabled"
    AUTOSCALER_PENDING = "AutoscalerPending"
    SCALING = "ScalingActive"
    NOT_REQUESTED = "NotRequested"
    ROUTES_APPLIED = "RoutesApplied"
    MEMORY_GROWING = "MemoryGrowing"
    MEMORY_WITHIN_LIMITS = "MemoryWithinLimits"
    MEMORY_RESTART_DISABLED = "MemoryRestartDisabled"
    REPLACING_POD = "ReplacingPod"
    NO_RESTART_DUE = "NoRestartDue"
    RESTART_PENDING = "RestartPending"
    # What the user must change
    INVALID_SPEC = "InvalidSpec"
    LIMIT_EXCEEDED = "LimitExceeded"
    RESOURCE_CONFLICT = "ResourceConflict"
    IMAGE_RUNS_AS_ROOT = "ImageRunsAsRoot"
    READINESS_PATH_NOT_FOUND = "ReadinessPathNotFound"
    RESTART_TIME_INVALID = "RestartTimeInvalid"
    # What may pass or needs a look
    NO_PODS_AVAILABLE = "NoPodsAvailable"
    IMAGE_PULL_FAILED = "ImagePullFailed"
    CONTAINER_CONFIG_ERROR = "CreateContainerConfigError"
    CRASH_LOOP = "CrashLoop"
    OUT_OF_MEMORY = "OutOfMemory"
    READINESS_FAILING = "ReadinessFailing"
    UNSCHEDULABLE = "Unschedulable"
    PODS_REJECTED = "PodsRejected"
    PROGRESS_DEADLINE_EXCEEDED = "ProgressDeadlineExceeded"
    REJECTED = "ApplyRejected"
    FORBIDDEN = "Forbidden"
    AUTOSCALER_FAILING = "AutoscalerFailing"
    API_METRICS_UNAVAILABLE = "ApiMetricsUnavailable"
    FALLBACK_IN_FORCE = "FallbackInForce"
    BURST_IN_FORCE = "BurstInForce"
    MEMORY_PRESSURE = "MemoryPressure"
    METRICS_UNAVAILABLE = "MetricsUnavailable"


STALLING: frozenset[Reason] = frozenset(
    {
        Reason.INVALID_SPEC,
        Reason.LIMIT_EXCEEDED,
        Reason.RESOURCE_CONFLICT,
        Reason.IMAGE_RUNS_AS_ROOT,
        Reason.READINESS_PATH_NOT_FOUND,
        Reason.PROGRESS_DEADLINE_EXCEEDED,
    }
)
"""Reasons that a retry cannot cure: they set Stalled."""


@dataclass(frozen=True)
class Problem:
    """What keeps the latest generation from serving."""

    reason: Reason
    message: str


class Condition(SpecModel):
    """One observation (metav1.Condition)."""

    model_config = ConfigDict(strict=False)

    type: Annotated[str, StringConstraints(max_length=316)]
    """What is observed."""
    status: Literal["True", "False", "Unknown"]
    """Whether it holds."""
    observed_generation: Annotated[int, Field(ge=0)]
    """The generation of the object that was looked at."""
    last_transition_time: Annotated[datetime, Field(json_schema_extra={"format": "date-time"})]
    """When status last changed."""
    reason: Annotated[str, StringConstraints(max_length=1024)]
    """Why, in one word."""
    message: Annotated[str, StringConstraints(max_length=MAX_MESSAGE)] = ""
    """Why, for people, with what to do about it."""


class CountedSchedule(SpecModel):
    """How far the schedule of restarts has come."""

    model_config = ConfigDict(strict=False)

    cron: Annotated[str, StringConstraints(max_length=100)]
    """The schedule that is counted."""
    time_zone: Annotated[str, StringConstraints(max_length=64)]
    """Its time zone."""
    since: Annotated[datetime, Field(json_schema_extra={"format": "date-time"})]
    """From when on it counts: when the operator first saw it."""
    due: Annotated[datetime, Field(json_schema_extra={"format": "date-time"})] | None = None
    """The last restart that was met. It is carried out once no other rollout is under way."""


class MemoryRestarts(SpecModel):
    """What memory has cost so far."""

    model_config = ConfigDict(strict=False)

    total: Annotated[int, Field(ge=0)] | None = None
    """Pods replaced and containers killed, together."""
    pods: Annotated[int, Field(ge=0)] | None = None
    """Pods that the operator replaced before the kernel would have ended them."""
    replaced_at: Annotated[datetime, Field(json_schema_extra={"format": "date-time"})] | None = None
    """When it last did."""
    replaced_uid: Annotated[str, StringConstraints(max_length=64)] | None = Field(default=None, alias="replacedUID")
    """Uid of the pod that was replaced last, by which it is counted once."""
    oom_kills: Annotated[int, Field(ge=0)] | None = None
    """Containers that the kernel ended at their memory limit; several times within half a minute count as one."""
    oom_killed_at: Annotated[datetime, Field(json_schema_extra={"format": "date-time"})] | None = None
    """When it last did."""
    last_time: Annotated[datetime, Field(json_schema_extra={"format": "date-time"})] | None = None
    """When memory last ended a pod's container or the pod."""
    last_reason: Literal["OOMKilled", "PodReplaced"] | None = None
    """How it did: OOMKilled, by the kernel at the limit; PodReplaced, by the operator before that."""
    last_pod: DnsSubdomain | None = None
    """Name of that pod."""


class BurstStatus(SpecModel):
    """A jump of the load that is being met."""

    model_config = ConfigDict(strict=False)

    replicas: Annotated[int, Field(ge=1)]
    """Pods that it needs, which the autoscaler may not go below."""
    until: Annotated[datetime, Field(json_schema_extra={"format": "date-time"})]
    """When that ends."""


class Unsupported(SpecModel):
    """A field that this install does not carry out in full."""

    field: Annotated[str, StringConstraints(max_length=256)]
    """Path of the field."""
    reason: Annotated[str, StringConstraints(max_length=MAX_MESSAGE)]
    """What is not done, and what to do about it."""


class HighConcurrencyApiStatus(SpecModel):
    """What the operator observes."""

    observed_generation: int | None = None
    """The generation that this status speaks of."""
    conditions: Annotated[list[Condition], ListMap("type"), Field(max_length=16)] = []  # noqa: RUF012 - frozen model
    """What holds and what does not."""
    replicas: int | None = None
    """Pods that exist."""
    ready_replicas: int | None = None
    """Pods that serve."""
    desired_replicas: int | None = None
    """Pods that there should be."""
    workers_per_pod: int | None = None
    """Worker processes in each pod."""
    selector: Annotated[str, StringConstraints(max_length=512)] | None = None
    """Label selector of the pods, for the scale subresource."""
    url: Annotated[str, StringConstraints(max_length=2048)] | None = None
    """Where the API answers."""
    revision: Annotated[str, StringConstraints(max_length=64)] | None = None
    """The Deployment's revision."""
    memory_restarts: MemoryRestarts | None = None
    """What memory has cost so far. Absent: nothing."""
    restart_schedule: CountedSchedule | None = None
    """How far the schedule of restarts has come."""
    burst: BurstStatus | None = None
    """The jump of the load that is being met. Absent: none."""
    unsupported: Annotated[list[Unsupported], ListMap("field"), Field(max_length=16)] = []  # noqa: RUF012 - frozen model
    """Fields that this install does not carry out in full."""
