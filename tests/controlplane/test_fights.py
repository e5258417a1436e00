"""Another controller changes a child again and again: that is reported, and repairs become ever more rare."""

from collections.abc import Callable
from itertools import count

import pytest

from dev.control_plane import ControlPlane
from hca_operator.core.names import API_LABEL
from tests.controlplane.api_server import MERGE, ApiServer, Manifest, eventually
from tests.controlplane.objects import DISABLED, api, condition_of, conditions, status
from tests.controlplane.operator_process import OperatorProcess

CHANGES = 20
"""Once a fight is reported: the operator's waits double, so it answers few of them, however slow the machine is."""


def repairs(control_plane: ControlPlane, namespace: str, resource: str, since: int) -> int:
    """How often the operator has applied a child, by the audit log."""
    entries = control_plane.audited(namespace, since=since)
    return sum(
        entry["verb"] == "patch"
        and entry["objectRef"].get("namespace") == namespace
        and entry["objectRef"]["resource"] == resource
        and "fieldManager=hca-operator&" in entry["requestURI"] + "&"
        for entry in entries
    )


@pytest.fixture
def fight(
    control_plane: ControlPlane, server: ApiServer, namespace: str, operator: OperatorProcess
) -> Callable[[str, str, Callable[[int], Manifest]], Manifest]:
    """Has another controller change a child until that is reported, and go on; the condition."""

    def changing(kind: str, resource: str, body: Callable[[int], Manifest]) -> Manifest:
        numbers = count()

        def change() -> None:
            query = {"as_": MERGE, "fieldManager": "another-controller"}
            answer = server.answer("PATCH", kind, namespace, "shop", body=body(next(numbers)), **query)
            assert answer.is_success, answer.text

        def reported() -> Manifest:
            change()
            return condition_of(server, namespace, "Ready", "FieldConflict")

        shown = eventually(reported)
        (error,) = status(server, namespace)["childErrors"]
        assert (error["kind"], error["name"], error["reason"]) == (kind, "shop", "FieldConflict")
        since = control_plane.audit_log.stat().st_size
        for _ in range(CHANGES):
            looks = operator.looks()
            change()
            eventually(lambda seen=looks: operator.looks() > seen)  # type: ignore[misc]
        assert repairs(control_plane, namespace, resource, since) < CHANGES / 2
        return shown

    return changing


def test_fault_60_a_controller_that_writes_a_field_back_each_time_is_reported_and_answered_ever_more_rarely(
    server: ApiServer, namespace: str, fight: Callable[..., Manifest]
) -> None:
    server.create(api(namespace))
    eventually(lambda: conditions(server, namespace))
    shown = fight("Service", "services", lambda number: {"spec": {"selector": {API_LABEL: f"theirs-{number}"}}})
    assert "spec.selector by another-controller" in shown["message"]


@pytest.mark.parametrize("fields", [{}, {"replicas": 3, **DISABLED}], ids=["autoscaled", "fixed"])
def test_fault_67_a_downscaler_that_sets_zero_again_and_again_is_reported_and_answered_ever_more_rarely(
    server: ApiServer, namespace: str, fight: Callable[..., Manifest], fields: Manifest
) -> None:
    server.create(api(namespace, **fields))
    eventually(lambda: conditions(server, namespace))

    def to_zero(number: int) -> Manifest:
        """It leaves a note, too, as downscalers do: so each time there is something new to see."""
        return {"metadata": {"annotations": {"downscaler/original-replicas": str(number)}}, "spec": {"replicas": 0}}

    shown = fight("Deployment", "deployments", to_zero)
    assert "spec.replicas by another-controller" in shown["message"]
