"""Two replicas, one writer: on a real API server, judged by its audit log."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from dev.control_plane import ControlPlane
from tests.controlplane.api_server import ApiServer, eventually
from tests.controlplane.kubeconfig import redirected
from tests.controlplane.objects import api
from tests.controlplane.operator_process import OperatorProcess
from tests.controlplane.partition import Partition

CUT = 60.0


@dataclass
class Write:
    """A mutating request of an operator, Leases apart."""

    user: str
    received: str


def writes(control_plane: ControlPlane, namespace: str) -> list[Write]:
    """What the audit log holds of a namespace."""
    found = []
    for entry in control_plane.audited(namespace):
        reference = entry.get("objectRef", {})
        if (
            entry["user"]["username"].startswith("replica-")
            and entry["verb"] in {"create", "update", "patch", "delete"}
            and reference.get("namespace") == namespace
            and reference.get("resource") != "leases"
        ):
            found.append(Write(entry["user"]["username"], entry["requestReceivedTimestamp"]))
    return sorted(found, key=lambda write: write.received)


@dataclass
class Pair:
    """Two replicas, the first of which leads and reaches the API server through a connection that can be cut."""

    leader: OperatorProcess
    standby: OperatorProcess
    line: Partition


@pytest.fixture
def pair(control_plane: ControlPlane, server: ApiServer, tmp_path: Path) -> Iterator[Pair]:
    with ExitStack() as stack:
        line = stack.enter_context(Partition(control_plane.port))
        configurations = {
            "replica-a": redirected(control_plane.kubeconfig_for("replica-a", "system:masters"), line.port),
            "replica-b": control_plane.kubeconfig_for("replica-b", "system:masters"),
        }
        started: list[OperatorProcess] = []
        for name, kubeconfig in configurations.items():
            process = OperatorProcess(kubeconfig, tmp_path / name, identity=name)
            started.append(stack.enter_context(process))
            # An operator of a test before, which was killed, may hold the Lease until it runs out.
            eventually(lambda: holder(server) == "replica-a")
        yield Pair(started[0], started[1], line)


def holder(server: ApiServer) -> str | None:
    lease = server.get("Lease", "default", "hca-operator")
    return None if lease is None else lease["spec"].get("holderIdentity")


def change(server: ApiServer, namespace: str, port: int) -> None:
    """Change the object, and wait until the change has reached the child."""
    server.patch("HighConcurrencyApi", namespace, "shop", {"spec": {"service": {"port": port}}})

    def done() -> bool:
        service = server.get("Service", namespace, "shop")
        return service is not None and service["spec"]["ports"][0]["port"] == port

    eventually(done)


def test_fault_34_a_killed_leader_is_followed(
    control_plane: ControlPlane, server: ApiServer, namespace: str, pair: Pair
) -> None:
    server.create(api(namespace))
    change(server, namespace, 8001)
    pair.leader.kill()
    change(server, namespace, 8002)
    assert holder(server) == "replica-b"
    users = [write.user for write in writes(control_plane, namespace)]
    assert users == sorted(users), "replica-a, then replica-b"
    assert set(users) == {"replica-a", "replica-b"}


def test_fault_34_a_leader_that_stops_hands_over_at_once(server: ApiServer, namespace: str, pair: Pair) -> None:
    server.create(api(namespace))
    change(server, namespace, 8001)
    pair.leader.stop()
    eventually(lambda: holder(server) == "replica-b")
    change(server, namespace, 8002)


@pytest.mark.long
@pytest.mark.timeout(240)
def test_fault_34_a_leader_that_is_cut_off_never_writes_beside_the_next(
    control_plane: ControlPlane, server: ApiServer, namespace: str, pair: Pair
) -> None:
    server.create(api(namespace))
    change(server, namespace, 8001)
    pair.line.cut()
    mended_at = time.monotonic() + CUT
    server.patch("HighConcurrencyApi", namespace, "shop", {"spec": {"service": {"port": 8002}}})  # seen by both
    for port in range(8003, 8006):
        change(server, namespace, port)
    eventually(lambda: time.monotonic() > mended_at, within=CUT + 1)
    pair.line.mend()
    eventually(lambda: pair.leader.probe("readyz") == 200)
    for port in range(8006, 8009):
        change(server, namespace, port)
    assert holder(server) == "replica-b"
    users = [write.user for write in writes(control_plane, namespace)]
    assert users == sorted(users), "replica-a, then replica-b, and nothing of replica-a after that"
    assert set(users) == {"replica-a", "replica-b"}
    assert pair.leader.probe("healthz") == 200
