"""Where the time of a run went, tier by tier."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath

import pytest

SLOWEST = 10


def tier_times(reports: Iterable[pytest.TestReport]) -> Iterator[str]:
    """Lines that say how long each folder of tests took, from its first test to its last, and its slowest tests.

    A test has a report for its set-up, one for its call and one for its teardown. What several tests share, as a server
    that they start once, is in the time of the first or the last of them.
    """
    tiers: dict[str, dict[str, list[pytest.TestReport]]] = defaultdict(lambda: defaultdict(list))
    for report in reports:
        tiers[PurePosixPath(report.nodeid).parts[1]][report.nodeid].append(report)
    for tier, tests in tiers.items():
        seconds = {nodeid: sum(phase.duration for phase in phases) for nodeid, phases in tests.items()}
        phases = [phase for test in tests.values() for phase in test]
        wall = max(phase.stop for phase in phases) - min(phase.start for phase in phases)
        yield f"{tier}: {wall:.0f} s for {len(tests)} tests, {sum(seconds.values()):.0f} s one after the other"
        for nodeid in sorted(seconds, key=seconds.__getitem__, reverse=True)[:SLOWEST]:
            yield f"{seconds[nodeid]:8.1f} s  {nodeid}"
