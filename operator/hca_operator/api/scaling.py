"""The parts of the object that say how many pods there are."""

from typing import Annotated, Literal

from pydantic import Field

from hca_operator.api.cron import Cron, TimeZone
from hca_operator.api.metrics import DISTINCT, TOTALS, Metric, Utilization
from hca_operator.api.schema import ListMap, Rule, SpecModel
from hca_operator.api.types import BurstDuration, DnsLabel, GraceDuration, OutageDuration, ScheduleDuration, Tolerance

MAX_REPLICAS = 1000
LONGEST_STABILIZATION = 3600
"""Seconds, as in autoscaling/v2."""


class ScalingPolicy(SpecModel):
    """A limit on the change within a period (autoscaling/v2)."""

    type: Literal["Pods", "Percent"]
    """Pods: value is a number of pods. Percent: value is a percentage of the current number."""
    value: Annotated[int, Field(ge=1, le=100000)]
    """Maximum change within the period."""
    period_seconds: Annotated[int, Field(ge=1, le=1800)]
    """Length of the period, in seconds."""


class ScalingRules(SpecModel):
    """How fast the count may change in one direction (autoscaling/v2)."""

    stabilization_window_seconds: Annotated[int, Field(ge=0, le=LONGEST_STABILIZATION)] | None = None
    """Seconds of past recommendations that are considered. Scaling up uses the lowest, scaling down the highest. \
Default: that of Kubernetes; for scaling up with a metric of type CPU, health.startupTimeout and 60 seconds more."""
    select_policy: Literal["Max", "Min", "Disabled"] | None = None
    """Max: the policy that allows the largest change. Min: the smallest. Disabled: no scaling in this direction."""
    policies: Annotated[list[ScalingPolicy], Field(min_length=1, max_length=8)] | None = None
    """Limits on the speed of change."""
    tolerance: Tolerance | None = None
    """Deviation from the target that does not change the number of pods in this direction, such as "0.05" for 5 %. \
Default: the one of the cluster, usually 10 %."""


class Behavior(SpecModel):
    """How fast the count may change (autoscaling/v2)."""

    scale_up: ScalingRules | None = None
    """Rules for adding pods."""
    scale_down: ScalingRules | None = None
    """Rules for removing pods."""


class FloorSchedule(SpecModel):
    """Pods at least, at certain hours."""

    name: DnsLabel
    """Name of the schedule, unique in the list."""
    cron: Cron
    """Start of the schedule as minute, hour, day of month, month and day of week, such as 45 7 * * 1-5."""
    time_zone: TimeZone = "UTC"
    """IANA time zone of cron, such as Europe/Berlin."""
    duration: ScheduleDuration
    """How long the schedule stays active. If several are active, the highest minReplicas applies."""
    min_replicas: Annotated[int, Field(ge=1, le=MAX_REPLICAS)]
    """Minimum number of pods while active. Lower values than autoscaling.minReplicas have no effect."""


class Fallback(SpecModel):
    """Minimum number of pods while the HorizontalPodAutoscaler has no metrics."""

    replicas: Annotated[int, Field(ge=1, le=MAX_REPLICAS)]
    """Minimum number of pods while active. Lower values than autoscaling.minReplicas have no effect."""
    after: OutageDuration = "60s"
    """Time without metrics after which the fallback starts, and time with metrics after which it ends."""


class Burst(SpecModel):
    """More pods immediately when the load jumps."""

    mode: Literal["Disabled", "Enabled"] = "Disabled"
    """Enabled: a jump of RequestsPerSecond or Concurrency adds pods immediately, without waiting for the \
HorizontalPodAutoscaler. Disabled: only the HorizontalPodAutoscaler adds pods. hold: ScaleUp prevents bursts."""
    threshold_percent: Annotated[int, Field(ge=110, le=1000)] = 200
    """A load that needs at least this percentage of the current number of pods is a jump."""
    window: BurstDuration = "60s"
    """Time after a jump during which the HorizontalPodAutoscaler cannot remove the pods that the burst added."""


class Autoscaling(SpecModel):
    """Lets the number of pods follow the load."""

    mode: Literal["Horizontal", "Disabled"] = "Horizontal"
    """Horizontal: a HorizontalPodAutoscaler sets the number of pods. Disabled: spec.replicas sets it."""
    min_replicas: Annotated[int, Field(ge=1, le=MAX_REPLICAS)] = 2
    """Minimum number of pods."""
    max_replicas: Annotated[int, Field(ge=1, le=MAX_REPLICAS)] = 10
    """Maximum number of pods."""
    metrics: Annotated[list[Metric], ListMap("name"), Field(min_length=1, max_length=8)] = [  # noqa: RUF012 - frozen model
        Metric(name="cpu", type="CPU", cpu=Utilization())
    ]
    """Metrics that set the number of pods. The metric that needs the most pods wins."""
    behavior: Behavior = Behavior()
    """Speed of scaling, as in autoscaling/v2. Default: that of Kubernetes; slower upwards for metrics that show load \
late or rise while pods start (docs/autoscaling.md)."""
    schedules: Annotated[list[FloorSchedule], ListMap("name"), Field(max_length=8)] = []  # noqa: RUF012 - frozen model
    """Scheduled minimums, so that pods are ready before the load arrives."""
    fallback: Fallback | None = None
    """Minimum number of pods while the HorizontalPodAutoscaler has no metrics. Default: the number stays as it is."""
    burst: Burst = Burst()
    """Adds pods immediately when the load jumps."""
    hold: Literal["None", "ScaleUp", "ScaleDown", "Both"] = "None"
    """Stops scaling for now, for example during an incident. None: scaling works. ScaleUp: no pods are added. \
ScaleDown: no pods are removed. Both: the number stays. minReplicas and maxReplicas still apply."""

    rules = (
        Rule(
            cel="self.minReplicas <= self.maxReplicas",
            message="minReplicas must not be greater than maxReplicas",
            check=lambda a: a.min_replicas <= a.max_replicas,
            field_path=".minReplicas",
        ),
        Rule(
            cel="!has(self.schedules) || self.schedules.all(s, s.minReplicas <= self.maxReplicas)",
            message="minReplicas of a schedule must not be greater than autoscaling.maxReplicas",
            check=lambda a: all(schedule.min_replicas <= a.max_replicas for schedule in a.schedules),
            field_path=".schedules",
        ),
        Rule(
            cel="!has(self.fallback) || self.fallback.replicas <= self.maxReplicas",
            message="fallback.replicas must not be greater than autoscaling.maxReplicas",
            check=lambda a: a.fallback is None or a.fallback.replicas <= a.max_replicas,
            field_path=".fallback.replicas",
        ),
        Rule(
            cel="!has(self.burst) || self.burst.mode == 'Disabled' || has(self.metrics) && "
            f"self.metrics.exists(m, m.type in {sorted(TOTALS)})",
            message="burst needs a metric of type RequestsPerSecond or Concurrency, which shows how many pods the load "
            "needs: add one to autoscaling.metrics, or set burst.mode: Disabled",
            check=lambda a: a.burst.mode == "Disabled" or any(metric.type in TOTALS for metric in a.metrics),
            field_path=".burst",
        ),
        DISTINCT,
    )


class Availability(SpecModel):
    """What may be missing at a time, and how pods end."""

    max_unavailable: Annotated[int, Field(ge=1, le=MAX_REPLICAS)] = 1
    """Maximum number of pods that a node drain may evict at the same time."""
    spread: Literal["Preferred", "Required", "None"] = "Preferred"
    """How pods spread over nodes and zones. Preferred: if possible. Required: a pod that cannot be spread stays \
pending; nodes whose taints keep the pods away do not count. None: pods are not spread."""
    termination_grace_period: GraceDuration = "60s"
    """Time that a terminating pod has to leave the load balancer and finish its requests before it is killed."""
