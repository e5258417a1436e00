"""What becomes of the count when the load jumps: minutes of it, played through second by second."""

import math
from datetime import timedelta
from typing import Any

import pytest

from hca_operator.api.metric_types import REQUESTS_PER_SECOND
from hca_operator.core.errors import Forbidden, Transient
from hca_operator.core.names import Manifest
from hca_operator.core.observed import condition
from hca_operator.core.timestamps import time_text
from hca_operator.scaling.burst import BurstTracker, Load
from hca_operator.scaling.capabilities import OFF, ExternalMetrics
from tests.unit.operator.fake_cluster import FakeCluster
from tests.unit.operator.objects import manifest
from tests.unit.operator.reconcile.passes import API, AUTOSCALER, DEPLOYMENT, KEY, reconciler
from tests.unit.operator.scaling.burst_world import (
    BURST_WINDOW_SECONDS,
    IN_FLIGHT,
    JUMP,
    RATE,
    START,
    SYNC,
    WINDOW,
    World,
    counts,
    floors,
    step,
)


async def test_a_step_raises_the_count_before_the_next_look_and_the_floor_goes_after_its_window() -> None:
    world = World()
    moments = await world.play(step(0.8, 4.5), until=180)
    (raised, ended) = floors(moments)
    assert raised[1] == 5
    assert JUMP < raised[0] < JUMP + SYNC - 3, "before the autoscaler's next look"
    assert ended == (raised[0] + WINDOW, 1)
    assert counts(moments) == [(raised[0], 5)], "one change, which is not taken back"
    assert world.raises == 1


async def test_a_burst_is_in_the_status_the_condition_and_the_events_while_it_lasts() -> None:
    world = World()
    moments = await world.play(step(0.8, 4.5), until=60)
    until = time_text(START + timedelta(seconds=floors(moments)[0][0] + WINDOW))
    assert world.cluster.objects[API]["status"]["burst"] == {"replicas": 5, "until": until}
    assert (moments[-1].reported["status"], moments[-1].reported["reason"]) == ("True", "BurstInForce")
    assert moments[-1].reported["message"] == (
        f"the HorizontalPodAutoscaler has its metrics; a jump of the load asks for at least 5 pods until {until}"
    )
    moments = await world.play(step(0.8, 4.5), until=180)
    assert not world.cluster.objects[API]["status"].get("burst")
    assert moments[-1].reported["reason"] == "ScalingActive"
    reported = [(event["type"], event["reason"]) for event in world.cluster.events]
    assert [entry for entry in reported if entry[1] in {"BurstInForce", "ScalingActive"}] == [
        ("Normal", "BurstInForce"),
        ("Normal", "ScalingActive"),
    ]


@pytest.mark.parametrize("height", [3.0, 30.0], ids=str)
async def test_one_lonely_sample_is_no_burst_however_high_it_is(height: float) -> None:
    world = World()
    moments = await world.play(lambda second: height if second == JUMP else 0.8, until=JUMP + SYNC - 4)
    assert (floors(moments), world.raises) == ([], 0)


async def test_a_load_below_the_threshold_is_left_to_the_autoscaler() -> None:
    world = World(minReplicas=2)
    moments = await world.play(step(1.5, 3.9), until=180)
    assert (floors(moments), world.raises) == ([], 0)
    assert moments[-1].pods == 4


async def test_requests_that_pile_up_while_pods_start_raise_the_count_no_second_time() -> None:
    world = World(starts_within=40, metric=IN_FLIGHT, maxReplicas=100)
    # Five pods' worth comes, and what one pod cannot take waits, ever more of it.
    moments = await world.play(lambda second: 0.8 if second < JUMP else 5 + (second - JUMP), until=JUMP + SYNC - 4)
    assert len(floors(moments)) == 1
    assert world.raises == 1


async def test_a_load_that_grows_while_pods_start_raises_the_count_again() -> None:
    world = World(starts_within=40)
    moments = await world.play(lambda second: 0.8 if second < 16 else 2.5 if second < 31 else 9.5, until=45)
    assert [least for _, least in floors(moments)] == [3, 10]
    assert world.raises == 2


async def test_a_ramp_is_followed_and_the_count_is_never_more_than_it_needs() -> None:
    def ramp(second: int) -> float:
        return 0.8 + max(0, second - JUMP) / 10

    world = World()
    moments = await world.play(ramp, until=JUMP + 90)
    assert all(moment.pods <= max(1, math.ceil(ramp(moment.second))) for moment in moments)
    assert counts(moments) == sorted(counts(moments), key=lambda change: change[1]), "it never falls"
    assert moments[-1].pods >= 9


async def test_each_of_several_steps_is_met_and_the_last_one_ends_last() -> None:
    world = World(maxReplicas=40)
    load = lambda second: 0.8 if second < 33 else 3.8 if second < 63 else 12.5  # noqa: E731
    moments = await world.play(load, until=240)
    (first, second, end) = floors(moments)
    assert (first[1], second[1], end) == (4, 13, (second[0] + WINDOW, 1))
    assert world.raises == 2
    assert [pods for _, pods in counts(moments)] == [4, 13]


async def test_an_operator_that_starts_again_in_the_middle_ends_it_on_time() -> None:
    world = World()
    before = await world.play(step(0.8, 4.5), until=60)
    world.restart()
    after = await world.play(step(0.8, 4.5), until=180)
    (raised, ended) = floors(before + after)
    assert ended == (raised[0] + WINDOW, 1)
    assert world.raises == 1


async def test_an_operator_that_starts_again_before_the_count_was_raised_raises_it() -> None:
    world = World()
    await world.play(step(0.8, 0.8), until=JUMP)
    until = time_text(START + timedelta(seconds=JUMP + 40))
    world.cluster.edit(API, "status", "burst", value={"replicas": 5, "until": until})
    world.restart()
    await world._operator.reconcile(KEY)
    assert (world._count, world.raises) == (5, 1)
    assert floors(await world.play(step(0.8, 0.8), until=90)) == [(JUMP + 40, 1)]


async def test_metrics_that_go_in_the_middle_neither_prolong_it_nor_drop_a_pod() -> None:
    world = World()
    moments = await world.play(lambda second: None if second >= 50 else step(0.8, 4.5)(second), until=180)
    (raised, ended) = floors(moments)
    assert ended == (raised[0] + WINDOW, 1)
    assert moments[-1].pods == 5


async def test_a_load_that_falls_in_the_middle_keeps_its_pods_until_the_end() -> None:
    world = World()
    moments = await world.play(lambda second: 4.5 if JUMP <= second < 50 else 0.8, until=180)
    (raised, ended) = floors(moments)
    assert ended == (raised[0] + WINDOW, 1)
    (_, fallen) = counts(moments)
    assert fallen[0] >= ended[0]
    assert fallen[1] == 1


@pytest.mark.parametrize(
    "autoscaling",
    [
        {"burst": {"mode": "Disabled"}},
        {"hold": "ScaleUp"},
        {"hold": "Both"},
        {"behavior": {"scaleUp": {"selectPolicy": "Disabled"}}},
        {"maxReplicas": 1},
    ],
    ids=str,
)
async def test_where_it_is_forbidden_nothing_happens(autoscaling: dict[str, Any]) -> None:
    world = World(**autoscaling)
    moments = await world.play(step(0.8, 4.5), until=JUMP + SYNC - 4)
    assert (floors(moments), world.raises) == ([], 0)


async def test_holding_the_other_direction_does_not_forbid_it() -> None:
    world = World(hold="ScaleDown")
    await world.play(step(0.8, 4.5), until=JUMP + SYNC - 4)
    assert world.raises == 1


async def test_the_most_pods_that_there_may_be_bound_it() -> None:
    world = World(maxReplicas=3)
    moments = await world.play(step(0.8, 9), until=JUMP + SYNC - 4)
    assert [least for _, least in floors(moments)] == [3]


async def test_the_greatest_of_all_floors_holds_and_each_ends_by_itself() -> None:
    shift = {"name": "early", "cron": "1 0 * * *", "duration": "5m", "minReplicas": 4}
    moments = await World(schedules=[shift]).play(step(0.8, 6.5), until=400)
    (raised, ended, over) = floors(moments)
    assert raised[1] == 7
    assert (ended, over) == ((raised[0] + WINDOW, 4), (360, 1))


async def test_a_count_that_the_autoscaler_has_just_raised_further_is_not_taken_back() -> None:
    world = World()
    await world.play(step(0.8, 4.5), until=JUMP)
    bursts, cluster = world._bursts, world.cluster
    for second in (0, 2, 6):
        bursts.take(
            {KEY: {REQUESTS_PER_SECOND.external: Load(225, BURST_WINDOW_SECONDS)}},
            world._now() + timedelta(seconds=second),
        )

    def raised_meanwhile() -> None:
        cluster.before_apply = lambda: None
        cluster.edit(DEPLOYMENT, "spec", "replicas", value=8)

    cluster.before_apply = raised_meanwhile
    with pytest.raises(Transient):
        await world._operator.reconcile(KEY)
    await world._reconcile()
    assert world._count == 8
    assert cluster.objects[AUTOSCALER]["spec"]["minReplicas"] == 5


async def test_without_the_right_to_scale_the_floor_still_comes_and_the_condition_says_what_is_missing() -> None:
    class Refusing(FakeCluster):
        async def scale(self, deployment: Manifest, pods: int) -> None:
            raise Forbidden(f"cannot update {deployment['kind']}/scale to {pods}")

    world = World()
    world.cluster.__class__ = Refusing
    moments = await world.play(step(0.8, 4.5), until=JUMP + SYNC - 4)
    assert [least for _, least in floors(moments)] == [5]
    assert condition(world.cluster.objects[API], "Ready")["reason"] == "Forbidden"


async def test_the_deployment_of_another_owner_is_not_scaled() -> None:
    world = World()
    await world.play(step(0.8, 4.5), until=JUMP + SYNC - 4)
    theirs = [{"apiVersion": "apps/v1", "kind": "Rollout", "name": "shop", "uid": "another", "controller": True}]
    world.cluster.edit(DEPLOYMENT, "metadata", "ownerReferences", value=theirs)
    world.cluster.edit(DEPLOYMENT, "spec", "replicas", value=2)
    await world._operator.reconcile(KEY)
    assert condition(world.cluster.objects[API], "Ready")["reason"] == "ResourceConflict"
    assert (world._count, world.raises) == (2, 1)


async def test_where_this_install_has_no_load_to_follow_status_says_so() -> None:
    cluster = FakeCluster()
    scaling = {"metrics": [RATE, {"name": "cpu", "type": "CPU", "cpu": {}}], "burst": {"mode": "Enabled"}}
    cluster.put(manifest(autoscaling=scaling))
    bursts = BurstTracker()
    await reconciler(cluster, bursts=bursts, external=ExternalMetrics(OFF)).reconcile(KEY)
    entry = cluster.objects[API]["status"]["unsupported"][-1]
    assert entry["field"] == "spec.autoscaling.burst"
    assert entry["reason"].startswith("bursts add no pods: the external metrics API of this install is off")
    assert len(bursts) == 0, "no object is followed"


async def test_an_object_that_is_gone_or_no_longer_wants_it_is_not_followed() -> None:
    world = World()
    await world.play(step(0.8, 0.8), until=20)
    assert len(world._bursts) == 1
    world.cluster.objects[API]["spec"]["reconciliation"] = "Paused"
    await world._operator.reconcile(KEY)
    assert len(world._bursts) == 0
    world.cluster.objects[API]["spec"]["reconciliation"] = "Active"
    await world._operator.reconcile(KEY)
    assert len(world._bursts) == 1
    del world.cluster.objects[API]
    await world._operator.reconcile(KEY)
    assert len(world._bursts) == 0
