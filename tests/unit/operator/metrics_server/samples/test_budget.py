"""How much memory samples may take, and whose are refused beyond it."""

import math

import pytest

from hca_operator.core.ports import Key
from hca_operator.metrics_server.samples.budget import Budget
from hca_operator.metrics_server.samples.exposition import PodSample
from hca_operator.metrics_server.samples.reading import Unknown
from hca_operator.metrics_server.samples.sample_store import SAMPLE_SIZE, SampleStore
from tests.unit.operator.metrics_server.samples.clocked_store import NOW, P95


def test_fault_43_an_object_whose_samples_are_too_large_is_unknown_and_no_other() -> None:
    clock = 0.0
    few = 12 * (SAMPLE_SIZE + 3)
    budget = Budget(few, 10 * few)
    signals = SampleStore(lambda: clock, budget=budget)
    large, small = Key("default", "large"), Key("default", "small")
    signals.follow(large, ["a"])
    signals.follow(small, ["a"])
    bounds = [*map(float, range(250)), math.inf]
    for second in range(0, 30, 2):
        clock = float(second)
        signals.add(large, "a", PodSample(buckets=dict.fromkeys(bounds, second)))
        signals.add(small, "a", PodSample(buckets={0.1: second, 0.5: second, math.inf: second}))
    assert signals.read(*small, P95, NOW).value == pytest.approx(0.095)
    with pytest.raises(Unknown, match="do not fit into the memory that an object may take: have the pods show"):
        signals.read(*large, P95, NOW)
    signals.follow(large, [])
    signals.forget(small)
    assert budget.total == 0


def test_fault_43_where_all_together_keep_too_much_it_is_the_largest_that_is_refused() -> None:
    budget = Budget(100, 120)
    for owner, amount in (("large", 80), ("small", 10), ("other", 10)):
        assert budget.admits(owner, amount)
        budget.add(owner, amount)
    assert not budget.admits("large", 21)
    budget.add("large", 20)
    assert not budget.admits("large", 1)
    assert budget.admits("small", 10)
    assert not budget.admits("small", 31)
    budget.add("large", -100)
    assert budget.admits("new", 60)
