"""Handles one key of the queue: a reconcile, and what /metrics shows of it."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress

from hca_operator.controller.metrics import OperatorMetrics
from hca_operator.core.errors import HcaError, Transient
from hca_operator.core.ports import Key
from hca_operator.kube.faults import INTERNAL_ERRORS, OUR_OWN, survived
from hca_operator.kube.leader_election import Leader
from hca_operator.reconcile.reconciler import Reconciler

FIRST_MEMORY_SECONDS = 2.0
"""For how long the first reconciles wait for the first reading of the pods' memory."""


class Worker:
    """Reconciles the objects that this install is responsible for, while this replica is the leader."""

    def __init__(
        self,
        reconciler: Reconciler,
        leader: Leader,
        metrics: OperatorMetrics,
        *,
        memory_read: Callable[[], Awaitable[object]],
    ) -> None:
        """`memory_read` returns after the first reading of the pods' memory."""
        self._reconciler = reconciler
        self._leader = leader
        self._metrics = metrics
        self._memory_read = memory_read
        INTERNAL_ERRORS.labels("reconcile")  # an increase from nothing to 1 is none to Prometheus

    async def handle(self, key: Key) -> float | None:
        """Reconcile an object. Returns the seconds after which to do so again, None for not before an event."""
        await self._leader.leading()  # this replica may have lost the Lease while the queue was empty
        # Otherwise a first status with unknown memory would be followed by another one immediately.
        with suppress(TimeoutError):
            async with asyncio.timeout(FIRST_MEMORY_SECONDS):
                await self._memory_read()
        if key.namespace in self._leader.elsewhere:
            return None  # that namespace has an install of its own
        try:
            with self._timed():
                outcome = await self._reconciler.reconcile(key)
        except (HcaError, *OUR_OWN):
            raise
        except BaseException as error:
            with survived("the report of an internal error", object=str(key)):
                self._metrics.observe_conditions(key, await self._reconciler.report_internal_error(key, error))
            raise
        self._metrics.reconciles.labels("written" if outcome.writes else "unchanged").inc()
        self._metrics.observe_conditions(key, outcome.status)
        self._metrics.observe_memory_restarts(key, outcome.status, outcome.memory_restarts)
        return outcome.requeue_after

    @contextmanager
    def _timed(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        started = loop.time()
        try:
            yield
        except Transient:
            self._metrics.reconciles.labels("retried").inc()
            raise
        except OUR_OWN:
            raise
        except BaseException:
            self._metrics.reconciles.labels("failed").inc()
            raise
        finally:
            self._metrics.reconcile_seconds.observe(loop.time() - started)
