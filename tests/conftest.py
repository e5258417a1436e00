from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import settings
from xdist.remote import Producer  # type: ignore[import-untyped]
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

from tests.tier_times import tier_times

CLUSTER = "tests/e2e/"
# The local cluster bears the load of two processes. A third has the files with tests that need all of it (`alone`), and
# one before them whose pods no drain may come between.
OTHER_PROCESS = {
    f"{CLUSTER}test_{name}.py" for name in ("autoscaling", "chart", "config", "heap_snapshots", "memory", "servers")
}
WITH_TESTS_ALONE = {f"{CLUSTER}test_{name}.py" for name in ("diagnosis", "drain", "faults", "scope", "upgrade")}
# Their tests share nothing that is costly to set up, and some take long: each may run in another process.
APART = {
    f"tests/controlplane/test_{name}.py"
    for name in (
        *("bursts", "config", "control_plane", "election", "faults_of_the_cluster", "memory", "metrics_api"),
        *("operator_life", "own_metrics", "policy", "restarts", "rights", "scope"),
    )
}

FIGURE = "figure"
"""The property of a report that holds one."""

settings.register_profile("unhurried", deadline=None)  # a busy machine is no failure
settings.load_profile("unhurried")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write the golden files anew from what is rendered")
    parser.addoption("--tier-times", action="store_true", help="show how long each tier took, and its slowest tests")


class ByFile(LoadScopeScheduling):  # type: ignore[misc] # pytest-xdist's, which has no type hints
    """One process runs the tests of a file, which share what they set up; three use the local cluster."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        if file.startswith(CLUSTER):
            return f"{CLUSTER}{'alone' if file in WITH_TESTS_ALONE else 'other' if file in OTHER_PROCESS else 'one'}"
        return nodeid if file in APART else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByFile:
    # Its own `loadgroup` does not see the marks with pytest 9.2: no test has a group then.
    return ByFile(config, log)


@pytest.fixture
def figures(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """What a test has measured, a line each, for the summary of the run: pytest-xdist shows no output of a test."""
    return partial(record_property, FIGURE)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    reports = [report for group in terminalreporter.stats.values() for report in group]
    tests = [report for report in reports if isinstance(report, pytest.TestReport)]
    for report in (test for test in tests if test.when == "call"):
        lines = [str(value) for name, value in report.user_properties if name == FIGURE]
        for line in [report.nodeid, *(f"    {line}" for line in lines)] if lines else []:
            terminalreporter.write_line(line)
    if config.getoption("tier_times"):
        for line in tier_times(tests):
            terminalreporter.write_line(line)
