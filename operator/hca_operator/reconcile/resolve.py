"""First step: what an object means in this install: its children, its policies, or why it is refused. Pure.

`render` prints the children of exactly this result.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from hca_operator.api.fleet_policy import FleetPolicy, apply
from hca_operator.api.promql import queries
from hca_operator.api.spec import ApiObject, parse_object
from hca_operator.api.status import Problem, Reason, Unsupported
from hca_operator.core.cron import Schedule
from hca_operator.core.errors import LimitExceeded, SpecError
from hca_operator.desired.children import Child, desired_children
from hca_operator.desired.references import CONFIG_MAP
from hca_operator.desired.sizing import Sizing, size
from hca_operator.restarts.config_changes import unsupported_secrets
from hca_operator.restarts.memory_trend import MemoryPolicy, memory_policy
from hca_operator.restarts.requested import restart_schedule
from hca_operator.scaling.burst import BurstPolicy, burst_policy
from hca_operator.scaling.capabilities import ExternalMetrics
from hca_operator.scaling.schedules import ScheduledFloor, scheduled_floors


@dataclass(frozen=True)
class Capabilities:
    """What this install can do. The defaults are those of the chart."""

    external_metrics: ExternalMetrics = field(default_factory=ExternalMetrics)
    config_kinds: frozenset[str] = frozenset({CONFIG_MAP})
    """Kinds whose changes restart pods: ConfigMap, and Secret if the operator may read them."""


DEFAULT_CAPABILITIES = Capabilities()


@dataclass(frozen=True)
class Resolved:
    """An object that can be carried out, with everything that follows from it alone."""

    api: ApiObject
    """With the defaults of the fleet policy."""
    sizing: Sizing
    children: Sequence[Child]
    """The desired children, before any floor, restart or configuration change."""
    schedule: Schedule | None
    """Times of spec.restartSchedule."""
    scheduled_floors: Sequence[ScheduledFloor]
    memory: MemoryPolicy | None
    """When a pod is replaced on memory; None: never."""
    burst: BurstPolicy | None
    """When a jump of the load raises the count; None: never."""
    unsupported: Sequence[Unsupported] = ()
    """Fields that this install does not apply in full."""

    @property
    def active(self) -> bool:
        """Whether children may be written: spec.reconciliation is not Paused."""
        return self.api.spec.reconciliation == "Active"


@dataclass(frozen=True)
class Refused:
    """An object that cannot be carried out. Its children stay as they are."""

    problem: Problem
    api: ApiObject | None = None
    """None if the spec cannot be parsed, or goes beyond a limit of the fleet policy."""
    sizing: Sizing | None = None
    """None if it could not be computed."""
    unsupported: Sequence[Unsupported] = ()


def resolve(
    manifest: dict[str, Any],
    policy: FleetPolicy,
    capabilities: Capabilities,
    *,
    unknown_fields: Literal["ignore", "forbid"] = "ignore",
) -> Resolved | Refused:
    """The stored object with everything that follows from it, or why it is refused."""
    api: ApiObject | None = None
    sizing: Sizing | None = None
    unsupported: Sequence[Unsupported] = ()
    try:
        api = apply(policy, parse_object(manifest, unknown_fields=unknown_fields))
        unsupported = [
            *unsupported_secrets(api, capabilities.config_kinds),
            *capabilities.external_metrics.unsupported(api),
        ]
        sizing = size(api.spec)
        schedule = restart_schedule(api.spec)
        floors = scheduled_floors(api.spec)
        supported = capabilities.external_metrics.supported(api)
        queries(supported.spec, api.namespace)  # raises SpecError for queries that may not be asked
    except LimitExceeded as error:
        return Refused(Problem(Reason.LIMIT_EXCEEDED, str(error)), api, sizing, unsupported)
    except SpecError as error:
        return Refused(Problem(Reason.INVALID_SPEC, str(error)), api, sizing, unsupported)
    return Resolved(
        api=api,
        sizing=sizing,
        children=desired_children(supported, sizing, isolated=policy.network_policy.enabled),
        schedule=schedule,
        scheduled_floors=floors,
        memory=memory_policy(api.spec, sizing),
        burst=burst_policy(supported, sizing),
        unsupported=unsupported,
    )
