import pytest
from hypothesis import settings
from xdist.remote import Producer  # type: ignore[import-untyped]
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

from tests.tier_times import tier_times

CLUSTER = "tests/e2e/"
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
