"""Which pod is to be replaced, from samples of its memory."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hca_operator.controller.memory_poller import MemoryPoller
from hca_operator.core.errors import TooLarge, Transient
from hca_operator.core.names import Manifest
from hca_operator.core.ports import Key
from hca_operator.core.timestamps import parse_time, time_text
from hca_operator.desired.sizing import size
from hca_operator.restarts.memory_trend import (
    KEPT_SAMPLES,
    PATIENCE,
    MemoryTracker,
    Sample,
    bytes_per_second,
    memory_policy,
    over_threshold,
    reaches_limit,
    seconds_to_limit,
)
from tests.unit.operator import virtual_time
from tests.unit.operator.objects import NAME, NAMESPACE, resources, spec

MIB = 1024**2
KEY = Key(NAMESPACE, NAME)
START = parse_time("2026-01-02T03:00:00Z")
HOSTED = memory_policy(spec(), size(spec()))
"""512 MiB, 90 percent, three samples, 75 seconds until a new pod serves."""
assert HOSTED is not None
POLICY = HOSTED


def history(*mebibytes: float, each: float = 15.0) -> tuple[Sample, ...]:
    return tuple(Sample(number * each, int(used * MIB)) for number, used in enumerate(mebibytes))


def test_the_policy_follows_from_the_object() -> None:
    assert (POLICY.limit, POLICY.threshold, POLICY.samples, POLICY.lead) == (512 * MIB, 483183820, 3, 75.0)
    disabled = spec(memoryRestart={"mode": "Disabled"})
    assert memory_policy(disabled, size(disabled)) is None


def test_the_limit_is_that_of_one_pod() -> None:
    apart = spec(workers={"placement": "OnePerPod"}, **resources("2", "1Gi"))
    policy = memory_policy(apart, size(apart))
    assert policy is not None
    assert policy.limit == 512 * 2**20


@pytest.mark.parametrize(
    ("used", "due"),
    [
        ((470, 480, 490), True),
        ((470, 400, 490), False),  # a spike is forgiven, and so is what comes after it
        ((470, 480), False),
        ((100, 100, 461, 461, 461), True),
        ((460, 460, 460), False),
    ],
)
def test_a_pod_is_due_when_it_is_at_the_threshold_with_each_of_its_last_samples(
    used: tuple[float, ...], *, due: bool
) -> None:
    assert over_threshold(history(*used), POLICY) is due


@pytest.mark.parametrize(
    ("used", "due"),
    [
        ((300, 330, 360, 390), True),  # 2 MiB a second: at 512 MiB in a minute
        ((300, 310, 320, 330), False),  # there are four minutes left
        ((300, 360, 350, 390), False),  # it fell meanwhile
        ((0, 60, 120, 180), False),  # that is how a pod starts
        ((330, 360, 390), False),  # not enough samples
    ],
)
def test_a_pod_that_grows_fast_is_due_before_the_threshold(used: tuple[float, ...], *, due: bool) -> None:
    assert reaches_limit(history(*used), POLICY) is due


@settings(deadline=None)
@given(rate=st.integers(-5, 5), count=st.integers(2, KEPT_SAMPLES), start=st.integers(100, 400))
def test_growth_is_the_slope_of_the_samples(rate: int, count: int, start: int) -> None:
    samples = history(*(start + rate * 15 * number for number in range(count)))
    assert bytes_per_second(samples) == pytest.approx(rate * MIB)


def test_one_sample_has_no_growth() -> None:
    assert bytes_per_second(history(100)) == 0


@pytest.mark.parametrize(
    ("used", "seconds"),
    [
        ((300, 330, 360), 76.0),  # 2 MiB a second, and 152 are left
        ((512, 513), 0.0),
        ((300, 300), None),
        ((300, 290), None),
        ((300,), None),
    ],
)
def test_the_time_to_the_limit_goes_on_as_the_samples_do(used: tuple[float, ...], seconds: float | None) -> None:
    assert seconds_to_limit(history(*used), POLICY) == (None if seconds is None else pytest.approx(seconds))


def reading(pod: str, mebibytes: float, number: int, **labels: str) -> Manifest:
    return {
        "metadata": {"name": pod, "namespace": NAMESPACE, "labels": {"hca-operator.io/api": NAME, **labels}},
        "timestamp": time_text(START + timedelta(seconds=15 * number)),
        "containers": [
            {"name": "api", "usage": {"memory": f"{int(mebibytes * 1024)}Ki"}},
            {"name": "sidecar", "usage": {"memory": "1Gi"}},
        ],
    }


def book(*samples: float, pod: str = "shop-1") -> MemoryTracker:
    memory = MemoryTracker()
    memory.track(KEY, POLICY)
    for number, used in enumerate(samples):
        memory.take([reading(pod, used, number)])
    return memory


def first(memory: MemoryTracker) -> str | None:
    """The pod that is looked at first."""
    near = memory.near(KEY)
    return next(iter(near.histories)) if near else None


def test_the_largest_of_the_pods_that_are_due_goes_first() -> None:
    memory = MemoryTracker()
    memory.track(KEY, POLICY)
    for number in range(3):
        changed = memory.take([reading(f"shop-{pod}", 465 + pod, number) for pod in (1, 3, 2)])
    assert (first(memory), changed) == ("shop-3", {KEY})


def test_a_sample_that_is_repeated_is_one_sample() -> None:
    memory = book()
    for _ in range(5):
        memory.take([reading("shop-1", 500, 0)])
    assert first(memory) is None


def test_samples_with_a_gap_between_them_are_not_in_a_row() -> None:
    memory = book(500, 500)
    memory.take([reading("shop-1", 500, 6)])
    assert first(memory) is None


def test_a_pod_that_has_gone_or_is_being_replaced_is_not_due() -> None:
    memory = book(500, 500, 500)
    assert first(memory) == "shop-1"
    assert memory.take([reading("shop-1", 500, 3, **{"hca-operator.io/replaced": "memory"})]) == {KEY}
    assert first(memory) is None
    memory = book(500, 500, 500)
    memory.take([])
    assert first(memory) is None
    assert memory.trends() == {}


def test_an_object_without_a_policy_has_no_pod_that_is_due() -> None:
    memory = book(500, 500, 500)
    memory.track(KEY, None)
    assert first(memory) is None


@pytest.mark.parametrize(
    ("limit", "used", "due"), [(1024, 600, False), (1024, 930, True), (256, 200, False), (256, 240, True)]
)
def test_a_pod_is_judged_by_the_limit_that_it_was_seen_to_have(limit: int, used: float, *, due: bool) -> None:
    memory = book()
    memory.keep_limits(KEY, {"shop-1": limit * MIB, "another": 32 * MIB})
    for number in range(3):
        memory.take([reading("shop-1", used, number)])
    assert (first(memory) is not None) is due
    trends = memory.trends()[KEY]
    assert trends.seconds_to_limit is None, "it does not grow"
    memory.take([reading("shop-1", used + 0.5, 3)])
    left = memory.trends()[KEY].seconds_to_limit
    assert left is not None
    assert left == pytest.approx((limit - used - 0.5) / (0.5 / 50), rel=0.01)


def test_the_trend_of_an_object_is_that_of_its_fastest_pod_and_of_the_one_that_is_full_first() -> None:
    memory = MemoryTracker()
    memory.track(KEY, POLICY)
    for number in range(3):
        memory.take([reading("shop-1", 100 + 30 * number, number), reading("shop-2", 500 + number, number)])
    assert memory.trends()[KEY] == pytest.approx((2 * MIB, 150))
    memory.track(KEY, None)
    assert memory.trends()[KEY].seconds_to_limit is None, "the limit is unknown"


def growing(memory: MemoryTracker, start: float, each: float, first: int = 0) -> list[bool]:
    """Whether a pod counts as growing, after each of KEPT_SAMPLES readings; the object is due when that changes."""
    found = []
    for number in range(first, first + KEPT_SAMPLES):
        before = memory.grows(KEY), memory.has_reading(KEY)
        changed = memory.take([reading("shop-1", start + each * (number - first), number)])
        assert (KEY in changed) == (before != (memory.grows(KEY), memory.has_reading(KEY)))
        found.append(memory.grows(KEY))
    return found


def test_a_pod_grows_when_it_has_for_five_minutes_and_would_be_full_within_an_hour() -> None:
    assert growing(book(), 300, 1) == [False] * (KEPT_SAMPLES - 1) + [True], "193 MiB are left: 48 minutes"
    assert not any(growing(book(), 300, 0.5)), "101 minutes"
    assert not any(growing(book(), 300, -1))
    assert not any(growing(book(), 100, 5)), "that is how a pod starts"


def test_a_pod_that_grows_a_little_slower_still_grows_and_one_that_stops_does_not() -> None:
    memory = book()
    growing(memory, 300, 1)
    assert all(growing(memory, 320, 0.5, first=KEPT_SAMPLES)), "between one hour and two, what was said holds"
    assert not growing(memory, 330, 0, first=2 * KEPT_SAMPLES)[-1]


def test_nothing_grows_whose_memory_cannot_be_read() -> None:
    memory = book()
    growing(memory, 300, 1)
    memory.fail(absent=True)
    assert not memory.grows(KEY)


@pytest.mark.parametrize("spoilt", [{"containers": None}, {"timestamp": "?"}, {"containers": [{"name": "api"}]}])
def test_a_reading_that_does_not_say_is_passed_over(spoilt: Manifest) -> None:
    memory = book(500, 500)
    memory.take([reading("shop-1", 500, 2) | spoilt])
    assert first(memory) is None


class Source:
    """A metrics API that answers as it is set: a reading, None where it is absent, or an error."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, str, dict[str, str]]] = []

    async def readings(self, kind: str, namespace: str, **selectors: str) -> list[Manifest] | None:
        self.asked.append((kind, namespace, selectors))
        answer: list[Manifest] | Exception | None = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


async def read(source: Source) -> list[bool | None]:
    """Whether memory counts as known after each reading."""
    memory = MemoryTracker()
    reader = MemoryPoller(source, memory, "", observe_trends=lambda _trends: None)
    found = []
    for _ in range(len(source.answers)):
        await reader.read()
        found.append(memory.available)
    return found


def test_an_object_is_read_once_a_pod_of_it_was_and_for_a_minute_after_the_last() -> None:
    memory = book()
    assert memory.take([]) == set()
    assert not memory.has_reading(KEY), "another object's pods were read, perhaps"
    assert memory.take([reading("shop-1", 100, 0)]) == {KEY}
    for _ in range(PATIENCE - 1):
        assert memory.take([]) == set()
        assert memory.has_reading(KEY), "a rollout, as a rule"
    assert memory.take([]) == {KEY}
    assert not memory.has_reading(KEY)
    memory.take([reading("shop-1", 100, 9)])
    memory.fail(absent=True)
    assert not memory.has_reading(KEY)


async def test_a_metrics_api_that_is_absent_is_unknown_at_once_and_one_that_fails_after_a_while() -> None:
    assert await read(Source(None, [])) == [False, True]
    failing = [Transient("503")] * (PATIENCE + 1)
    assert await read(Source([], *failing, [])) == [*[True] * PATIENCE, False, False, True]
    assert await read(Source(*failing[1:])) == [*[None] * (PATIENCE - 1), False]


async def test_fault_69_pods_whose_memory_is_too_much_to_read_at_once_are_read_by_namespace() -> None:
    memory = MemoryTracker()
    for key in (KEY, Key("hostile", "shop")):
        memory.track(key, POLICY)
    source = Source(TooLarge("all"), [reading("shop-1", 500, 0, other="x")], TooLarge("hostile"))
    await MemoryPoller(source, memory, "", observe_trends=lambda _trends: None).read()
    assert [namespace for _, namespace, _ in source.asked] == ["", "default", "hostile"]
    assert (memory.available, memory.has_reading(KEY)) == (True, True)


def test_all_pods_are_read_with_one_request_every_fifteen_seconds() -> None:
    source = Source(*[[reading("shop-1", 500, number), reading("shop-2", 100, number)] for number in range(4)])
    memory = MemoryTracker()
    memory.track(KEY, POLICY)
    changed: list[Key] = []

    async def forever() -> None:
        reader = MemoryPoller(source, memory, "", observe_trends=lambda _trends: None)

        async def leading() -> None:
            if not source.answers:
                raise EOFError

        await reader.run(leading=leading, changed=changed.append, all_changed=lambda: None)

    with pytest.raises(EOFError):
        virtual_time.run(forever())
    selector = {"labelSelector": "app.kubernetes.io/managed-by=hca-operator"}
    assert source.asked == [("PodMetrics", "", selector)] * 4
    assert changed == [KEY] * 3, "known with the first reading, due with the third, and still with the fourth"
