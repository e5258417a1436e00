"""The composition root of the operator: everything is put together here, and nowhere else."""

import asyncio
import logging
import math
import random
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from hca_operator.api.fleet_policy import NO_POLICY, FleetPolicy
from hca_operator.controller.capability_poller import CapabilityPoller
from hca_operator.controller.kopf_events import KopfEvents
from hca_operator.controller.load_poller import LoadPoller
from hca_operator.controller.memory_poller import MemoryPoller
from hca_operator.controller.metrics import OperatorMetrics
from hca_operator.controller.resync import Resync
from hca_operator.controller.second_install import held_back, report_second_install
from hca_operator.controller.work_queue import WorkQueue
from hca_operator.controller.worker import Worker
from hca_operator.controller.worker_memory import resident_bytes
from hca_operator.core.errors import Transient
from hca_operator.core.names import Manifest
from hca_operator.core.ports import Key
from hca_operator.desired.children import CHILD_KINDS
from hca_operator.desired.references import CONFIG_MAP, SECRET
from hca_operator.kube.cache import ManifestCache
from hca_operator.kube.cached_client import CachedClient
from hca_operator.kube.child_informer import ChildInformer
from hca_operator.kube.client import KubeClient
from hca_operator.kube.config_digests import ConfigInformer
from hca_operator.kube.faults import endless
from hca_operator.kube.informer import EndlessBackoff, Informer
from hca_operator.kube.leader_election import Candidate, Leader
from hca_operator.kube.object_cache import ObjectCache
from hca_operator.kube.version import refuse_older
from hca_operator.reconcile.reconciler import Reconciler
from hca_operator.reconcile.trackers import Trackers
from hca_operator.restarts.debounce import DebounceTracker
from hca_operator.restarts.memory_trend import MemoryTracker
from hca_operator.restarts.rollout_gate import RolloutGate
from hca_operator.scaling.burst import BurstTracker
from hca_operator.scaling.capabilities import OFF, ONE_NAMESPACE, ExternalMetrics, ServiceName
from hca_operator.telemetry.probes import serve

logger = logging.getLogger(__name__)

FIRST_LISTS_SECONDS = 10.0
"""For how long the first reconciles wait until all children are listed. A child that is not cached is read."""
SHARE_OF_A_NAMESPACE = 0.75
"""Of the reconciles at a time, for one namespace at most. All share one event loop, so more make them no faster."""
VERSION_RETRY_SECONDS = 5.0
"""Between two tries to read the version of Kubernetes."""


@dataclass(frozen=True)
class Settings:
    """How the process runs."""

    candidate: Candidate
    policy: FleetPolicy = NO_POLICY
    port: int = 8080
    parallel_reconciles: int = 8
    unasked_rollouts: int = 3
    """How many APIs may roll at a time because the operator changed, not the objects; 0: none."""
    watch_secrets: bool = False
    """Whether Secrets may be read, so that their changes restart pods as those of ConfigMaps do."""
    external_metrics: str | None = None
    """Service with which this install serves the external metrics API, None if it serves none."""
    reads_ingress: bool = False
    """Whether that Service reads metrics of the ingress, too."""
    custom_queries: bool = False
    """Whether that Service sends the queries of objects to Prometheus."""


def _now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - the one clock; everything else is given it


def _jitter() -> float:
    return random.uniform(0.8, 1.2)  # noqa: S311 - spreads load, keeps no secret


class Operator:
    """The running operator: informers, pollers, queue, workers and probes."""

    def __init__(self, kube: KubeClient, metrics: OperatorMetrics, settings: Settings) -> None:
        self._kube = kube
        self._metrics = metrics
        self._settings = settings
        candidate = settings.candidate
        namespace = candidate.namespace if candidate.namespaced else ""
        self._queue: WorkQueue[Key] = WorkQueue(
            jitter=_jitter,
            tenant_of=lambda key: key.namespace,
            most_of_a_tenant=math.ceil(SHARE_OF_A_NAMESPACE * settings.parallel_reconciles),
        )
        self._leader = Leader(kube, candidate, now=_now)
        self._events = KopfEvents(kube, namespace, jitter=_jitter)
        memory, bursts = MemoryTracker(), BurstTracker()
        self._memory = MemoryPoller(kube, memory, namespace, observe_trends=metrics.observe_trends)
        self._loads = LoadPoller(kube, bursts, _now)
        external = ExternalMetrics(
            _without_external_metrics(settings),
            reads_ingress=settings.reads_ingress,
            queries=settings.custom_queries,
        )
        served = settings.external_metrics if external.missing is None else None
        self._capabilities = (
            CapabilityPoller(kube, external, ServiceName(candidate.namespace, served)) if served else None
        )
        children, self._objects = ManifestCache(), ObjectCache()
        self._children = {
            kind: ChildInformer(kube, children, kind, namespace, changed=self._queue.add_coalesced)
            for kind in CHILD_KINDS
        }
        configs = {
            kind: ConfigInformer(kube, kind, namespace, changed=self._queue.add)
            for kind in (CONFIG_MAP, *((SECRET,) if settings.watch_secrets else ()))
        }
        self._informers: dict[str, Informer] = {**self._children, **configs}
        trackers = Trackers(
            gate=RolloutGate(settings.unasked_rollouts, on_free=self._queue.add),
            memory=memory,
            bursts=bursts,
            config_changes=DebounceTracker(random.random),
        )
        reconciler = Reconciler(
            CachedClient(kube.fenced(self._leader.remaining), children, self._objects),
            settings.policy,
            external=external,
            configs=configs,
            worker_memory=resident_bytes,
            trackers=trackers,
            identity=candidate.identity,
            now=_now,
        )
        self._worker = Worker(reconciler, self._leader, metrics, memory_read=self._memory.tried.wait)
        self._resync = Resync(
            kube, namespace, self._queue, self._objects, self._informers,
            resume_replacements=trackers.replacements.found, jitter=_jitter,
        )  # fmt: skip
        self._tasks: list[asyncio.Task[None]] = []
        metrics.watch_queue(self._queue.depth, lambda: self._queue.adds, lambda: self._queue.retries)
        metrics.watch_leader(lambda: self._leader.remaining() > 0)
        metrics.watch_children(lambda: len(children))

    async def run(self) -> None:
        """Run until SIGTERM or SIGINT. Reconciles under way are dropped: the next start queues every object.

        Raises HcaError if the watch of the objects broke off: a new process is the surest way to go on.
        """
        for name, work in self._work().items():
            self._tasks.append(asyncio.create_task(endless(name, work), name=name))
        server = await serve(
            self._metrics.registry, port=self._settings.port, alive=self._not_alive, ready=self._not_ready
        )
        try:
            await self._events.run(self._queue, self._objects, stopping=self._stop_work)
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await server.cleanup()

    def _work(self) -> dict[str, Callable[[], Coroutine[None, None, None]]]:
        """Everything that runs for as long as the process, by the name of its task, which the probes show."""
        work: dict[str, Callable[[], Coroutine[None, None, None]]] = {}
        leading, add, resync = self._leader.leading, self._queue.add, self._resync.request
        work |= {
            f"watch of {kind}": partial(informer.run, EndlessBackoff()) for kind, informer in self._informers.items()
        }
        work |= {f"worker {number}": self._reconcile for number in range(self._settings.parallel_reconciles)}
        work |= {
            "memory": partial(self._memory.run, leading=leading, changed=add, all_changed=resync),
            "loads": partial(self._loads.run, leading=leading, changed=partial(add, urgent=True)),
            "resync": self._resync.run,
            "check of the CustomResourceDefinition": self._events.check_definition,
            "election": partial(self._leader.run, self._resync.begin_to_lead, _jitter),
            "rival": partial(report_second_install, self._kube, self._leader, self._settings.candidate, _now),
        }
        if self._capabilities:
            work["external metrics"] = partial(self._capabilities.run, all_changed=resync)
        return work

    async def _reconcile(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(FIRST_LISTS_SECONDS):
                for child in self._children.values():
                    await child.tried.wait()
        if self._capabilities:
            await self._capabilities.synced.wait()
        await self._queue.work(self._worker.handle, may_start=self._leader.leading)

    async def _stop_work(self) -> None:
        for task in self._tasks:
            task.cancel()
        await self._leader.resign()

    def _not_ready(self) -> str | None:
        if unwatched := self._events.not_ready():
            return unwatched
        if not all(child.tried.is_set() for child in self._children.values()):
            return "the children are not listed yet"
        return held_back(self._leader) or self._ended()

    def _not_alive(self) -> str | None:
        return self._events.not_alive() or self._ended()

    def _ended(self) -> str | None:
        ended = [task.get_name() for task in self._tasks if task.done()]
        return f"ended: {', '.join(ended)}" if ended else None


def _without_external_metrics(settings: Settings) -> str | None:
    """Why this install serves no external metrics, None if it does."""
    if settings.candidate.namespaced:
        return ONE_NAMESPACE
    return None if settings.external_metrics else OFF


async def run(settings: Settings) -> None:
    """Connect to the API server and run the operator until SIGTERM or SIGINT. Raises HcaError.

    CannotStart: Kubernetes is too old.
    """
    metrics = OperatorMetrics()
    kube = await KubeClient.connect(metrics.requests.observe)
    try:
        refuse_older(await kubernetes_version(kube))
        await Operator(kube, metrics, settings).run()
    finally:
        await kube.close()


async def kubernetes_version(kube: KubeClient) -> Manifest:
    """The version of Kubernetes, as soon as the API server answers."""
    while True:
        try:
            return await kube.version()
        except Transient as error:
            logger.warning("the version of Kubernetes is asked for again: %s", error)
            await asyncio.sleep(VERSION_RETRY_SECONDS * _jitter())
