"""One pass over one object: resolve, observe, plan, act, report (docs/design/0018)."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from hca_operator.api.fleet_policy import FleetPolicy
from hca_operator.api.metric_types import PROMETHEUS
from hca_operator.core.names import KIND, Manifest
from hca_operator.core.observed import condition
from hca_operator.core.ports import Cluster, Configs, Key, WorkerMemoryReader
from hca_operator.reconcile.act import Actor
from hca_operator.reconcile.observe import Observer
from hca_operator.reconcile.observed_state import Observed
from hca_operator.reconcile.plan import plan, plan_pods
from hca_operator.reconcile.report import PassResult, Report, report
from hca_operator.reconcile.resolve import Capabilities, Refused, Resolved, resolve
from hca_operator.reconcile.trackers import Trackers
from hca_operator.scaling.capabilities import ExternalMetrics
from hca_operator.status.entries import internal_error_status
from hca_operator.status.events import events_of

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """The result of one pass."""

    requeue_after: float | None = None
    """Seconds until the next pass; None if only a watch event starts it."""
    writes: tuple[str, ...] = ()
    """What was written."""
    status: Manifest | None = None
    """The object's status now; None: the object is gone."""
    memory_restarts: Mapping[str, int] = field(default_factory=dict)
    """Restarts on memory that this pass counted, by reason."""


class Reconciler:
    """Reconciles one object at a time: makes its children as its spec asks, and stores its status."""

    def __init__(  # noqa: PLR0913 - everything that a pass needs from outside
        self,
        cluster: Cluster,
        policy: FleetPolicy,
        *,
        external: ExternalMetrics,
        configs: Mapping[str, Configs],
        worker_memory: WorkerMemoryReader,
        trackers: Trackers,
        identity: str,
        now: Callable[[], datetime],
    ) -> None:
        """`configs`: by kind, the ConfigMaps and Secrets whose changes restart pods. `identity`: names the process."""
        self._policy = policy
        self._capabilities = Capabilities(external, frozenset(configs))
        self._observer = Observer(cluster, configs, worker_memory, trackers)
        self._actor = Actor(cluster, self._observer, trackers)
        self._identity = identity
        self._now = now

    async def reconcile(self, key: Key) -> Outcome:
        """One pass.

        The status follows from the answers to the writes, so pods are observed after their Deployment is written.
        Raises Transient if the pass is to be repeated. Every other error is reported in a condition, and so is a
        Transient one from its third time on.
        """
        manifest = await self._observer.read(KIND, key)
        if manifest is None or "deletionTimestamp" in manifest["metadata"]:
            self._actor.forget(key)
            return Outcome()
        resolved = await self._resolve(manifest)
        observed = await self._observer.children(manifest, resolved, self._now())
        planned = plan(resolved, observed)
        done = await self._actor.write(resolved, observed, planned)
        if done.repeat is not None:
            raise done.repeat
        pods = await self._observer.pods(resolved, observed, done.live, rolls=done.rolls)
        pods_plan = plan_pods(resolved, observed, pods, put_off=done.put_off_seconds is not None)
        pods_done = await self._actor.replace(observed, pods, pods_plan)
        if pods_done.repeat is not None:
            raise pods_done.repeat
        reported = report(PassResult(resolved, observed, planned, done, pods, pods_done))
        return await self._finish(observed, reported, [*done.writes, *pods_done.writes])

    async def report_internal_error(self, key: Key, error: BaseException) -> Manifest | None:
        """Store a status that reports an unexpected error. Returns the status; None if the object was deleted."""
        manifest = await self._observer.read(KIND, key)
        if manifest is None:
            return None
        observed = Observed(manifest, self._now(), {})
        status = internal_error_status(observed.status, manifest["metadata"]["generation"], error, observed.now)
        if status != observed.status:
            events = events_of(manifest, status, observed.now, self._identity)
            await self._actor.store_status(observed, status, events)
        return status

    async def _resolve(self, manifest: Manifest) -> Resolved | Refused:
        """`resolve`; in a thread if the object has PromQL queries, whose first parsing takes milliseconds."""
        if _has_queries(manifest):
            return await asyncio.to_thread(resolve, manifest, self._policy, self._capabilities)
        return resolve(manifest, self._policy, self._capabilities)

    async def _finish(self, observed: Observed, reported: Report, writes: list[str]) -> Outcome:
        """Store the status if it differs, with the Events about what has changed in it."""
        status = reported.status
        if status != observed.manifest.get("status"):
            events = events_of(observed.manifest, status, observed.now, self._identity)
            await self._actor.store_status(observed, status, events)
            writes = [*writes, "status"]
        self._actor.keep_polled(observed.key, polled=reported.polled)
        if writes:
            ready = condition({"status": status}, "Ready")
            logger.info(
                "reconciled",
                extra={
                    "object": str(observed.key),
                    "generation": status["observedGeneration"],
                    "writes": writes,
                    "ready": ready["status"],
                    "reason": ready["reason"],
                },
            )
        return Outcome(reported.requeue_after_seconds, tuple(writes), status, reported.memory_restarts)


def _has_queries(manifest: Manifest) -> bool:
    """Whether a stored object, which may be older than a rule of the schema, has metrics of type Prometheus."""
    match manifest:
        case {"spec": {"autoscaling": {"metrics": [*metrics]}}}:
            return any(isinstance(metric, Mapping) and metric.get("type") == PROMETHEUS.name for metric in metrics)
    return False
