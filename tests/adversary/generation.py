"""Examples of a strategy, outside of a test of Hypothesis."""

import multiprocessing
import resource
from collections.abc import Callable
from typing import TypeVar

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.strategies import SearchStrategy

T = TypeVar("T")
MOST_BYTES_OF_MEMORY = 4 * 10**9


def examples(make: Callable[[], SearchStrategy[T]], count: int, number: int | None) -> list[T]:
    """About so many. Without a number to begin with they are the same each time.

    In a process of their own, whose memory is bounded: what hostile input is made of may be costly in itself.
    """
    with multiprocessing.get_context("spawn").Pool(1, _bound_memory) as process:
        return process.apply(_examples, (make, count, number))


def _bound_memory() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES_OF_MEMORY, MOST_BYTES_OF_MEMORY))


def _examples(make: Callable[[], SearchStrategy[T]], count: int, number: int | None) -> list[T]:
    found: list[T] = []

    @settings(
        max_examples=count, derandomize=number is None, database=None, deadline=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(example=make())
    def collect(example: T) -> None:
        found.append(example)

    (collect if number is None else seed(number)(collect))()
    return found
