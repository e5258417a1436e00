"""An object on a cluster in memory, and passes of a reconciler over it."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from hca_operator.api.fleet_policy import NO_POLICY, FleetPolicy
from hca_operator.core.names import KIND, Manifest
from hca_operator.core.observed import condition
from hca_operator.core.ports import Cluster, Configs, Key, WorkerMemoryReader
from hca_operator.reconcile.reconciler import Outcome, Reconciler
from hca_operator.reconcile.trackers import Trackers
from hca_operator.restarts.debounce import DebounceTracker
from hca_operator.restarts.memory_trend import MemoryTracker
from hca_operator.restarts.rollout_gate import RolloutGate
from hca_operator.scaling.burst import BurstTracker
from hca_operator.scaling.capabilities import ExternalMetrics
from tests.unit.operator.fake_cluster import FakeCluster, Slot
from tests.unit.operator.objects import NAME, NAMESPACE, manifest

KEY = Key(NAMESPACE, NAME)
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
API: Slot = (KIND, NAMESPACE, NAME)
DEPLOYMENT: Slot = ("Deployment", NAMESPACE, NAME)
AUTOSCALER: Slot = ("HorizontalPodAutoscaler", NAMESPACE, NAME)
INGRESS: Slot = ("Ingress", NAMESPACE, NAME)
SERVICE: Slot = ("Service", NAMESPACE, NAME)
ISOLATION: Slot = ("NetworkPolicy", NAMESPACE, NAME)
ROUTES: dict[str, Any] = {"traffic": {"routes": [{"host": "shop.example.com"}]}}
DISABLED: dict[str, Any] = {"autoscaling": {"mode": "Disabled"}, "replicas": 3}
NODES = "defaults: {nodeSelector: {disk: ssd}}"
"""A policy that changes every pod."""


def cluster_with(**fields: Any) -> FakeCluster:
    cluster = FakeCluster()
    cluster.put(manifest(**fields))
    return cluster


def change(cluster: FakeCluster, **fields: Any) -> None:
    """Another spec for the object, as a user applies it."""
    generation = cluster.objects[API]["metadata"]["generation"] + 1
    status = cluster.objects[API].get("status", {})
    cluster.put({**manifest(generation=generation, **fields), "status": status})


async def no_worker_memory(address: str, port: int, path: str) -> Sequence[int]:
    del address, port, path
    return ()


def reconciler(
    cluster: Cluster,
    policy: FleetPolicy = NO_POLICY,
    *,
    now: datetime | Callable[[], datetime] = NOW,
    gate: RolloutGate | None = None,
    memory: MemoryTracker | None = None,
    bursts: BurstTracker | None = None,
    configs: Mapping[str, Configs] | None = None,
    trackers: Trackers | None = None,
    external: ExternalMetrics | None = None,
    worker_memory: WorkerMemoryReader = no_worker_memory,
) -> Reconciler:
    """One that follows no ConfigMaps and has neither memory nor load, unless a test gives them."""
    return Reconciler(
        cluster,
        policy,
        external=external or ExternalMetrics(),
        configs=configs or {},
        worker_memory=worker_memory,
        trackers=trackers or trackers_with(gate=gate, memory=memory, bursts=bursts),
        identity="operator-1",
        now=now if callable(now) else lambda: now,
    )


def trackers_with(
    *, gate: RolloutGate | None = None, memory: MemoryTracker | None = None, bursts: BurstTracker | None = None
) -> Trackers:
    """Trackers without any history but this."""
    return Trackers(
        gate=gate or RolloutGate(3),
        memory=memory or MemoryTracker(),
        bursts=bursts if bursts is not None else BurstTracker(),
        config_changes=DebounceTracker(lambda: 0.0),
    )


async def settle(cluster: FakeCluster, looking: Reconciler | None = None) -> Outcome:
    """Reconcile until a pass writes nothing, as the queue does when it sees the events of each write."""
    looking = looking or reconciler(cluster)
    for _ in range(10):
        before = len(cluster.writes)
        outcome = await looking.reconcile(KEY)
        if len(cluster.writes) == before:
            return outcome
    raise AssertionError(f"never comes to rest: {cluster.writes[-5:]}")


def ready(cluster: FakeCluster) -> Manifest:
    return condition(cluster.objects[API], "Ready")


def of_another_owner(slot: Slot, **metadata: Any) -> Manifest:
    kind, namespace, name = slot
    return {"kind": kind, "metadata": {"name": name, "namespace": namespace, **metadata}, "spec": {"replicas": 5}}
