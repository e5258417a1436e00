"""Several installs in one cluster, and Leases of tenants that look like those of another one."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dev.control_plane import ControlPlane
from dev.workloads import RELEASE
from tests.controlplane.api_server import ApiServer, eventually
from tests.controlplane.conftest import temporary_namespace
from tests.controlplane.objects import api, conditions, lease, pod_of_operator
from tests.controlplane.operator_process import OperatorProcess
from tests.controlplane.test_rights import Account, installed, requests

RENEWED_EACH = 0.2


@dataclass
class Tenant:
    """A user with the role that Kubernetes gives to those who may edit a namespace."""

    server: ApiServer
    namespace: str

    def write(self, name: str, *, scope: str = "cluster", note: str = "") -> None:
        self.server.create(lease(self.namespace, name, scope=scope, note=note))

    @contextmanager
    def renewing(self, *names: str) -> Iterator[None]:
        """Renew Leases several times a second."""
        over = threading.Event()

        def renew() -> None:
            time = datetime(2026, 1, 1, tzinfo=UTC)
            while not over.wait(RENEWED_EACH):
                time += timedelta(seconds=1)
                for name in names:
                    renewed = {"spec": {"renewTime": time.strftime("%Y-%m-%dT%H:%M:%S.%fZ")}}
                    self.server.patch("Lease", self.namespace, name, renewed)

        thread = threading.Thread(target=renew)
        thread.start()
        try:
            yield
            assert thread.is_alive(), "a renewal failed"
        finally:
            over.set()
            thread.join()


@pytest.fixture
def tenant(control_plane: ControlPlane, server: ApiServer) -> Iterator[Tenant]:
    with temporary_namespace(server) as place:
        user = f"tenant-of-{place}"
        control_plane.kubectl(
            "create", "rolebinding", "tenant", f"--namespace={place}", "--clusterrole=edit", f"--user={user}"
        )
        with ApiServer(control_plane.kubeconfig_for(user)) as own:
            pod_of_operator(own, place, "stranger", "stranger")
            yield Tenant(own, place)


@pytest.fixture
def account(control_plane: ControlPlane, server: ApiServer, namespace: str) -> Iterator[Account]:
    """The account of an install for the cluster."""
    del server  # the CRD must be there first
    with installed(control_plane, namespace) as made:
        yield made


@pytest.fixture
def first(
    control_plane: ControlPlane, server: ApiServer, namespace: str, account: Account, tmp_path: Path
) -> Iterator[OperatorProcess]:
    """Its operator, which is not started yet. Its pod is there."""
    pod_of_operator(server, namespace, "first", RELEASE)
    process = OperatorProcess(
        control_plane.kubeconfig_for(account.name), tmp_path / "first", identity="first", lease_namespace=namespace,
        options=account.options,
    )  # fmt: skip
    yield process
    process.end()


def leads(operator: OperatorProcess) -> bool:
    return "leading" in [line["message"] for line in operator.log()]


def test_fault_75_leases_of_a_tenant_hold_up_no_operator(
    server: ApiServer, first: OperatorProcess, tenant: Tenant
) -> None:
    tenant.write("a")
    tenant.write("b", scope="namespace")
    server.create(api(tenant.namespace))
    with tenant.renewing("a", "b"):
        first.start()
        eventually(lambda: conditions(server, tenant.namespace))
    ignored = f"a Lease in namespace {tenant.namespace} is ignored: no operator holds it"
    assert [line["message"] for line in first.log()].count(ignored) == 1


def test_fault_75_large_leases_of_a_tenant_hold_up_no_operator(
    control_plane: ControlPlane, account: Account, first: OperatorProcess, tenant: Tenant
) -> None:
    names = [f"large-{number}" for number in range(40)]
    for name in names:
        tenant.write(name, note="x" * 250_000)
    with tenant.renewing(*names[:5]):
        first.start()
        eventually(lambda: leads(first))
    asked = [entry for entry in requests(control_plane, account) if entry["objectRef"]["resource"] == "leases"]
    lists = [entry["requestURI"] for entry in asked if entry["verb"] == "list"]
    assert f"metadata.namespace!%3D{tenant.namespace}" in lists[-1], "the API server leaves them out"


def test_a_second_install_is_not_ready_and_says_why(
    control_plane: ControlPlane, server: ApiServer, namespace: str, first: OperatorProcess, tmp_path: Path
) -> None:
    """The first one's Lease has nothing in it that those of earlier releases do not have."""
    first.start()
    eventually(lambda: leads(first))
    with temporary_namespace(server) as elsewhere:
        pod_of_operator(server, elsewhere, "second", "second")
        second = OperatorProcess(
            control_plane.kubeconfig, tmp_path / "second", identity="second", lease_namespace=elsewhere
        )
        second.start(wait=False)
        try:
            eventually(lambda: f"namespace {namespace} looks after the same objects" in second.answer("readyz"))
            assert server.get("Lease", elsewhere, "hca-operator") is None
            reported = eventually(lambda: server.find("Event", elsewhere, fieldSelector="reason=SecondInstall"))
            assert [(event["involvedObject"]["name"], event["type"]) for event in reported] == [("second", "Warning")]
            first.stop()
            eventually(lambda: leads(second))
        finally:
            second.stop()


def test_without_the_right_to_ask_who_holds_a_lease_an_operator_waits_and_says_why(
    server: ApiServer, first: OperatorProcess, tenant: Tenant
) -> None:
    """As after an upgrade with roles of one's own: it is better to wait than to be one of two that write."""
    role = server.get("ClusterRole", "", RELEASE)
    assert role is not None
    rules = [rule for rule in role["rules"] if "subjectaccessreviews" not in rule["resources"]]
    server.patch("ClusterRole", "", RELEASE, {"rules": rules})
    tenant.write("a")
    with tenant.renewing("a"):
        first.start(wait=False)
        eventually(lambda: f"namespace {tenant.namespace} looks after the same objects" in first.answer("readyz"))
    warning = next(line["message"] for line in first.log() if "is respected" in line["message"])
    assert 'cannot create resource "subjectaccessreviews"' in warning
