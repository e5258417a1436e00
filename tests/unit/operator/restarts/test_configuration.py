"""A changed ConfigMap restarts the pods once, and nothing else does: through the reconcile, on a cluster in memory."""

from typing import Any

import pytest

from hca_operator.core.errors import Forbidden, Rejected, Transient
from hca_operator.core.names import CONFIG_ANNOTATION
from hca_operator.kube.config_digests import data_digest
from hca_operator.restarts.debounce import LONGEST_QUIET_SECONDS, QUIET_SECONDS, SHORTEST_GAP_SECONDS
from hca_operator.restarts.rollout_gate import RolloutGate
from tests.unit.operator.fake_cluster import FakeCluster
from tests.unit.operator.objects import NAME, NAMESPACE, manifest
from tests.unit.operator.reconcile.passes import DEPLOYMENT, NODES, change, ready
from tests.unit.operator.restarts.config_maps import ENV_FROM, OPTIONAL, Operator, rollouts, stamp, started


@pytest.mark.parametrize("fields", [{}, ENV_FROM, OPTIONAL], ids=str)
async def test_the_pods_of_a_new_object_are_those_that_render_shows(fields: dict[str, Any]) -> None:
    operator = await started(**fields)
    assert stamp(operator.cluster) is None
    assert (CONFIG_ANNOTATION in operator.cluster.objects[DEPLOYMENT]["metadata"]["annotations"]) == bool(fields)


async def test_a_change_is_one_rollout_after_a_moment_of_quiet() -> None:
    operator = await started(**ENV_FROM)
    operator.maps.contents["settings"] = "level: debug"
    assert await operator.waits() == QUIET_SECONDS
    assert rollouts(operator.cluster) == 0
    await operator.after(QUIET_SECONDS)
    assert rollouts(operator.cluster) == 1
    assert stamp(operator.cluster)
    await operator.after(LONGEST_QUIET_SECONDS)
    assert await operator.waits() is None
    assert rollouts(operator.cluster) == 1


async def test_a_burst_is_one_rollout() -> None:
    operator = await started(**ENV_FROM)
    for number in range(10):
        operator.maps.contents["settings"] = f"level: {number}"
        await operator.after(1)
    await operator.after(QUIET_SECONDS)
    assert rollouts(operator.cluster) == 1


async def test_the_next_change_waits_longer_and_is_not_lost() -> None:
    operator = await started(**ENV_FROM)
    for content in ("b", "c"):
        operator.maps.contents["settings"] = content
        await operator.settle()
        await operator.after(QUIET_SECONDS)
    assert rollouts(operator.cluster) == 1
    assert await operator.waits() == SHORTEST_GAP_SECONDS - QUIET_SECONDS
    await operator.after(SHORTEST_GAP_SECONDS)
    assert rollouts(operator.cluster) == 2


async def test_a_change_that_waits_for_long_is_reported() -> None:
    operator = await started(**ENV_FROM)
    for content in ("b", "c"):
        operator.maps.contents["settings"] = content
        await operator.settle()
        await operator.after(SHORTEST_GAP_SECONDS)
    assert rollouts(operator.cluster) == 2
    operator.maps.contents["settings"] = "d"
    assert await operator.waits() == 2 * SHORTEST_GAP_SECONDS
    assert ready(operator.cluster)["status"] == "True"
    assert "ConfigurationWaits: a changed ConfigMap" in ready(operator.cluster)["message"]
    await operator.after(2 * SHORTEST_GAP_SECONDS)
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
            await operator.after(QUIET_SECONDS)
    operator.cluster.before_apply = undisturbed
    await operator.after(1)
    assert rollouts(operator.cluster) == 1


async def test_what_is_taken_back_in_time_restarts_nothing() -> None:
    operator = await started(**ENV_FROM)
    for content in ("level: debug", "level: info"):
        operator.maps.contents["settings"] = content
        await operator.settle()
    await operator.after(LONGEST_QUIET_SECONDS)
    assert rollouts(operator.cluster) == 0


async def test_a_change_while_the_operator_was_away_is_carried_out() -> None:
    operator = await started(**ENV_FROM)
    operator.maps.contents["settings"] = "level: debug"
    operator.restart()
    await operator.settle()
    await operator.after(QUIET_SECONDS)
    assert rollouts(operator.cluster) == 1
    operator.restart()
    await operator.settle()
    await operator.after(LONGEST_QUIET_SECONDS)
    assert rollouts(operator.cluster) == 1


async def test_objects_of_an_earlier_release_are_not_restarted_by_the_first_look_but_by_the_first_change() -> None:
    operator = await started(**ENV_FROM)
    operator.cluster.edit(DEPLOYMENT, "metadata", "annotations", CONFIG_ANNOTATION, value=None)
    operator.maps.contents["settings"] = "level: debug"
    operator.restart()
    await operator.settle()
    await operator.after(LONGEST_QUIET_SECONDS)
    assert rollouts(operator.cluster) == 0
    operator.maps.contents["settings"] = "level: error"
    await operator.settle()
    await operator.after(QUIET_SECONDS)
    assert rollouts(operator.cluster) == 1


async def test_an_edit_of_the_object_as_well_gets_one_rollout() -> None:
    operator = await started(**ENV_FROM)
    operator.maps.contents["settings"] = "level: debug"
    await operator.settle()
    change(operator.cluster, **ENV_FROM, port=9000)
    await operator.settle()
    assert rollouts(operator.cluster) == 1
    await operator.after(LONGEST_QUIET_SECONDS)
    assert rollouts(operator.cluster) == 1
    fresh = [fresh for _, _, fresh in operator.maps.asked]
    assert True in fresh, "the watch may not have reported the change yet"
    assert fresh[-1] is False


async def test_a_paused_object_waits_until_it_is_active() -> None:
    operator = await started(**ENV_FROM)
    change(operator.cluster, **ENV_FROM, reconciliation="Paused")
    operator.maps.contents["settings"] = "level: debug"
    await operator.settle()
    await operator.after(LONGEST_QUIET_SECONDS)
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
    await operator.after(QUIET_SECONDS)
    assert rollouts(operator.cluster) == 1


async def test_without_the_right_the_rest_is_written_and_the_pods_stay() -> None:
    operator = await started(**ENV_FROM)
    operator.maps.contents["settings"] = "level: debug"
    await operator.settle()
    await operator.after(QUIET_SECONDS)
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
    await operator.after(QUIET_SECONDS)
    before = rollouts(operator.cluster)
    operator.restart()
    operator.maps.lagging = {"settings": "level: info"}
    for _ in range(10):
        await operator.after(QUIET_SECONDS)
    assert rollouts(operator.cluster) == before
