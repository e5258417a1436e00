"""The parts of the object that say how many pods there are."""

from typing import Annotated, Literal

from pydantic import Field

from hca_operator.api.cron import Cron, TimeZone
from hca_operator.api.metrics import DISTINCT, TOTALS, Metric, Utilization
from hca_operator.api.schema import ListMap, Rule, SpecModel
from hca_operator.api.types import BurstDuration, DnsLabel, GraceDuration, OutageDuration, ScheduleDuration, Tolerance

MAX_REPLICAS = 1000


class ScalingPolicy(SpecModel):
    """A limit on the change within a period (autoscaling/v2)."""

    type: Literal["Pods", "Percent"]
    """Unit of value."""
    value: Annotated[int, Field(ge=1, le=100000)]
    """How much the count may change within the period."""
    period_seconds: Annotated[int, Field(ge=1, le=1800)]
    """Length of the period."""


class ScalingRules(SpecModel):
    """How fast the count may change in one direction (autoscaling/v2)."""

    stabilization_window_seconds: Annotated[int, Field(ge=0, le=3600)] | None = None
    """How far back recommendations are looked at; the most careful of them wins."""
    select_policy: Literal["Max", "Min", "Disabled"] | None = None
    """Which policy decides; Disabled forbids this direction."""
    policies: Annotated[list[ScalingPolicy], Field(min_length=1, max_length=8)] | None = None
    """The limits."""
    tolerance: Tolerance | None = None
    """How far the load may be off in this direction before the count changes, such as "0.05" for 5 %. Absent: that of \
the cluster, 10 % as a rule."""


class Behavior(SpecModel):
    """How fast the count may change (autoscaling/v2)."""

    scale_up: ScalingRules | None = None
    """Rules for more pods."""
    scale_down: ScalingRules | None = None
    """Rules for fewer pods."""


class FloorSchedule(SpecModel):
    """Pods at least, at certain hours."""

    name: DnsLabel
    """Name of the schedule, unique in the list."""
    cron: Cron
    """When it begins: minute, hour, day of the month, month and day of the week, such as 45 7 * * 1-5."""
    time_zone: TimeZone = "UTC"
    """Name of the time zone in which cron is read, such as Europe/Berlin."""
    duration: ScheduleDuration
    """How long it lasts. Where two overlap, the greater minReplicas holds."""
    min_replicas: Annotated[int, Field(ge=1, le=MAX_REPLICAS)]
    """Pods at least while it lasts, where that is more than autoscaling.minReplicas."""


class Fallback(SpecModel):
    """Pods at least while the autoscaler is blind."""

    replicas: Annotated[int, Field(ge=1, le=MAX_REPLICAS)]
    """Pods at least while it lasts, where that is more than autoscaling.minReplicas."""
    after: OutageDuration = "60s"
    """How long the autoscaler must have been without its metrics for it to begin, and with them again for it to end."""


class Burst(SpecModel):
    """More pods at once when the load jumps."""

    mode: Literal["Disabled", "Enabled"] = "Disabled"
    """Enabled: a jump of RequestsPerSecond or Concurrency raises the count without waiting for the autoscaler. \
hold: ScaleUp forbids it."""
    threshold_percent: Annotated[int, Field(ge=110, le=1000)] = 200
    """What is a jump: a load that needs this share, in percent, of the pods that there should be now."""
    window: BurstDuration = "60s"
    """How long the autoscaler may not go below what the jump needed; from then on it decides alone."""


class Autoscaling(SpecModel):
    """Lets the number of pods follow the load."""

    mode: Literal["Horizontal", "Disabled"] = "Horizontal"
    """Horizontal: a HorizontalPodAutoscaler decides the count. Disabled: spec.replicas does."""
    min_replicas: Annotated[int, Field(ge=1, le=MAX_REPLICAS)] = 2
    """Pods at least."""
    max_replicas: Annotated[int, Field(ge=1, le=MAX_REPLICAS)] = 10
    """Pods at most."""
    metrics: Annotated[list[Metric], ListMap("name"), Field(min_length=1, max_length=8)] = [  # noqa: RUF012 - frozen model
        Metric(name="cpu", type="CPU", cpu=Utilization(target_utilization_percent=70))
    ]
    """What decides the count; the metric that asks for the most pods wins."""
    behavior: Behavior = Behavior()
    """How fast the count may change. Absent parts: Kubernetes' own defaults."""
    schedules: Annotated[list[FloorSchedule], ListMap("name"), Field(max_length=8)] = []  # noqa: RUF012 - frozen model
    """Hours at which there are more pods at least, ready before the load comes."""
    fallback: Fallback | None = None
    """More pods while the autoscaler cannot get its metrics. Absent: the count stays as it was."""
    burst: Burst = Burst()
    """More pods at once when the load jumps, instead of at the autoscaler's next looks."""
    hold: Literal["None", "ScaleUp", "ScaleDown", "Both"] = "None"
    """Directions in which the count stays for now, as in an incident or a sale; minReplicas and maxReplicas hold on."""

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
            message="burst needs a metric of type RequestsPerSecond or Concurrency, which tells how many pods the load "
            "needs: add one to autoscaling.metrics, or set burst.mode: Disabled",
            check=lambda a: a.burst.mode == "Disabled" or any(metric.type in TOTALS for metric in a.metrics),
            field_path=".burst",
        ),
        DISTINCT,
    )


class Availability(SpecModel):
    """What may be missing at a time, and how pods end."""

    max_unavailable: Annotated[int, Field(ge=1, le=MAX_REPLICAS)] = 1
    """Pods that a node drain may take away at a time."""
    spread: Literal["Preferred", "Required", "None"] = "Preferred"
    """Whether pods are spread over nodes and zones where possible, by all means, or not at all."""
    termination_grace_period: GraceDuration = "60s"
    """Time that a pod has to leave the balancer and finish its requests before it is killed."""
