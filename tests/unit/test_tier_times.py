"""What --tier-times prints."""

from typing import Literal

import pytest

from tests.tier_times import SLOWEST, tier_times


def report(
    nodeid: str, start: float, stop: float, when: Literal["setup", "call", "teardown"] = "call"
) -> pytest.TestReport:
    return pytest.TestReport(nodeid, ("", None, ""), {}, "passed", None, when, (), stop - start, start, stop)


def test_a_tier_lasts_from_its_first_test_to_its_last_and_a_test_includes_its_setup() -> None:
    lines = tier_times(
        [
            report("tests/unit/test_a.py::test_one", 100, 102, "setup"),
            report("tests/unit/test_a.py::test_one", 102, 103),
            report("tests/unit/b/test_b.py::test_two", 101, 105),
            report("tests/e2e/test_c.py::test_three", 110, 170),
        ]
    )
    assert list(lines) == [
        "unit: 5 s for 2 tests, 7 s one after the other",
        "     4.0 s  tests/unit/b/test_b.py::test_two",
        "     3.0 s  tests/unit/test_a.py::test_one",
        "e2e: 60 s for 1 tests, 60 s one after the other",
        "    60.0 s  tests/e2e/test_c.py::test_three",
    ]


def test_of_many_tests_the_slowest_are_named() -> None:
    _, *slowest = tier_times(report(f"tests/unit/test_a.py::test_{number}", 0, number) for number in range(20))
    assert [line.split("_")[-1] for line in slowest] == [str(19 - rank) for rank in range(SLOWEST)]
