from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath

import pytest
from hypothesis import settings
from xdist.remote import Producer  # type: ignore[import-untyped]
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

CLUSTER = "tests/e2e/"
SLOWEST = 10
# Their tests share nothing that is costly to set up, and some take long: each may run in another process.
APART = {
    f"tests/controlplane/test_{name}.py"
    for name in (
        *("bursts", "config", "control_plane", "election", "faults_of_the_cluster", "memory", "metrics_api"),
        *("operator_life", "own_metrics", "policy", "restarts", "rights", "scope"),
    )
}

settings.register_profile("unhurried", deadline=None)  # a busy machine is no failure
settings.load_profile("unhurried")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write the golden files anew from what is rendered")
    parser.addoption("--tier-times", action="store_true", help="show how long each tier took, and its slowest tests")


class ByFile(LoadScopeScheduling):  # type: ignore[misc] # pytest-xdist's, whose types are not told
    """One process runs the tests of a file, which share what they set up, and one all that use the local cluster."""

    def _split_scope(self, nodeid: str) -> str:
        if nodeid.startswith(CLUSTER):
            return CLUSTER
        file = nodeid.partition("::")[0]
        return nodeid if file in APART else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByFile:
    # Its own `loadgroup` does not see the marks with pytest 9.2: no test has a group then.
    return ByFile(config, log)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if config.getoption("tier_times"):
        reports = (report for group in terminalreporter.stats.values() for report in group)
        for line in tier_times(report for report in reports if isinstance(report, pytest.TestReport)):
            terminalreporter.write_line(line)


def tier_times(reports: Iterable[pytest.TestReport]) -> Iterator[str]:
    """Lines that say how long each folder of tests took, from its first test to its last, and its slowest tests.

    The times of tests that run beside each other add up to more. What several tests share is in the time of the first.
    """
    tiers: dict[str, dict[str, list[pytest.TestReport]]] = defaultdict(lambda: defaultdict(list))
    for report in reports:
        tiers[PurePosixPath(report.nodeid).parts[1]][report.nodeid].append(report)
    for tier, tests in tiers.items():
        seconds = {nodeid: sum(report.duration for report in phases) for nodeid, phases in tests.items()}
        phases = [report for test in tests.values() for report in test]
        wall = max(report.stop for report in phases) - min(report.start for report in phases)
        yield f"{tier}: {wall:.0f} s for {len(tests)} tests, which took {sum(seconds.values()):.0f} s one by one"
        for nodeid in sorted(seconds, key=seconds.__getitem__, reverse=True)[:SLOWEST]:
            yield f"{seconds[nodeid]:8.1f} s  {nodeid}"
