"""Faults for which a test needs an operator of its own: rights, namespaces and numbers (docs/faults.md)."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from dev.control_plane import ControlPlane
from tests.controlplane.api_server import ApiServer, eventually
from tests.controlplane.conftest import temporary_namespace
from tests.controlplane.objects import CHILDREN, DISABLED, KIND, ROUTES, api, children, condition_of, conditions
from tests.controlplane.operator_process import OperatorProcess

USER = "operator-alone"
MANY = 200
CHART_LIMIT_MIB = 256


@pytest.fixture
def operator(control_plane: ControlPlane, server: ApiServer, tmp_path: Path) -> Iterator[OperatorProcess]:
    """An operator that may do everything as a user of its own, until the binding is gone; not started yet."""
    bind(control_plane)
    process = OperatorProcess(control_plane.kubeconfig_for(USER), tmp_path / "log")
    yield process
    process.end()
    server.answer("DELETE", "ClusterRoleBinding", "", USER)


def bind(control_plane: ControlPlane) -> None:
    control_plane.kubectl("create", "clusterrolebinding", USER, "--clusterrole=cluster-admin", f"--user={USER}")


def test_fault_28_an_operator_whose_binding_is_revoked_stays_up_and_goes_on_when_it_is_back(
    control_plane: ControlPlane, server: ApiServer, namespace: str, operator: OperatorProcess
) -> None:
    operator.start()
    server.create(api(namespace, **ROUTES))
    eventually(lambda: complete(server, namespace))
    pid = operator.pid
    server.delete("ClusterRoleBinding", "", USER)
    control_plane.stop_api_server()  # ends every watch, so that none lives on under the rights of before
    control_plane.start_api_server()
    server.patch(KIND, namespace, "shop", {"spec": {"service": {"port": 8001}}})
    eventually(lambda: any("forbidden" in line["message"] for line in operator.log()))
    assert operator.probe("healthz") == 200
    bind(control_plane)
    eventually(lambda: service_port(server, namespace, "shop") == 8001, within=90)
    assert operator.pid == pid
    assert not [line for line in operator.log() if "exc_info" in line]


def service_port(server: ApiServer, namespace: str, name: str) -> int:
    found = server.get("Service", namespace, name)
    assert found is not None
    return int(found["spec"]["ports"][0]["port"])


def complete(server: ApiServer, namespace: str) -> bool:
    return len(children(server, namespace)) == len(CHILDREN) and bool(conditions(server, namespace))


def test_fault_30_a_namespace_that_is_deleted_goes_and_nothing_is_made_in_it_again(
    control_plane: ControlPlane, server: ApiServer, operator: OperatorProcess
) -> None:
    operator.start()
    names = [f"shop-{number}" for number in range(5)]
    with temporary_namespace(server) as doomed:
        for name in names:
            server.create(api(doomed, name, **ROUTES))
        for name in names:
            eventually(lambda n=name: len(children(server, doomed, n)) == len(CHILDREN))  # type: ignore[misc]
        start = control_plane.audit_log.stat().st_size
    eventually(lambda: server.get("Namespace", "", doomed) is None, within=120)
    attempts = Counter(
        entry["objectRef"]["resource"] + "/" + entry["objectRef"].get("name", "")
        for entry in control_plane.audited(doomed, since=start)
        if entry["user"]["username"] == USER and entry.get("objectRef", {}).get("namespace") == doomed
        if entry["verb"] not in {"get", "list", "watch"}
    )
    # A try or two for each child that goes, and one for the status: a storm would not end there.
    assert not [tries for tries in attempts.values() if tries > 2 * len(CHILDREN) + 1], attempts
    assert operator.probe("healthz") == 200
    assert not [line for line in operator.log() if "exc_info" in line]


@pytest.mark.long
@pytest.mark.timeout(600)
def test_fault_37_hundreds_of_objects_with_broken_ones_among_them_survive_a_restart_without_a_write(
    server: ApiServer, namespace: str, operator: OperatorProcess
) -> None:
    wanted = {"taken": "ResourceConflict", "too-small": "InvalidSpec"}
    wanted |= {f"shop-{number}": "RolledOut" for number in range(MANY - len(wanted))}
    theirs = {"ports": [{"port": 80}]}
    server.create({"kind": "Service", "metadata": {"name": "taken", "namespace": namespace}, "spec": theirs})
    for name in wanted:
        too_small = {"workers": {"count": 64}} if name == "too-small" else {}
        server.create(api(namespace, name, replicas=0, **too_small, **DISABLED))
    operator.start()
    for name, reason in wanted.items():
        eventually(lambda n=name, r=reason: condition_of(server, namespace, "Ready", r, name=n), within=120)  # type: ignore[misc]
    before = written(server, namespace)
    operator.stop()
    operator.start()
    eventually(lambda: operator.looks() >= MANY, within=120)
    assert written(server, namespace) == before
    assert resident_mebibytes(operator.pid) < CHART_LIMIT_MIB
    server.patch(KIND, namespace, "shop-0", {"spec": {"service": {"port": 8001}}})
    eventually(lambda: service_port(server, namespace, "shop-0") == 8001)
    for name in wanted:
        server.delete(KIND, namespace, name)
    # The next test would wait for controllers that are still busy with these.
    eventually(lambda: not server.find("Deployment", namespace) and not server.find("Ingress", namespace), within=300)


def written(server: ApiServer, namespace: str) -> dict[str, str]:
    """Versions of everything that the operator writes."""
    kinds = (KIND, *dict.fromkeys(kind for kind, _ in CHILDREN))
    found = [stored for kind in kinds for stored in server.find(kind, namespace)]
    return {f"{stored['kind']}/{stored['metadata']['name']}": stored["metadata"]["resourceVersion"] for stored in found}


def resident_mebibytes(pid: int) -> float:
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) / 1024
