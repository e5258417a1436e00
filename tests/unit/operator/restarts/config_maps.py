"""An operator that follows ConfigMaps and Secrets in memory, and a clock that moves as a test says."""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from hca_operator.api.fleet_policy import parse_policy
from hca_operator.core.errors import HcaError
from hca_operator.core.names import CONFIG_ANNOTATION, Manifest
from hca_operator.core.ports import Key
from hca_operator.restarts.rollout_gate import RolloutGate
from tests.unit.operator.fake_cluster import FakeCluster
from tests.unit.operator.reconcile.passes import DEPLOYMENT, KEY, NOW, cluster_with, reconciler, settle

ENV_FROM: dict[str, Any] = {"envFrom": [{"configMapRef": {"name": "settings"}}]}
OPTIONAL: dict[str, Any] = {"volumes": [{"name": "flags", "configMap": {"name": "flags", "optional": True}}]}
PASSWORD: Manifest = {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}}
NO_RESTART = {"rollout": {"restartOnConfigChange": False}}


@dataclass
class ConfigMaps:
    """What ConfigMaps contain, by name."""

    contents: dict[str, str] = field(default_factory=lambda: {"settings": "level: info"})
    error: HcaError | None = None
    lagging: dict[str, str] = field(default_factory=dict)
    """What a watch that is behind still has."""
    asked: list[tuple[Key, set[str], bool]] = field(default_factory=list)
    forgotten: list[Key] = field(default_factory=list)

    async def digests(self, key: Key, names: Collection[str], *, fresh: bool) -> dict[str, str | None]:
        self.asked.append((key, set(names), fresh))
        if self.error:
            raise self.error
        found = self.contents if fresh else {**self.contents, **self.lagging}
        return {name: found.get(name) for name in names}

    def forget(self, key: Key) -> None:
        self.forgotten.append(key)


@dataclass
class Operator:
    """An operator, and the clock that it goes by."""

    cluster: FakeCluster
    maps: ConfigMaps = field(default_factory=ConfigMaps)
    gate: RolloutGate = field(default_factory=lambda: RolloutGate(3))
    secrets: ConfigMaps | None = None
    """None where the install does not allow to read them."""
    policy: str = "{}"
    now: float = 0.0

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """With nothing in memory."""
        followed = {"ConfigMap": self.maps} | ({"Secret": self.secrets} if self.secrets else {})
        self._reconciler = reconciler(
            self.cluster,
            parse_policy(self.policy, "policy"),
            configs=followed,
            gate=self.gate,
            now=lambda: NOW + timedelta(seconds=self.now),
        )

    async def settle(self) -> None:
        await settle(self.cluster, self._reconciler)

    async def waits(self) -> float | None:
        """Seconds until it looks again, with pods that are ready."""
        live = self.cluster.objects[DEPLOYMENT]
        live["status"] = {
            "observedGeneration": live["metadata"]["generation"], "replicas": 2, "updatedReplicas": 2,
            "availableReplicas": 2, "conditions": [{"type": "Progressing", "reason": "NewReplicaSetAvailable"}],
        }  # fmt: skip
        await self.settle()
        return (await self._reconciler.reconcile(KEY)).requeue_after

    async def once(self, seconds: float) -> None:
        """A single pass, after which something may still fail."""
        self.now += seconds
        await self._reconciler.reconcile(KEY)

    async def after(self, seconds: float) -> None:
        self.now += seconds
        await self.settle()


async def started(**fields: Any) -> Operator:
    operator = Operator(cluster_with(**fields))
    await operator.settle()
    return operator


def template(cluster: FakeCluster) -> Manifest:
    found: Manifest = cluster.objects[DEPLOYMENT]["spec"]["template"]
    return found


def stamp(cluster: FakeCluster) -> str | None:
    value: str | None = template(cluster)["metadata"].get("annotations", {}).get(CONFIG_ANNOTATION)
    return value


def templates(cluster: FakeCluster) -> list[Manifest]:
    """Each template that there has been, one after the other: one more than there were rollouts."""
    found: list[Manifest] = []
    for seen in cluster.changes:
        if seen["kind"] == "Deployment" and (not found or seen["spec"]["template"] != found[-1]):
            found.append(seen["spec"]["template"])
    return found


def rollouts(cluster: FakeCluster) -> int:
    return len(templates(cluster)) - 1
