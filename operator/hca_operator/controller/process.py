"""The composition root: everything is put together here, and nowhere else."""

import asyncio
import logging
import random
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

import kopf

from hca_operator.api.fleet_policy import NO_POLICY, FleetPolicy
from hca_operator.controller.capability_poller import CapabilityPoller
from hca_operator.controller.kopf_events import operator_settings, register, watching
from hca_operator.controller.load_poller import LoadPoller
from hca_operator.controller.memory_poller import MemoryPoller
from hca_operator.controller.work_queue import WorkQueue
from hca_operator.core.errors import Absent, HcaError, Transient
from hca_operator.core.names import KIND, Manifest
from hca_operator.core.observed import edited
from hca_operator.core.ports import Key
from hca_operator.desired.children import CHILD_KINDS
from hca_operator.desired.references import CONFIG_MAP, SECRET
from hca_operator.kube.cache import Store
from hca_operator.kube.child_cache import CachedClient, ChildWatch
from hca_operator.kube.client import KubeClient
from hca_operator.kube.config_digests import ConfigWatch
from hca_operator.kube.leader_election import Candidate, Leader
from hca_operator.kube.object_cache import ObjectCache
from hca_operator.kube.version import refuse_older
from hca_operator.kube.watch import LONGEST_WAIT, ForeverWithJitter, Watch
from hca_operator.reconcile.reconciler import Reconciler
from hca_operator.reconcile.trackers import Trackers
from hca_operator.restarts.debounce import DebounceTracker
from hca_operator.restarts.memory_trend import MemoryTracker
from hca_operator.restarts.pod_replacement import DETACHED
from hca_operator.restarts.rollout_gate import RolloutGate
from hca_operator.scaling.burst import BurstTracker
from hca_operator.scaling.capabilities import OFF, ONE_NAMESPACE, ExternalMetrics, Service
from hca_operator.status.events import News, event
from hca_operator.telemetry import Telemetry, serve

logger = logging.getLogger(__name__)

RESYNC = 600.0
"""Seconds between two looks at everything, for what no event told of."""
RESYNC_RETRY = 5.0
"""Seconds after a look at everything that failed."""
WATCH_GRACE = 120.0
"""Seconds that a watch may be missing until the process is restarted: at the start there is none yet."""
FIRST_LOOK = 10.0
"""Seconds for which the work waits for the first look at all children; what is not known then is asked for."""
FIRST_READING = 2.0
"""Seconds for which the first work waits for the first reading of the pods' memory."""
LOOK_AT_DEFINITION = 15.0
"""Seconds between two looks whether the definition of the objects is there: its removal ends no watch."""
UNWATCHED = 45.0
"""Seconds for which the objects may be defined but not watched."""
LOOK_FOR_RIVAL = 2.0
"""Seconds between two looks whether another install holds this one back."""


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
    """Whether Secrets may be read, so that changes of theirs restart pods as those of ConfigMaps do."""
    external_metrics: str | None = None
    """Service with which this install serves the external metrics API, None where it serves none."""
    reads_ingress: bool = False
    """Whether it knows what an ingress counts, too."""
    custom_queries: bool = False
    """Whether it asks Prometheus the queries of objects as well."""


def _now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - the one clock; everything else is given it


def _jitter() -> float:
    return random.uniform(0.8, 1.2)  # noqa: S311 - spreads load, keeps no secret


class Operator:
    """The running operator: watches, queue, workers and probes."""

    def __init__(self, kube: KubeClient, telemetry: Telemetry, settings: Settings) -> None:
        self._kube = kube
        self._telemetry = telemetry
        self._settings = settings
        candidate = settings.candidate
        self._scope = candidate.namespace if candidate.namespaced else ""
        self._queue: WorkQueue[Key] = WorkQueue(jitter=_jitter)
        self._leader = Leader(kube, candidate, now=_now)
        self._look_at_all = asyncio.Event()
        self._stop = asyncio.Event()
        self._undefined = False
        self._trouble: HcaError | None = None
        memory = MemoryTracker()
        self._reader = MemoryPoller(kube, memory, self._scope, told=telemetry.observe_trends)
        bursts = BurstTracker()
        self._loads = LoadPoller(kube, bursts, _now)
        external = ExternalMetrics(
            _without_external_metrics(settings),
            reads_ingress=settings.reads_ingress,
            queries=settings.custom_queries,
        )
        served = settings.external_metrics if external.missing is None else None
        self._owner = CapabilityPoller(kube, external, Service(candidate.namespace, served)) if served else None
        store, self._objects = Store(), ObjectCache()
        self._children = [
            ChildWatch(kube, store, kind, self._scope, changed=self._queue.add_soon) for kind in CHILD_KINDS
        ]
        self._configs = {
            kind: ConfigWatch(kube, kind, self._scope, changed=self._queue.add)
            for kind in (CONFIG_MAP, *((SECRET,) if settings.watch_secrets else ()))
        }
        self._watches: dict[str, Watch] = {**dict(zip(CHILD_KINDS, self._children, strict=True)), **self._configs}
        self._trackers = Trackers(
            gate=RolloutGate(settings.unasked_rollouts, on_free=self._queue.add),
            memory=memory,
            bursts=bursts,
            config_changes=DebounceTracker(random.random),
        )
        self._reconciler = Reconciler(
            CachedClient(kube.fenced(self._leader.remaining), store, self._objects),
            settings.policy,
            external=external,
            configs=self._configs,
            trackers=self._trackers,
            identity=candidate.identity,
            now=_now,
        )
        self._tasks: list[asyncio.Task[None]] = []
        self._watched_at = asyncio.get_running_loop().time()
        telemetry.watch_queue(self._queue.depth, lambda: self._queue.adds, lambda: self._queue.retries)
        telemetry.watch_children(lambda: len(store))

    async def run(self) -> None:
        """Run until SIGTERM or SIGINT. What is under way is dropped: the next start looks at everything anew.

        Raises HcaError where watching broke off: a fresh process is the surest way to go on.
        """
        # Before kopf starts: it ends every task that was born after itself.
        self._tasks = [
            asyncio.create_task(watch.run(ForeverWithJitter(LONGEST_WAIT)), name=f"watch of {kind}")
            for kind, watch in self._watches.items()
        ]
        self._tasks += [
            asyncio.create_task(self._work(), name=f"worker {number}")
            for number in range(self._settings.parallel_reconciles)
        ]
        self._tasks += [
            asyncio.create_task(self._read_memory(), name="memory"),
            asyncio.create_task(self._read_loads(), name="loads"),
            asyncio.create_task(self._resync(), name="resync"),
            asyncio.create_task(self._look_at_definition(), name="look at the definition"),
            asyncio.create_task(self._leader.run(self._begin, _jitter), name="election"),
            asyncio.create_task(self._tell_of_rival(), name="rival"),
        ]
        if self._owner:
            looking = self._owner.run(all_changed=self._look_at_all.set)
            self._tasks.append(asyncio.create_task(looking, name="external metrics"))
        server = await serve(
            self._telemetry.registry, port=self._settings.port, alive=self._not_alive, ready=self._not_ready
        )
        try:
            await self._watch_objects()
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await server.cleanup()
        if self._trouble:
            raise self._trouble

    async def _watch_objects(self) -> None:
        """Have kopf watch the objects until it is told to stop. Where it breaks, the process ends, for a fresh one."""
        registry = kopf.OperatorRegistry()
        register(registry, self._queue, self._objects, stopping=self._drop_work)
        try:
            await kopf.operator(
                registry=registry,
                settings=operator_settings(clusterwide=not self._scope),
                clusterwide=not self._scope,
                namespaces=[self._scope] if self._scope else [],
                stop_flag=self._stop,
                # Unused without peering, but kopf would make one of the user's name, which a numeric user lacks.
                identity="hca-operator",  # type: ignore[arg-type] # a NewType of str that kopf keeps private
            )
        except HcaError as error:
            # Of a write that was under way at the end: kopf waits for every task that was born after itself.
            logger.info("not carried out before the end: %s", error)
        except Exception as error:
            self._trouble = self._trouble or await self._cause(error)

    async def _cause(self, error: Exception) -> HcaError:
        """Why watching broke off: what the API server says of the objects, and what kopf does where that is nothing."""
        try:
            await self._kube.require(KIND, self._scope)
        except HcaError as cause:
            return cause
        return Transient(f"watching the objects broke off: {error}")

    async def _drop_work(self) -> None:
        """Stop writing, and end what kopf would otherwise wait 5 s for: tasks that were born after its own start."""
        for task in self._tasks:
            task.cancel()
        await self._leader.resign()
        self._stop.set()  # kopf leaves its own task behind that waits for this

    def _end(self, trouble: HcaError) -> None:
        self._trouble = trouble
        self._stop.set()

    async def _work(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(FIRST_LOOK):
                for child in self._children:
                    await child.looked.wait()
        if self._owner:
            await self._owner.looked.wait()
        await self._queue.work(self._reconcile, turn=self._leader.leading)

    async def _read_memory(self) -> None:
        await self._reader.run(leading=self._leader.leading, changed=self._queue.add, all_changed=self._look_at_all.set)

    async def _read_loads(self) -> None:
        await self._loads.run(leading=self._leader.leading, changed=partial(self._queue.add, urgent=True))

    async def _reconcile(self, key: Key) -> float | None:
        await self._leader.leading()  # the lead may have gone while the queue was empty
        # A first status that says that memory is not known would be followed by another one at once.
        with suppress(TimeoutError):
            async with asyncio.timeout(FIRST_READING):
                await self._reader.looked.wait()
        if key.namespace in self._leader.elsewhere:
            return None  # an install of its own looks after that namespace
        with self._timed():
            outcome = await self._reconciler.reconcile(key)
        self._telemetry.reconciles.labels("written" if outcome.writes else "unchanged").inc()
        self._telemetry.observe_conditions(key, outcome.status)
        self._telemetry.observe_memory_restarts(key, outcome.status, outcome.memory_restarts)
        return outcome.requeue_after

    @contextmanager
    def _timed(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        started = loop.time()
        try:
            yield
        except Transient:
            self._telemetry.reconciles.labels("retried").inc()
            raise
        except Exception:
            self._telemetry.reconciles.labels("failed").inc()
            raise
        finally:
            self._telemetry.reconcile_seconds.observe(loop.time() - started)

    def _begin(self) -> None:
        """Become the leader."""
        self._objects.mark_unsynced()
        self._look_at_all.set()

    async def _resync(self) -> None:
        """Look at everything now and then, and at every object when this replica becomes the leader."""
        while True:
            due = False
            try:
                await asyncio.wait_for(self._look_at_all.wait(), RESYNC * _jitter())
            except TimeoutError:
                due = True
            self._look_at_all.clear()
            try:
                await self._look_for_detached()
                if due:
                    await self._look_at_what_is_watched()
                async for page, _version in self._kube.pages(KIND, self._scope):
                    for manifest in page:
                        self._objects.update(manifest)
                        key = Key(manifest["metadata"]["namespace"], manifest["metadata"]["name"])
                        self._queue.add(key, urgent=edited(manifest))
                if not self._look_at_all.is_set():  # otherwise the lead may have been won after the list had begun
                    self._objects.mark_synced()
            except HcaError as error:
                logger.warning("the look at every object failed and is done again: %s", error)
                await asyncio.sleep(RESYNC_RETRY * _jitter())
                self._look_at_all.set()

    async def _look_for_detached(self) -> None:
        """Go on with replacements that somebody was ended in."""
        try:
            detached = await self._kube.list("Pod", self._scope, labelSelector=DETACHED)
            for key in self._trackers.replacements.found(detached):
                self._queue.add(key)
        except HcaError as error:
            logger.warning("the look for pods that are being replaced failed: %s", error)

    async def _look_at_what_is_watched(self) -> None:
        for kind, watch in self._watches.items():
            try:
                await watch.look()
            except HcaError as error:  # such as a right that is missing for one kind: the others are looked at
                logger.warning("the look at every %s failed: %s", kind, error)

    async def _look_at_definition(self) -> None:
        """Know whether the objects are defined at all: nothing tells a watch of them that their kind is gone.

        kopf looks for a definition when it is told of it, which may be before it is served, and not again. With the
        rights of one namespace it is not even told, so the process ends there.
        """
        while True:
            try:
                await self._kube.require(KIND, self._scope)
                self._undefined = False
                if self._unwatched_for() > UNWATCHED:
                    self._end(Transient("the objects are defined, but not watched"))
            except Absent as error:
                if not self._undefined:
                    logger.error("%s: install the chart with crds.enabled, or apply crds/", error)
                self._undefined = True
                if self._scope:
                    self._end(error)
            except HcaError as error:
                logger.debug("the definition could not be looked at: %s", error)
            await asyncio.sleep(LOOK_AT_DEFINITION * _jitter())

    async def _tell_of_rival(self) -> None:
        """An Event about our own pod, once for each rival, for whoever asks why this install does nothing."""
        told: str | None = None
        candidate = self._settings.candidate
        while True:
            if (rival := self._leader.rival) and rival != told:
                message = _held_back_by(rival)
                logger.error(message)
                with suppress(HcaError):
                    for pod in await self._kube.list(
                        "Pod", candidate.namespace, fieldSelector=f"metadata.name={candidate.identity}"
                    ):
                        news = News(warning=True, reason="SecondInstall", message=message)
                        await self._kube.create(event(pod, news, _now(), candidate.identity))
            told = rival
            await asyncio.sleep(LOOK_FOR_RIVAL)

    def _not_ready(self) -> str | None:
        if self._undefined:
            return f"{KIND} is not defined in this cluster"
        if not watching(self._scope):
            return f"not watching {KIND}"
        if not all(child.looked.is_set() for child in self._children):
            return "the first look at the children is not over"
        if self._leader.rival:
            return _held_back_by(self._leader.rival)
        return self._ended()

    def _not_alive(self) -> str | None:
        if self._unwatched_for() > WATCH_GRACE:
            return f"not watching {KIND} for {WATCH_GRACE:.0f} seconds"
        return self._ended()

    def _unwatched_for(self) -> float:
        """Seconds since the objects were last seen to be watched, or not to be defined."""
        now = asyncio.get_running_loop().time()
        if self._undefined or watching(self._scope):
            self._watched_at = now
        return now - self._watched_at

    def _ended(self) -> str | None:
        ended = [task.get_name() for task in self._tasks if task.done()]
        return f"ended: {', '.join(ended)}" if ended else None


def _without_external_metrics(settings: Settings) -> str | None:
    """Why this install serves no external metrics, None where it does."""
    if settings.candidate.namespaced:
        return ONE_NAMESPACE
    return None if settings.external_metrics else OFF


def _held_back_by(namespace: str) -> str:
    return f"an operator in namespace {namespace} looks after the same objects: uninstall one of the two"


async def run(settings: Settings) -> None:
    """Connect to the API server and run the operator until it is told to stop.

    Raises CannotStart where Kubernetes is too old.
    """
    telemetry = Telemetry()
    kube = await KubeClient.connect(telemetry.requests.observe)
    try:
        refuse_older(await kubernetes_version(kube))
        await Operator(kube, telemetry, settings).run()
    finally:
        await kube.close()


async def kubernetes_version(kube: KubeClient) -> Manifest:
    """The version of Kubernetes, as soon as the API server answers."""
    while True:
        try:
            return await kube.version()
        except Transient as error:
            logger.warning("the version of Kubernetes is asked for again: %s", error)
            await asyncio.sleep(RESYNC_RETRY * _jitter())
