"""Conditions in other processes, which nothing announces."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(condition: Callable[[], T], *, seconds: float = 120) -> T:
    """Return the first true value of the condition, which is polled. AssertionError after `seconds`.

    A machine that has other things to do starts a server in many times the second that it takes alone.
    """
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, f"not so within {seconds} s"
        time.sleep(0.05)
    return value
