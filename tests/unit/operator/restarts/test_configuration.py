"""A changed ConfigMap restarts the pods once, and nothing else does: through the reconcile, on a cluster in memory."""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from hca_operator.api.fleet_policy import parse_policy
from hca_operator.core.errors import Forbidden, HcaError, Rejected, Transient
from hca_operator.core.names import CONFIG_ANNOTATION, Manifest
from hca_operator.core.ports import Key
from hca_operator.kube.config_digests import data_digest
from hca_operator.restarts.debounce import LONGEST_QUIET, QUIET, SHORTEST_GAP
from hca_operator.restarts.rollout_gate import RolloutGate
from tests.unit.operator.fake_cluster import FakeCluster
from tests.unit.operator.objects import NAME, NAMESPACE, manifest
from tests.unit.operator.reconcile.passes import (
    API,
    DEPLOYMENT,
    KEY,
    NODES,
    NOW,
    change,
    cluster_with,
    ready,
    reconciler,
    settle,
)

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


@pytest.mark.parametrize("fields", [{}, ENV_FROM, OPTIONAL], ids=str)
async def test_the_pods_of_a_new_object_are_those_that_render_shows(fields: dict[str, Any]) -> None:
    operator = await started(**fields)
    assert stamp(operator.cluster) is None
    assert (CONFIG_ANNOTATION in operator.cluster.objects[DEPLOYMENT]["metadata"]["annotations"]) == bool(fields)


async def test_a_change_is_one_rollout_after_a_moment_of_quiet() -> None:
    operator = await started(**ENV_FROM)
    operator.maps.contents["settings"] = "level: debug"
    assert await operator.waits() == QUIET
    assert rollouts(operator.cluster) == 0
    await operator.after(QUIET)
    assert rollouts(operator.cluster) == 1
    assert stamp(operator.cluster)
    await operator.after(LONGEST_QUIET)
    assert await operator.waits() is None
    assert rollouts(operator.cluster) == 1


async def test_a_burst_is_one_rollout() -> None:
    operator = await started(**ENV_FROM)
    for number in range(10):
        operator.maps.contents["settings"] = f"level: {number}"
        await operator.after(1)
    await operator.after(QUIET)
    assert rollouts(operator.cluster) == 1


async def test_the_next_change_waits_longer_and_is_not_lost() -> None:
    operator = await started(**ENV_FROM)
    for content in ("b", "c"):
        operator.maps.contents["settings"] = content
        await operator.settle()
        await operator.after(QUIET)
    assert rollouts(operator.cluster) == 1
    assert await operator.waits() == SHORTEST_GAP - QUIET
    await operator.after(SHORTEST_GAP)
    assert rollouts(operator.cluster) == 2


async def test_a_change_that_waits_for_long_is_reported() -> None:
    operator = await started(**ENV_FROM)
    for content in ("b", "c"):
        operator.maps.contents["settings"] = content
        await operator.settle()
        await operator.after(SHORTEST_GAP)
    assert rollouts(operator.cluster) == 2
    operator.maps.contents["settings"] = "d"
    assert await operator.waits() == 2 * SHORTEST_GAP
    assert ready(operator.cluster)["status"] == "True"
    assert "ConfigurationWaits: a changed ConfigMap" in ready(operator.cluster)["message"]
    await operator.after(2 * SHORTEST_GAP)
    assert rollouts(operator.cluster) == 3
    assert await operator.waits() is None
    assert "ConfigurationWaits" not in ready(operator.cluster)["message"]


async def test_a_change_that_waits_keeps_no_place_of_rollouts_that_no_user_requested() -> None:
    operator = await started(**ENV_FROM)
    operator.policy, operator.gate = NODES, RolloutGate(1)
    operator.restart()
    await operator.settle()
    assert not operator.gate.enter("another")
    operator.maps.contents["settings"] = "level: debug"
    assert await operator.waits() is not None
    assert operator.gate.enter("another"), "its pods are ready"


async def test_a_rollout_that_could_not_be_written_is_tried_again() -> None:
    operator = await started(**ENV_FROM)
    operator.maps.contents["settings"] = "level: debug"
    await operator.settle()

    def refuse() -> None:
        raise Transient("connection reset")

    undisturbed, operator.cluster.before_apply = operator.cluster.before_apply, refuse
    for _ in range(3):
        with pytest.raises(Transient):
            await operator.after(QUIET)
    operator.cluster.before_apply = undisturbed
    await operator.after(1)
    assert rollouts(operator.cluster) == 1


async def test_what_is_taken_back_in_time_restarts_nothing() -> None:
    operator = await started(**ENV_FROM)
    for content in ("level: debug", "level: info"):
        operator.maps.contents["settings"] = content
        await operator.settle()
    await operator.after(LONGEST_QUIET)
    assert rollouts(operator.cluster) == 0


async def test_a_change_while_the_operator_was_away_is_carried_out() -> None:
    operator = await started(**ENV_FROM)
    operator.maps.contents["settings"] = "level: debug"
    operator.restart()
    await operator.settle()
    await operator.after(QUIET)
    assert rollouts(operator.cluster) == 1
    operator.restart()
    await operator.settle()
    await operator.after(LONGEST_QUIET)
    assert rollouts(operator.cluster) == 1


async def test_objects_of_an_earlier_release_are_not_restarted_by_the_first_look_but_by_the_first_change() -> None:
    operator = await started(**ENV_FROM)
    operator.cluster.edit(DEPLOYMENT, "metadata", "annotations", CONFIG_ANNOTATION, value=None)
    operator.maps.contents["settings"] = "level: debug"
    operator.restart()
    await operator.settle()
    await operator.after(LONGEST_QUIET)
    assert rollouts(operator.cluster) == 0
    operator.maps.contents["settings"] = "level: error"
    await operator.settle()
    await operator.after(QUIET)
    assert rollouts(operator.cluster) == 1


async def test_an_edit_of_the_object_as_well_gets_one_rollout() -> None:
    operator = await started(**ENV_FROM)
    operator.maps.contents["settings"] = "level: debug"
    await operator.settle()
    change(operator.cluster, **ENV_FROM, port=9000)
    await operator.settle()
    assert rollouts(operator.cluster) == 1
    await operator.after(LONGEST_QUIET)
    assert rollouts(operator.cluster) == 1
    fresh = [fresh for _, _, fresh in operator.maps.asked]
    assert True in fresh, "the watch may not have told of the change yet"
    assert fresh[-1] is False


async def test_another_reference_is_one_rollout() -> None:
    operator = await started(**ENV_FROM)
    operator.maps.contents["flags"] = "on"
    change(operator.cluster, **ENV_FROM, **OPTIONAL)
    await operator.settle()
    await operator.after(LONGEST_QUIET)
    assert rollouts(operator.cluster) == 1
    operator.maps.contents["flags"] = "off"
    await operator.settle()
    await operator.after(QUIET)
    assert rollouts(operator.cluster) == 2


async def test_without_references_the_pods_are_those_of_an_object_that_never_had_any() -> None:
    operator = await started(**ENV_FROM)
    operator.maps.contents["settings"] = "level: debug"
    await operator.settle()
    await operator.after(QUIET)
    assert stamp(operator.cluster)
    change(operator.cluster)
    await operator.settle()
    never = await started()
    assert template(operator.cluster)["spec"] == template(never.cluster)["spec"]
    assert stamp(operator.cluster) is None
    assert CONFIG_ANNOTATION not in operator.cluster.objects[DEPLOYMENT]["metadata"]["annotations"]
    assert KEY in operator.maps.forgotten


async def test_an_optional_one_that_appears_restarts_the_pods() -> None:
    operator = await started(**OPTIONAL)
    operator.maps.contents["flags"] = "on"
    await operator.settle()
    await operator.after(QUIET)
    assert rollouts(operator.cluster) == 1


async def test_what_is_missing_heals_by_itself_when_it_appears() -> None:
    operator = Operator(cluster_with(**ENV_FROM), ConfigMaps(contents={}))
    await operator.settle()
    operator.maps.contents["settings"] = "level: info"
    await operator.settle()
    await operator.after(LONGEST_QUIET)
    assert rollouts(operator.cluster) == 0, "the kubelet starts the pods that waited for it"
    operator.maps.contents["settings"] = "level: debug"
    await operator.settle()
    await operator.after(QUIET)
    assert rollouts(operator.cluster) == 1


@pytest.mark.parametrize(("content", "restarts"), [("level: info", 0), ("level: debug", 1)])
async def test_one_that_is_deleted_restarts_nothing_until_it_comes_back_as_another(content: str, restarts: int) -> None:
    operator = await started(**ENV_FROM)
    del operator.maps.contents["settings"]
    await operator.settle()
    await operator.after(LONGEST_QUIET)
    assert rollouts(operator.cluster) == 0, "new pods could not start"
    operator.maps.contents["settings"] = content
    await operator.settle()
    await operator.after(QUIET)
    assert rollouts(operator.cluster) == restarts


async def test_where_the_app_reads_its_files_again_nothing_is_followed() -> None:
    operator = await started(**ENV_FROM, **NO_RESTART)
    operator.maps.contents["settings"] = "level: debug"
    await operator.settle()
    await operator.after(LONGEST_QUIET)
    assert rollouts(operator.cluster) == 0
    assert operator.maps.asked == []


async def test_switching_it_off_and_on_restarts_nothing() -> None:
    operator = await started(**ENV_FROM)
    operator.maps.contents["settings"] = "level: debug"
    await operator.settle()
    await operator.after(QUIET)
    for fields in (NO_RESTART, {}):
        change(operator.cluster, **ENV_FROM, **fields)
        await operator.settle()
        await operator.after(LONGEST_QUIET)
    assert rollouts(operator.cluster) == 1


async def test_a_paused_object_waits_until_it_is_active() -> None:
    operator = await started(**ENV_FROM)
    change(operator.cluster, **ENV_FROM, reconciliation="Paused")
    operator.maps.contents["settings"] = "level: debug"
    await operator.settle()
    await operator.after(LONGEST_QUIET)
    assert rollouts(operator.cluster) == 0
    change(operator.cluster, **ENV_FROM)
    await operator.settle()
    assert rollouts(operator.cluster) == 1


async def test_who_changes_the_configuration_has_asked_for_the_rollout() -> None:
    operator = await started(**ENV_FROM)
    operator.policy, operator.gate = NODES, RolloutGate(0)
    operator.restart()
    await operator.settle()
    assert rollouts(operator.cluster) == 0, "a new default waits for its turn"
    operator.maps.contents["settings"] = "level: debug"
    await operator.settle()
    await operator.after(QUIET)
    assert rollouts(operator.cluster) == 1


async def test_without_the_right_the_rest_is_written_and_the_pods_stay() -> None:
    operator = await started(**ENV_FROM)
    operator.maps.contents["settings"] = "level: debug"
    await operator.settle()
    await operator.after(QUIET)
    operator.maps.error = Forbidden('GET ConfigMap: cannot get resource "configmaps"')
    change(operator.cluster, **ENV_FROM, service={"port": 8080})
    await operator.settle()
    assert operator.cluster.objects["Service", NAMESPACE, NAME]["spec"]["ports"][0]["port"] == 8080
    assert ready(operator.cluster)["reason"] == "Forbidden"
    assert rollouts(operator.cluster) == 1
    operator.maps.error = None
    await operator.settle()
    assert ready(operator.cluster)["reason"] != "Forbidden"
    assert rollouts(operator.cluster) == 1


SECRETS: dict[str, Any] = {"envFrom": [{"secretRef": {"name": name}} for name in ("d", "b", "a", "c", "e")]}


async def test_secrets_that_are_not_followed_are_reported_with_what_to_set() -> None:
    operator = await started(**SECRETS)
    (reported,) = operator.cluster.objects[API]["status"]["unsupported"]
    assert reported["field"] == "spec.rollout.restartOnConfigChange"
    assert "a change of Secret a, b, c and 2 more restarts no pods" in reported["reason"]
    assert "rbac.watchSecrets to true, or run kubectl rollout restart deployment/shop after" in reported["reason"]
    assert operator.maps.asked == []
    change(operator.cluster, **SECRETS, **NO_RESTART)
    await operator.settle()
    assert "unsupported" not in operator.cluster.objects[API]["status"]


async def test_where_secrets_are_followed_they_restart_pods_as_config_maps_do() -> None:
    operator = Operator(cluster_with(**ENV_FROM, env=[PASSWORD]), secrets=ConfigMaps({"db": "hunter2"}))
    await operator.settle()
    assert "unsupported" not in operator.cluster.objects[API]["status"]
    assert operator.secrets is not None
    operator.secrets.contents["db"] = "hunter3"
    operator.maps.contents["settings"] = "level: debug"
    await operator.settle()
    await operator.after(QUIET)
    assert rollouts(operator.cluster) == 1, "both changes together"


async def test_following_secrets_from_now_on_restarts_nothing() -> None:
    operator = await started(**ENV_FROM, env=[PASSWORD])
    operator.secrets = ConfigMaps({"db": "hunter2"})
    operator.restart()
    await operator.settle()
    await operator.after(LONGEST_QUIET)
    assert rollouts(operator.cluster) == 0


async def test_an_object_that_is_gone_is_forgotten() -> None:
    operator = await started(**ENV_FROM)
    operator.cluster.remove(API, operator.cluster.objects[API]["metadata"]["uid"])
    await operator.settle()
    assert operator.maps.forgotten == [KEY]


async def test_the_record_stays_the_same_from_one_release_to_the_next() -> None:
    operator = await started(**ENV_FROM, **OPTIONAL)
    record = operator.cluster.objects[DEPLOYMENT]["metadata"]["annotations"]["hca-operator.io/config"]
    assert record == "df19f095.abc61d657c8332e19fb03f1a71c47fb9", (
        "another digest of the same would restart the pods of every API: raise FORMAT with it"
    )
    assert data_digest({"data": {"a": "b"}, "binaryData": {"c": "ZA=="}}) == "8448c2d6ffb82dbc2a7021b9349e0e66"


async def test_equal_contents_of_two_objects_do_not_look_equal() -> None:
    records = []
    for uid in ("one", "another"):
        cluster = FakeCluster()
        cluster.put(manifest(uid=uid, **ENV_FROM))
        await Operator(cluster).settle()
        records.append(cluster.objects[DEPLOYMENT]["metadata"]["annotations"][CONFIG_ANNOTATION])
    assert records[0] != records[1]


async def test_changes_wait_for_each_other_while_another_child_is_refused() -> None:
    operator = await started(**ENV_FROM, traffic={"routes": [{"host": "shop.example.com"}]})
    operator.cluster.refuses = lambda call: Rejected("no") if "Ingress" in call else None
    change(operator.cluster, **ENV_FROM, traffic={"routes": [{"host": "other.example.com"}]})
    await operator.once(1)
    before = rollouts(operator.cluster)
    for number in range(60):
        operator.maps.contents["settings"] = f"level: {number}"
        for _ in range(2):
            await operator.once(5)
    assert rollouts(operator.cluster) - before <= 8, "sixty changes in ten minutes"


async def test_a_watch_that_lags_behind_rolls_nothing_back() -> None:
    operator = await started(**ENV_FROM)
    operator.maps.contents["settings"] = "level: debug"
    await operator.settle()
    await operator.after(QUIET)
    before = rollouts(operator.cluster)
    operator.restart()
    operator.maps.lagging = {"settings": "level: info"}
    for _ in range(10):
        await operator.after(QUIET)
    assert rollouts(operator.cluster) == before
