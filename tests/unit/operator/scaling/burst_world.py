"""An object whose load jumps, its operator and an autoscaler, played through second by second."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from hca_operator.api.metric_types import CONCURRENCY, REQUESTS_PER_SECOND
from hca_operator.core.errors import Transient
from hca_operator.core.names import Manifest
from hca_operator.core.observed import condition
from hca_operator.core.timestamps import time_text
from hca_operator.scaling.burst import BurstTracker, Load
from tests.unit.operator.fake_cluster import FakeCluster
from tests.unit.operator.objects import manifest
from tests.unit.operator.reconcile.passes import API, AUTOSCALER, DEPLOYMENT, KEY, reconciler

SYNC = 15
"""Seconds between two looks of the autoscaler."""
BURST_WINDOW_SECONDS, MEAN = 5, 10
"""Seconds over which the load is taken, for the operator and for the autoscaler."""
WINDOW = 60
JUMP = 33
"""Second of the jump: three seconds after a look of the autoscaler."""
RATE = {"name": "rps", "type": "RequestsPerSecond", "requestsPerSecond": {"targetPerPod": "50"}}
IN_FLIGHT = {"name": "inflight", "type": "Concurrency", "concurrency": {"targetPerWorker": 20}}
START = datetime(2026, 1, 5, tzinfo=UTC)

LoadAt = Callable[[int], float | None]
"""What a second brings, in pods that it needs; None if the load is unknown."""


@dataclass(frozen=True)
class Snapshot:
    """The world at a second."""

    second: int
    pods: int
    least: int
    reported: Manifest


class World:
    """An object, the operator that looks after it, its pods, and an autoscaler that takes pods away at once."""

    def __init__(self, *, starts_within: int = 5, metric: Manifest = RATE, **autoscaling: Any) -> None:
        self.cluster = FakeCluster()
        scaling = {"minReplicas": 1, "maxReplicas": 10, "metrics": [metric], "burst": {"mode": "Enabled"}}
        self.cluster.put(manifest(autoscaling=scaling | autoscaling))
        self._metric, self._target = (
            (REQUESTS_PER_SECOND.external, 50) if metric["type"] == "RequestsPerSecond" else (CONCURRENCY.external, 20)
        )
        self._starts_within = starts_within
        self._raised_at = -math.inf
        self._second = 0
        self._due = 0.0
        self.restart()

    def restart(self) -> None:
        self._bursts = BurstTracker()
        self._operator = reconciler(self.cluster, bursts=self._bursts, now=self._now)

    async def play(self, load: LoadAt, *, until: int) -> list[Snapshot]:
        moments = []
        while self._second < until:
            await self._read(load)
            if self._second % SYNC == 0:
                await self._look(load)
            if self._second == self._raised_at + self._starts_within:
                self._serve()
                await self._reconcile()
            if self._second >= self._due:
                await self._reconcile()
            moments.append(self._snapshot())
            self._second += 1
        return moments

    def _now(self) -> datetime:
        return START + timedelta(seconds=self._second)

    async def _read(self, load: LoadAt) -> None:
        lately = _mean(load, self._second, BURST_WINDOW_SECONDS)
        loads = {} if lately is None else {self._metric: Load(lately * self._target, BURST_WINDOW_SECONDS)}
        if KEY in self._bursts.take({KEY: loads}, self._now()):
            await self._reconcile()

    async def _look(self, load: LoadAt) -> None:
        """Blind it takes nothing away; else it does what the metric says."""
        if AUTOSCALER not in self.cluster.objects:
            return  # nothing was reconciled yet
        bounds = self.cluster.objects[AUTOSCALER]["spec"]
        known = _mean(load, self._second, MEAN)
        wanted = self._count if known is None else math.ceil(round(known, 6))
        state = {"type": "ScalingActive", "status": "True", "lastTransitionTime": time_text(START)}
        self.cluster.edit(AUTOSCALER, "status", value={"conditions": [state]})
        self._scaled(min(bounds["maxReplicas"], max(bounds["minReplicas"], wanted)))
        await self._reconcile()

    async def _reconcile(self) -> None:
        before = self._count
        for _ in range(10):
            try:
                outcome = await self._operator.reconcile(KEY)
            except Transient:
                continue
            if not outcome.writes:
                break
        if not before:
            self._serve()
        elif self._count > before:
            self._raised_at = self._second
        self._due = math.inf if outcome.requeue_after is None else self._second + outcome.requeue_after

    @property
    def _count(self) -> int:
        return int(self.cluster.objects.get(DEPLOYMENT, {"spec": {"replicas": 0}})["spec"]["replicas"])

    def _scaled(self, count: int) -> None:
        if count == self._count:
            return
        if count > self._count:
            self._raised_at = self._second
        self.cluster.edit(DEPLOYMENT, "spec", "replicas", value=count)

    def _serve(self) -> None:
        status = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), self._count)
        rolled_out = [{"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"}]
        self.cluster.edit(DEPLOYMENT, "status", value=status | {"observedGeneration": 1, "conditions": rolled_out})

    def _snapshot(self) -> Snapshot:
        least = self.cluster.objects.get(AUTOSCALER, {"spec": {"minReplicas": 0}})["spec"]["minReplicas"]
        return Snapshot(self._second, self._count, least, condition(self.cluster.objects[API], "ScalingActive"))

    @property
    def raises(self) -> int:
        return self.cluster.calls.count("scale Deployment shop")


def _mean(load: LoadAt, second: int, seconds: int) -> float | None:
    known = [value for at in range(second - seconds + 1, second + 1) if (value := load(max(0, at))) is not None]
    return sum(known) / len(known) if len(known) > 1 else None


def step(before: float, after: float, at: int = JUMP) -> LoadAt:
    return lambda second: after if second >= at else before


def floors(moments: list[Snapshot]) -> list[tuple[int, int]]:
    """From when on which floor held, after the first second."""
    return [(later.second, later.least) for earlier, later in pairwise(moments) if later.least != earlier.least]


def counts(moments: list[Snapshot]) -> list[tuple[int, int]]:
    """From when on which count there was, after the first second."""
    return [(later.second, later.pods) for earlier, later in pairwise(moments) if later.pods != earlier.pods]
