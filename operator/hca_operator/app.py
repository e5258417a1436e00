"""The composition root: everything is put together here, and nowhere else."""

import asyncio
import logging
import random
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime

import kopf

from hca_operator.compatibility import refuse_older
from hca_operator.errors import HcaError, Transient
from hca_operator.kube import Kube
from hca_operator.leader import Candidate, Leader
from hca_operator.names import KIND, Manifest
from hca_operator.policy import NO_POLICY, FleetPolicy
from hca_operator.queue import WorkQueue
from hca_operator.reconcile import Key, Reconciler
from hca_operator.telemetry import Telemetry, serve
from hca_operator.triggers import dead_watchers, operator_settings, register

logger = logging.getLogger(__name__)

RESYNC = 600.0
"""Seconds between two looks at everything, for what no event told of."""
RESYNC_RETRY = 5.0
"""Seconds after a look at everything that failed."""
WATCH_GRACE = 120.0
"""Seconds that a watch may be missing until the process is restarted: at the start there is none yet."""


@dataclass(frozen=True)
class Settings:
    """How the process runs."""

    candidate: Candidate
    policy: FleetPolicy = NO_POLICY
    port: int = 8080
    parallel_reconciles: int = 8


def _now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - the one clock; everything else is given it


def _jitter() -> float:
    return random.uniform(0.8, 1.2)  # noqa: S311 - spreads load, keeps no secret


class Operator:
    """The running operator: watches, queue, workers and probes."""

    def __init__(self, kube: Kube, telemetry: Telemetry, candidate: Candidate, policy: FleetPolicy) -> None:
        self._kube = kube
        self._telemetry = telemetry
        self._queue: WorkQueue[Key] = WorkQueue(jitter=_jitter)
        self._leader = Leader(kube, candidate, now=_now)
        self._look_at_all = asyncio.Event()
        self._reconciler = Reconciler(kube.fenced(self._leader.remaining), now=_now, policy=policy)
        self._tasks: list[asyncio.Task[None]] = []
        self._watched_at = asyncio.get_running_loop().time()
        telemetry.watch_queue(self._queue.depth, lambda: self._queue.adds, lambda: self._queue.retries)

    async def run(self, settings: Settings) -> None:
        """Run until SIGTERM or SIGINT. What is under way is dropped: the next start looks at everything anew."""
        registry = kopf.OperatorRegistry()
        register(registry, self._queue, stopping=self._leader.resign)
        # Before kopf starts: it ends every task that was born after itself.
        self._tasks = [
            asyncio.create_task(self._queue.work(self._reconcile), name=f"worker {number}")
            for number in range(settings.parallel_reconciles)
        ]
        self._tasks += [
            asyncio.create_task(self._resync(), name="resync"),
            asyncio.create_task(self._leader.run(self._look_at_all.set, _jitter), name="election"),
        ]
        server = await serve(self._telemetry, port=settings.port, alive=self._not_alive, ready=self._not_ready)
        try:
            await kopf.operator(
                registry=registry,
                settings=operator_settings(),
                clusterwide=True,
                # Unused without peering, but kopf would make one of the user's name, which a numeric user lacks.
                identity="hca-operator",  # type: ignore[arg-type] # a NewType of str that kopf keeps private
            )
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await server.cleanup()

    async def _reconcile(self, key: Key) -> float | None:
        await self._leader.leading()  # every replica watches, one works
        with self._timed(key):
            outcome = await self._reconciler.reconcile(key)
        self._telemetry.reconciles.labels("written" if outcome.writes else "unchanged").inc()
        self._telemetry.observe_conditions(key, outcome.status)
        return outcome.look_again

    @contextmanager
    def _timed(self, key: Key) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        started = loop.time()
        try:
            yield
        except Transient as error:
            self._telemetry.reconciles.labels("retried").inc()
            logger.warning("will try again: %s", error, extra={"object": str(key)})
            raise
        except Exception:
            self._telemetry.reconciles.labels("failed").inc()
            raise
        finally:
            self._telemetry.reconcile_seconds.observe(loop.time() - started)

    async def _resync(self) -> None:
        """Look at every object now and then, and when this replica becomes the leader."""
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._look_at_all.wait(), RESYNC * _jitter())
            self._look_at_all.clear()
            try:
                for manifest in await self._kube.list(KIND, ""):
                    self._queue.add(Key(manifest["metadata"]["namespace"], manifest["metadata"]["name"]))
            except HcaError as error:
                logger.warning("the look at every object failed and is done again: %s", error)
                await asyncio.sleep(RESYNC_RETRY * _jitter())
                self._look_at_all.set()

    def _not_ready(self) -> str | None:
        missing = dead_watchers()
        if missing:
            return f"not watching {', '.join(missing)}"
        if self._leader.rival:
            return (
                f"an operator in namespace {self._leader.rival} looks after the same objects: uninstall one of the two"
            )
        return self._ended()

    def _not_alive(self) -> str | None:
        now = asyncio.get_running_loop().time()
        missing = dead_watchers()
        if not missing:
            self._watched_at = now
        elif now - self._watched_at > WATCH_GRACE:
            return f"not watching {', '.join(missing)} for {WATCH_GRACE:.0f} seconds"
        return self._ended()

    def _ended(self) -> str | None:
        ended = [task.get_name() for task in self._tasks if task.done()]
        return f"ended: {', '.join(ended)}" if ended else None


async def run(settings: Settings) -> None:
    """Connect to the API server and run the operator until it is told to stop.

    Raises CannotStart where Kubernetes is too old.
    """
    telemetry = Telemetry()
    kube = await Kube.connect(telemetry.observe_request)
    try:
        refuse_older(await kubernetes_version(kube))
        await Operator(kube, telemetry, settings.candidate, settings.policy).run(settings)
    finally:
        await kube.close()


async def kubernetes_version(kube: Kube) -> Manifest:
    """The version of Kubernetes, as soon as the API server answers."""
    while True:
        try:
            return await kube.version()
        except Transient as error:
            logger.warning("the version of Kubernetes is asked for again: %s", error)
            await asyncio.sleep(RESYNC_RETRY * _jitter())
