"""The signals that decide how many pods there are, distinguished by type."""

import re
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field, StringConstraints
from pydantic.alias_generators import to_camel

from hca_operator.api.metric_types import METRIC_TYPES
from hca_operator.api.schema import IntOrString, Rule, SpecModel
from hca_operator.api.types import DnsLabel, quantity_rule

Percent = Annotated[int, Field(ge=1, le=1000)]

_TARGET_TIME = "[0-9]{1,5}(ms|s)"
_LONGEST = 60_000


def milliseconds(text: str) -> int:
    """Milliseconds of a target such as `250ms` or `2s`. Raises ValueError for anything else."""
    if not re.fullmatch(_TARGET_TIME, text):
        raise ValueError(f"{text!r} is not a duration such as 250ms or 2s")
    return int(text[:-2]) if text.endswith("ms") else int(text[:-1]) * 1000


def seconds(target: str) -> Decimal:
    """A target time as a quantity of the HorizontalPodAutoscaler, in seconds."""
    return Decimal(milliseconds(target)) / 1000


def _is_target_time(text: str) -> bool:
    try:
        return 1 <= milliseconds(text) <= _LONGEST
    except ValueError:
        return False


TargetTime = Annotated[
    str,
    StringConstraints(max_length=7),
    Rule(
        # All in one rule: a pattern of the schema would answer with a regular expression.
        cel=f"self.matches('^{_TARGET_TIME}$') && "
        f"duration(self) >= duration('1ms') && duration(self) <= duration('{_LONGEST}ms')",
        message="must be a number with the unit ms or s, from 1ms to 60s, such as 250ms or 2s",
        check=_is_target_time,
    ),
]
Rate = Annotated[
    str,
    IntOrString(max_length=20),
    quantity_rule(
        "1m",
        "1M",
        "must be requests in a second, greater than 0 and at most 1M, such as 50 or 500m (a half)",
    ),
]


Amount = Annotated[
    str,
    IntOrString(max_length=20),
    quantity_rule("1m", "1G", "must be a number greater than 0 and at most 1G, such as 100 or 500m (a half)"),
]


class Utilization(SpecModel):
    """A share of what the pods request."""

    target_utilization_percent: Percent = 70
    """Target utilization: average over all pods, in percent of their request."""


class RequestRate(SpecModel):
    """Requests that come in."""

    target_per_pod: Rate
    """Target number of requests per second and pod, such as 50."""


DEFAULT_PERCENTILE = 95


class Latency(SpecModel):
    """Time that requests take."""

    percentile: Annotated[int, Field(ge=1, le=99)] = DEFAULT_PERCENTILE
    """Percentile of the response times that is compared with target, such as 95."""
    target: TargetTime
    """Target response time, such as 250ms."""


class Concurrency(SpecModel):
    """Requests in flight."""

    target_per_worker: Annotated[int, Field(ge=1, le=10000)]
    """Target number of requests in flight per worker process, such as 20."""


class EventLoopLag(SpecModel):
    """How late the event loops come to their work."""

    target: TargetTime
    """Target lag, such as 50ms. Of each pod the worker with the highest lag counts; pods are averaged."""


class PrometheusQuery(SpecModel):
    """What a query of your own comes to."""

    query: Annotated[str, StringConstraints(min_length=1, max_length=1024)]
    """PromQL query with one number for the whole API as its result, such as sum(queue_length). Every selector is \
restricted to the namespace of this object."""
    target_per_pod: Amount
    """Target amount per pod, such as 100."""


MEMBERS = {metric.name: metric.member for metric in METRIC_TYPES}
"""The member of a metric that each type names."""
FROM_PODS = frozenset(metric.name for metric in METRIC_TYPES if metric.from_pods)
"""Types that are read from the endpoint in spec.monitoring, and served through the external metrics API."""
EXTERNAL = frozenset(metric.name for metric in METRIC_TYPES if metric.external)
"""All types that are served through the external metrics API."""
TOTALS = frozenset(metric.name for metric in METRIC_TYPES if metric.is_total)
"""Types whose value is a total load, from which the number of pods follows, whatever the present number is."""


class Metric(SpecModel):
    """One signal that decides the number of pods."""

    name: DnsLabel
    """Name of the metric, unique in the list."""
    type: Literal["CPU", "Memory", "RequestsPerSecond", "Latency", "Concurrency", "EventLoopLag", "Prometheus"]
    """What is measured. CPU: use of requests.cpu. Memory: use of requests.memory; it rarely falls in a running \
process, so it rarely scales down. RequestsPerSecond: arriving requests. Latency: response time. Concurrency: requests \
in flight. EventLoopLag: delay of the event loop. spec.monitoring is the source of these four. Prometheus: your own \
query, if the platform team allows it."""
    cpu: Utilization | None = None
    """Target of type CPU."""
    memory: Utilization | None = None
    """Target of type Memory."""
    requests_per_second: RequestRate | None = None
    """Target of type RequestsPerSecond."""
    latency: Latency | None = None
    """Target of type Latency."""
    concurrency: Concurrency | None = None
    """Target of type Concurrency."""
    event_loop_lag: EventLoopLag | None = None
    """Target of type EventLoopLag."""
    prometheus: PrometheusQuery | None = None
    """Target of type Prometheus."""

    rules = (
        Rule(
            cel=" && ".join(
                f"(self.type == '{kind}') == has(self.{to_camel(member)})" for kind, member in MEMBERS.items()
            ),
            message="must have exactly the member that type names: "
            + ", ".join(f"{to_camel(member)} for {kind}" for kind, member in MEMBERS.items()),
            check=lambda m: all(
                (m.type == kind) == (getattr(m, member) is not None) for kind, member in MEMBERS.items()
            ),
        ),
    )

    @property
    def measured(self) -> tuple[str, int, str]:
        """What is measured: the HorizontalPodAutoscaler accepts no two metrics that measure the same."""
        return self.type, self.latency.percentile if self.latency else 0, self.name if self.prometheus else ""


DISTINCT = Rule(
    cel="!has(self.metrics) || self.metrics.all(a, self.metrics.exists_one(b, a.type == b.type && "
    f"a.?latency.?percentile.orValue({DEFAULT_PERCENTILE}) == b.?latency.?percentile.orValue({DEFAULT_PERCENTILE}) && "
    "(a.type != 'Prometheus' || a.name == b.name)))",
    message="metrics must not measure the same twice: one of each type, and of type Latency one of each percentile",
    check=lambda a: len({metric.measured for metric in a.metrics}) == len(a.metrics),
    field_path=".metrics",
)
"""For what has a list of metrics."""
