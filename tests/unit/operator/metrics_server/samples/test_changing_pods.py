"""What a total is while pods come and go, from samples at times that the test says."""

import math
from collections.abc import Mapping, Sequence

import pytest

from hca_operator.metrics_server.samples.exposition import PodSample
from hca_operator.metrics_server.samples.reading import Unknown
from hca_operator.metrics_server.samples.sample_store import WINDOW_SECONDS
from tests.unit.operator.metrics_server.samples.clocked_store import CONCURRENCY, NOW, RATE, SHOP, World, lately


def test_a_pod_counts_from_its_second_sample_and_does_not_make_the_load_look_greater_before() -> None:
    world = World("a", "b")
    for second in range(0, 20, 2):
        world.requests(a=50 * second, b=50 * second)
    world.signals.follow(SHOP, ["a", "b", "c"])
    # From here on each has a third of the load.
    world.requests(a=900 + 200 / 3, b=900 + 200 / 3, c=5000)
    assert 85 < world.value(RATE) < 100
    # What a and b had before is not added to what c has now.
    world.requests(a=900 + 400 / 3, b=900 + 400 / 3, c=5000 + 200 / 3)
    assert world.value(RATE) == 100


def test_the_load_of_a_pod_that_went_is_found_with_the_others() -> None:
    world = World("a", "b")
    for second in range(0, 20, 2):
        world.requests(a=50 * second, b=50 * second)
    world.signals.follow(SHOP, ["b"])
    world.requests(b=900 + 200)
    assert world.value(RATE) == 100


def test_a_pod_that_joined_and_has_no_sample_is_missing_after_the_window() -> None:
    world = World("a")
    world.requests(a=0)
    world.signals.follow(SHOP, ["a", "b"])
    for second in range(2, 10, 2):
        world.requests(a=10 * second)
        assert world.value(RATE) == 10
    for second in range(10, 20, 2):
        world.requests(a=10 * second)
    assert world.value(RATE) == 20, "b is taken to have as much"


def test_pods_that_were_there_at_the_start_are_not_taken_for_new_ones() -> None:
    world = World("a", "b", "c")
    world.requests(a=0)
    world.requests(a=10)
    assert "2 of its 3 serving pods" in world.unknown(RATE)


def test_samples_of_a_pod_that_went_go_with_it_and_late_ones_are_not_taken() -> None:
    world = World("a", "b")
    for _ in range(2):
        world.reported(a=PodSample(in_flight=3), b=PodSample(in_flight=5))
    assert world.value(CONCURRENCY) == 8
    world.signals.follow(SHOP, ["a"])
    assert world.value(CONCURRENCY) == 3
    world.reported(b=PodSample(in_flight=5))
    world.signals.follow(SHOP, ["a", "b"])
    assert world.value(CONCURRENCY) == 3, "what b reported before it was ready again is not known any more"


def test_a_pod_that_takes_the_place_of_another_is_missed_at_once() -> None:
    world = World("a", "b")
    for second in range(0, 20, 2):
        world.requests(a=50 * second, b=50 * second)
    world.signals.follow(SHOP, ["a", "b", "c"])
    world.signals.follow(SHOP, ["b", "c"])
    assert world.value(RATE) == 100


@pytest.mark.parametrize("window", [WINDOW_SECONDS, 5.0])
def test_fault_59_who_begins_to_read_does_not_make_up_for_pods_that_may_be_new(window: float) -> None:
    world = World("a", "b", "c", "d", begins=True)
    for second in range(2, 10, 2):
        world.requests(a=10 * second, b=10 * second)
        with pytest.raises(Unknown, match="of its 4 serving pods have no value for it"):
            world.signals.read(*SHOP, RATE, NOW, window_seconds=window)
    for second in range(10, 20, 2):
        world.requests(a=10 * second, b=10 * second)
    assert world.signals.read(*SHOP, RATE, NOW, window_seconds=window).value == 40, "c and d are missing by now"


def test_fault_59_a_pod_that_is_not_known_yet_makes_no_burst() -> None:
    world = World("a")
    for second in range(0, 20, 2):
        world.requests(a=10 * second)
    world.signals.follow(SHOP, ["a", "b"])
    for second in range(20, 28, 2):
        world.requests(a=10 * second)
        assert lately(world) == 10


def test_totals_are_extrapolated_from_half_of_the_pods_and_not_from_fewer() -> None:
    world = World("a", "b", "c", "d")
    for _ in range(2):
        world.reported(a=PodSample(in_flight=3), b=PodSample(in_flight=5))
    assert world.value(CONCURRENCY) == 16
    world = World("a", "b", "c", "d")
    for pod in ("b", "c", "d"):
        world.signals.fail(SHOP, pod, "no answer from /metrics on port 8000: open it")
    for _ in range(2):
        world.reported(a=PodSample(in_flight=3))
    assert world.unknown(CONCURRENCY) == (
        "hca-concurrency of default/shop is unknown: 3 of its 4 serving pods have no value for it; "
        "most often, no answer from /metrics on port 8000: open it"
    )


A, AB, ABCD = "a", "ab", "abcd"


@pytest.mark.parametrize("phases", [(0.0, 1.5, 0.5, 1.0), (1.75, 0.25, 0.75, 1.25), (0.0, 0.0, 0.0, 0.0)])
@pytest.mark.parametrize(
    ("changes", "least", "most"),
    [
        ({0: AB, 20: ABCD}, 0.7, 1.3),
        ({0: A, 20: ABCD}, 0.4, 1.5),
        ({0: AB, 20: "abc", 21: "bc", 26: "bcd", 27: "cd"}, 0.8, 1.05),
        ({0: ABCD, 20: AB}, 0.4, 1.05),
    ],
)
def test_while_pods_come_and_go_the_same_load_is_given_as_the_same(
    changes: Mapping[float, str], least: float, most: float, phases: Sequence[float]
) -> None:
    """Too little for a moment does no harm, for no autoscaler takes pods away at once; too much makes it add some."""
    world, counts, due, pods, reported = World(), dict.fromkeys(ABCD, 0.0), dict[str, float](), "", list[float]()
    began = world.now
    for step in range(200):
        world.now = began + step / 4
        if step / 4 in changes:
            new = changes[step / 4]
            due |= {pod: world.now + phases[ABCD.index(pod)] for pod in new if pod not in pods}
            pods = new
            world.signals.follow(SHOP, pods)
        for pod in pods:
            counts[pod] += 25 / len(pods)
            if world.now >= due[pod]:
                world.signals.add(SHOP, pod, PodSample(requests=counts[pod], in_flight=100 / len(pods)))
                due[pod] += 2
        if step > 30:
            reported += [world.value(RATE) / 100, world.value(CONCURRENCY) / 100]
    assert least <= min(reported) <= max(reported) <= most
    assert reported[-1] == pytest.approx(1, abs=0.01)
    assert math.fsum(reported) / len(reported) <= 1.01
