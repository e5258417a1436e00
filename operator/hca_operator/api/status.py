"""Models of the status, and every condition type and reason."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, StringConstraints

from hca_operator.api.schema import ListMap, SpecModel
from hca_operator.api.types import DnsSubdomain

MAX_MESSAGE = 2048
MAX_REPLACED = 16
"""Replaced pods that are remembered; as a rule one is replaced at a time."""


class ConditionType(StrEnum):
    """Every type of condition."""

    AVAILABLE = "Available"
    READY = "Ready"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"
    SCALING_ACTIVE = "ScalingActive"
    TRAFFIC_READY = "TrafficReady"
    MEMORY_HEALTHY = "MemoryHealthy"
    ROLLOUT_HEALTHY = "RolloutHealthy"


class Reason(StrEnum):
    """Every reason of a condition. docs/conditions.md says what to do about each."""

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
    FIELD_CONFLICT = "FieldConflict"
    IMAGE_RUNS_AS_ROOT = "ImageRunsAsRoot"
    READINESS_PATH_NOT_FOUND = "ReadinessPathNotFound"
    RESTART_TIME_INVALID = "RestartTimeInvalid"
    # What may pass or needs a look
    NO_PODS_AVAILABLE = "NoPodsAvailable"
    IMAGE_PULL_FAILED = "ImagePullFailed"
    CONTAINER_CONFIG_ERROR = "CreateContainerConfigError"
    CRASH_LOOP = "CrashLoop"
    OUT_OF_MEMORY = "OutOfMemory"
    NOTHING_LISTENS = "NothingListens"
    LIVENESS_FAILING = "LivenessFailing"
    READINESS_FAILING = "ReadinessFailing"
    UNSCHEDULABLE = "Unschedulable"
    VOLUME_NOT_ATTACHED = "VolumeNotAttached"
    PODS_REJECTED = "PodsRejected"
    PROGRESS_DEADLINE_EXCEEDED = "ProgressDeadlineExceeded"
    REJECTED = "ApplyRejected"
    REQUEST_FAILED = "RequestFailed"
    INTERNAL_ERROR = "InternalError"
    FORBIDDEN = "Forbidden"
    AUTOSCALER_FAILING = "AutoscalerFailing"
    API_METRICS_UNAVAILABLE = "ApiMetricsUnavailable"
    FALLBACK_IN_FORCE = "FallbackInForce"
    BURST_IN_FORCE = "BurstInForce"
    MEMORY_PRESSURE = "MemoryPressure"
    MEMORY_NOT_READ = "MemoryNotRead"
    METRICS_UNAVAILABLE = "MetricsUnavailable"


STALLING: frozenset[Reason] = frozenset(
    {
        Reason.PAUSED,
        Reason.INVALID_SPEC,
        Reason.LIMIT_EXCEEDED,
        Reason.RESOURCE_CONFLICT,
        Reason.IMAGE_RUNS_AS_ROOT,
        Reason.READINESS_PATH_NOT_FOUND,
        Reason.PROGRESS_DEADLINE_EXCEEDED,
    }
)
"""Reasons that no retry cures. They set the condition Stalled."""


@dataclass(frozen=True)
class Problem:
    """What keeps the latest generation from being ready."""

    reason: Reason
    message: str


class Condition(SpecModel):
    """A condition, as metav1.Condition."""

    model_config = ConfigDict(strict=False)

    type: Annotated[str, StringConstraints(max_length=316)]
    """Type of the condition, such as Ready."""
    status: Literal["True", "False", "Unknown"]
    """Whether the condition holds: True, False or Unknown."""
    observed_generation: Annotated[int, Field(ge=0)]
    """metadata.generation that the condition describes."""
    last_transition_time: Annotated[datetime, Field(json_schema_extra={"format": "date-time"})]
    """Time of the last change of status."""
    reason: Annotated[str, StringConstraints(max_length=1024)]
    """Reason of the status, as one word for programs."""
    message: Annotated[str, StringConstraints(max_length=MAX_MESSAGE)] = ""
    """Explanation for people, and what to do about it."""


class CountedSchedule(SpecModel):
    """Progress of spec.restartSchedule."""

    model_config = ConfigDict(strict=False)

    cron: Annotated[str, StringConstraints(max_length=100)]
    """Cron expression that the times belong to."""
    time_zone: Annotated[str, StringConstraints(max_length=64)]
    """Time zone of cron."""
    since: Annotated[datetime, Field(json_schema_extra={"format": "date-time"})]
    """Time at which the operator first read the schedule. Earlier times do not count."""
    due: Annotated[datetime, Field(json_schema_extra={"format": "date-time"})] | None = None
    """Time of the last scheduled restart. It starts when no other rollout is in progress."""


class MemoryRestarts(SpecModel):
    """Pods and containers that ended because of their memory."""

    model_config = ConfigDict(strict=False)

    total: Annotated[int, Field(ge=0)] | None = None
    """Sum of pods and oomKills."""
    pods: Annotated[int, Field(ge=0)] | None = None
    """Pods that the operator replaced before they reached their limit."""
    replaced_at: Annotated[datetime, Field(json_schema_extra={"format": "date-time"})] | None = None
    """Time of the last replacement."""
    replaced_uids: Annotated[list[Annotated[str, StringConstraints(max_length=64)]], Field(max_length=MAX_REPLACED)] = (
        Field(default=[], alias="replacedUIDs")
    )
    """UIDs of the pods that were replaced last. They ensure that a pod counts once."""
    oom_kills: Annotated[int, Field(ge=0)] | None = None
    """Containers that the kernel killed at their memory limit. Kills within 30 seconds count as one."""
    oom_killed_at: Annotated[datetime, Field(json_schema_extra={"format": "date-time"})] | None = None
    """Time of the last kill."""
    last_time: Annotated[datetime, Field(json_schema_extra={"format": "date-time"})] | None = None
    """Time of the last kill or replacement."""
    last_reason: Literal["OOMKilled", "PodReplaced"] | None = None
    """OOMKilled: the kernel killed a container at its limit. PodReplaced: the operator replaced a pod before that."""
    last_pod: DnsSubdomain | None = None
    """Name of the pod that was killed or replaced last."""


class BurstStatus(SpecModel):
    """The current burst."""

    model_config = ConfigDict(strict=False)

    replicas: Annotated[int, Field(ge=1)]
    """Minimum number of pods during the burst."""
    until: Annotated[datetime, Field(json_schema_extra={"format": "date-time"})]
    """End of the burst."""


class ChildError(SpecModel):
    """A child that cannot be read or written."""

    model_config = ConfigDict(strict=False)

    kind: Annotated[str, StringConstraints(max_length=63)]
    """Kind of the child."""
    name: DnsSubdomain
    """Name of the child."""
    reason: Annotated[str, StringConstraints(max_length=1024)]
    """Reason, as that of a condition."""
    message: Annotated[str, StringConstraints(max_length=MAX_MESSAGE)]
    """Answer of the API server, or what the operator found."""
    since: Annotated[datetime, Field(json_schema_extra={"format": "date-time"})]
    """Time since which the child could not be brought to its desired state."""


class Unsupported(SpecModel):
    """A field that does not take full effect in this cluster."""

    field: Annotated[str, StringConstraints(max_length=256)]
    """Path of the field."""
    reason: Annotated[str, StringConstraints(max_length=MAX_MESSAGE)]
    """What does not work, and what to do about it."""


class HighConcurrencyApiStatus(SpecModel):
    """Status of the object."""

    observed_generation: int | None = None
    """metadata.generation that this status describes."""
    conditions: Annotated[list[Condition], ListMap("type"), Field(max_length=16)] = []  # noqa: RUF012 - frozen model
    """Conditions of the API, such as Ready and Available."""
    replicas: int | None = None
    """Pods that exist."""
    ready_replicas: int | None = None
    """Pods that are ready."""
    desired_replicas: int | None = None
    """Number of pods that the HorizontalPodAutoscaler or spec.replicas asks for."""
    workers_per_pod: int | None = None
    """Worker processes that each pod is asked to run, by the variables of workers.server. How many it does run is not \
observed: a program that does not read them runs as many as it likes."""
    selector: Annotated[str, StringConstraints(max_length=512)] | None = None
    """Label selector of the pods, for the scale subresource."""
    url: Annotated[str, StringConstraints(max_length=2048)] | None = None
    """URL of the API."""
    revision: Annotated[str, StringConstraints(max_length=64)] | None = None
    """Revision of the Deployment."""
    memory_restarts: MemoryRestarts | None = None
    """Pods and containers that ended because of their memory. Absent: none did."""
    restart_schedule: CountedSchedule | None = None
    """Progress of spec.restartSchedule."""
    burst: BurstStatus | None = None
    """The current burst. Absent: there is none."""
    child_errors: Annotated[list[ChildError], ListMap("kind"), Field(max_length=16)] = []  # noqa: RUF012 - frozen model
    """Children that cannot be read or written. Everything else is carried out."""
    unsupported: Annotated[list[Unsupported], ListMap("field"), Field(max_length=16)] = []  # noqa: RUF012 - frozen model
    """Fields that do not take full effect in this cluster."""
