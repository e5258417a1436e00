"""What the memory of a pod is judged by, and what MemoryHealthy says of it."""

from hca_operator.core.names import HASH_LABEL
from hca_operator.core.observed import condition
from hca_operator.restarts.memory_trend import KEPT_SAMPLES
from tests.unit.operator.objects import NAMESPACE
from tests.unit.operator.restarts.growing_pods import healthy, the_pod, with_pods
from tests.unit.operator.restarts.test_memory import KEY, reading
from tests.unit.operator.restarts.test_restarts import API


async def test_fault_49_a_pod_full_of_page_cache_stays() -> None:
    world = await with_pods(monitoring={"path": "/internal", "port": 9090})
    world.cluster.edit(("Pod", NAMESPACE, "shop-0"), "status", "podIP", value="10.0.0.8")
    world.workers_hold = [35 * 2**20]
    await world.step()
    assert world.asked == [("10.0.0.8", 9090, "/internal")]
    assert HASH_LABEL in the_pod(world)["metadata"]["labels"]
    assert healthy(world) == ("True", "MemoryWithinLimits")
    world.workers_hold = [430 * 2**20]
    await world.step()
    assert HASH_LABEL not in the_pod(world)["metadata"]["labels"]
    for _ in range(2):
        assert "page cache" not in condition(world.cluster.objects[API], "MemoryHealthy")["message"]
        await world.step()


async def test_a_pod_that_is_judged_by_its_working_set_alone_is_reported_as_such_until_it_has_gone() -> None:
    world = await with_pods()
    for _ in range(3):
        await world.step()
        shown = condition(world.cluster.objects[API], "MemoryHealthy")["message"]
        assert "it was judged by its working set, in which page cache counts" in shown


async def test_a_pod_whose_limit_was_raised_in_place_is_judged_by_that_one() -> None:
    world = await with_pods()
    raised = [{"name": "api", "resources": {"limits": {"memory": "1Gi"}}}]
    world.cluster.edit(("Pod", NAMESPACE, "shop-0"), "status", "containerStatuses", value=raised)
    await world.step()
    assert HASH_LABEL in the_pod(world)["metadata"]["labels"]
    assert not world.asked
    assert world.memory.near(KEY) is None, "it is no longer looked at"
    for number in range(3, 6):
        world.memory.take([reading("shop-0", 930, number)])
    await world.step()
    assert HASH_LABEL not in the_pod(world)["metadata"]["labels"]


async def test_what_cannot_be_read_is_unknown_and_nothing_is_done() -> None:
    world = await with_pods()
    world.memory.fail(absent=True)
    await world.step()
    assert healthy(world) == ("Unknown", "MetricsUnavailable")
    assert HASH_LABEL in the_pod(world)["metadata"]["labels"]
    world.restart_operator()
    assert (await world.look()).writes == ()
    assert healthy(world) == ("Unknown", "MetricsUnavailable"), "until that is known"
    world.memory.take([])
    await world.look()
    assert healthy(world) == ("Unknown", "MemoryNotRead"), "that of other objects can"
    world.restart_operator()
    await world.look()
    assert healthy(world) == ("Unknown", "MemoryNotRead"), "until that is known"
    world.memory.take([reading("shop-0", 100, 9)])
    await world.look()
    assert healthy(world) == ("True", "MemoryWithinLimits")


async def test_a_pod_that_grows_towards_its_limit_is_reported_before_it_is_near() -> None:
    world = await with_pods(1, replicas=1, autoscaling={"mode": "Disabled"})
    world.memory.take([])
    for number in range(KEPT_SAMPLES):
        world.memory.take([reading("shop-0", 300 + number, number)])
    await world.look()
    assert healthy(world) == ("True", "MemoryGrowing")
    before = len(world.cluster.writes)
    world.memory.take([reading("shop-0", 320.5, KEPT_SAMPLES)])
    await world.look()
    assert len(world.cluster.writes) == before, "the estimate changes all the time, and is a metric"
