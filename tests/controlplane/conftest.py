import fcntl
import uuid
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from dev import up
from dev.control_plane import ControlPlane
from hca_operator.api.crd import crd
from tests.controlplane.api_server import ApiServer
from tests.controlplane.fake_metrics import FakeMetrics
from tests.controlplane.objects import install
from tests.controlplane.operator_process import OperatorProcess
from tests.machine import machine

RUNNING = pytest.StashKey[ExitStack]()
E2E = Path(__file__).parents[1] / "e2e"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest comes first: other processes do the rest meanwhile."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Iterator[ControlPlane]:
    """The control plane of this process."""
    up.bring_up_control_plane()
    with ExitStack() as running:
        running.enter_context(machine(tmp_path_factory, fcntl.LOCK_SH))
        pytestconfig.stash[RUNNING] = running
        yield running.enter_context(ControlPlane(tmp_path_factory.mktemp("control-plane")))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> Generator[None, bool, bool]:
    """End the control plane where the local cluster's tests come next: they need the whole machine.

    Tests of other tiers, for which this is called as well, may stand in between.
    """
    done = yield
    if nextitem is not None and nextitem.path.is_relative_to(E2E) and RUNNING in item.config.stash:
        item.config.stash[RUNNING].close()
    return done


@pytest.fixture(scope="session")
def administrator(control_plane: ControlPlane) -> Iterator[ApiServer]:
    with ApiServer(control_plane.kubeconfig) as connected:
        yield connected


@contextmanager
def temporary_namespace(administrator: ApiServer) -> Iterator[str]:
    name = f"test-{uuid.uuid4().hex[:8]}"
    administrator.create({"kind": "Namespace", "metadata": {"name": name}})
    yield name
    administrator.delete("Namespace", "", name)


@pytest.fixture
def namespace(administrator: ApiServer) -> Iterator[str]:
    with temporary_namespace(administrator) as name:
        yield name


@pytest.fixture(scope="session")
def server(administrator: ApiServer) -> ApiServer:
    """The API server with the CRD in it."""
    install(administrator, crd())
    return administrator


@pytest.fixture
def metrics(server: ApiServer) -> Iterator[FakeMetrics]:
    """A metrics API in which stands what a test writes, while the test lasts."""
    with FakeMetrics(server) as served:
        yield served


@pytest.fixture(scope="module")
def operator(
    control_plane: ControlPlane,
    server: ApiServer,  # noqa: ARG001 - the CRD must be there first
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[OperatorProcess]:
    """The running operator, one for all tests of a module. At its end, nothing unexpected has happened to it."""
    log = tmp_path_factory.mktemp("operator") / "log"
    with OperatorProcess(control_plane.kubeconfig, log) as started:
        pid = started.pid
        yield started
        assert started.pid == pid
        assert started.probe("healthz") == 200
    errors = [line for line in started.log() if line["level"] == "ERROR" or "exc_info" in line]
    # A watch breaks when a test puts another CRD in; it goes on by itself.
    unexpected = [line for line in errors if "will retry" not in line["message"]]
    assert not unexpected


@pytest.fixture(scope="module")
def shared_namespace(server: ApiServer) -> Iterator[str]:
    """One namespace for the many tests of a module that leave nothing behind."""
    with temporary_namespace(server) as name:
        yield name
