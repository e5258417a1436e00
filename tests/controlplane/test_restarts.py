"""Restarts by hand and by the clock, carried out by the real controllers: one rollout each, and never one twice."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dev.control_plane import ControlPlane
from hca_operator.core.names import RESTART_ANNOTATION, RESTARTED_ANNOTATION
from hca_operator.core.timestamps import time_text
from tests.controlplane.api_server import ApiServer, Manifest, eventually
from tests.controlplane.fake_kubelet import report_ready, roll_out
from tests.controlplane.objects import KIND, api, condition_of, status
from tests.controlplane.operator_process import OperatorProcess


@pytest.fixture
def operator(control_plane: ControlPlane, server: ApiServer, tmp_path: Path) -> Iterator[OperatorProcess]:
    """An operator of the test's own."""
    del server  # the CRD must be there first
    with OperatorProcess(control_plane.kubeconfig, tmp_path / "log") as process:
        yield process


def ask(server: ApiServer, namespace: str, text: str | None) -> None:
    server.patch(KIND, namespace, "shop", {"metadata": {"annotations": {RESTART_ANNOTATION: text}}})


def restarted_at(server: ApiServer, namespace: str) -> str | None:
    deployment = server.get("Deployment", namespace, "shop")
    assert deployment is not None
    metadata = deployment["spec"]["template"]["metadata"]
    found: str | None = metadata.get("annotations", {}).get(RESTARTED_ANNOTATION)
    return found


def revisions(server: ApiServer, namespace: str) -> int:
    return len(server.find("ReplicaSet", namespace))


def serve(server: ApiServer, namespace: str, revision: str) -> None:
    """Report pods ready until a revision is rolled out."""

    def rolled_out() -> bool:
        report_ready(server, namespace, "hca-operator.io/api=shop")
        shown = status(server, namespace)
        return bool(shown["revision"] == revision and condition_of(server, namespace, "Ready", "RolledOut"))

    eventually(rolled_out)


def test_each_restart_by_hand_is_one_rollout_and_needs_no_clearing(
    server: ApiServer, namespace: str, operator: OperatorProcess
) -> None:
    now = datetime.now(UTC)  # noqa: TID251 - the operator's own clock
    server.create(api(namespace))
    roll_out(server, namespace, "shop")
    assert restarted_at(server, namespace) is None
    first, second = time_text(now - timedelta(days=1)), time_text(now)
    ask(server, namespace, first)
    eventually(lambda: restarted_at(server, namespace) == first)
    # Asked for in the middle of a rollout: it comes when that is over.
    ask(server, namespace, second)
    eventually(lambda: "starts after the current rollout" in _pending(server, namespace)["message"])
    assert restarted_at(server, namespace) == first
    report_all(server, namespace, until=second)
    serve(server, namespace, "3")
    operator.stop()
    operator.start()
    for text in (None, first, second):
        ask(server, namespace, text)
        eventually(lambda: operator.looks() >= 1)
    ask(server, namespace, "soon")
    shown = eventually(lambda: condition_of(server, namespace, "RolloutHealthy", "RestartTimeInvalid"))
    assert "'soon' is not an RFC 3339 time such as 2026-03-01T03:00:00Z" in shown["message"]
    assert condition_of(server, namespace, "Ready", "RolledOut")["status"] == "True"
    assert (restarted_at(server, namespace), revisions(server, namespace)) == (second, 3)


def _pending(server: ApiServer, namespace: str) -> Manifest:
    return condition_of(server, namespace, "RolloutHealthy", "RestartPending")


def report_all(server: ApiServer, namespace: str, *, until: str) -> None:
    """Report pods ready until the next restart begins."""

    def begun() -> bool:
        report_ready(server, namespace, "hca-operator.io/api=shop")
        return restarted_at(server, namespace) == until

    eventually(begun)


@pytest.mark.usefixtures("operator")
def test_a_restart_by_hand_in_the_future_comes_when_its_time_has_come(server: ApiServer, namespace: str) -> None:
    server.create(api(namespace))
    roll_out(server, namespace, "shop")
    soon = time_text(datetime.now(UTC) + timedelta(seconds=8))  # noqa: TID251 - the operator's own clock
    ask(server, namespace, soon)
    shown = eventually(lambda: _pending(server, namespace))
    assert shown["message"] == f"the next restart is due at {soon}"
    assert revisions(server, namespace) == 1
    eventually(lambda: restarted_at(server, namespace) == soon)
    serve(server, namespace, "2")


def test_a_scheduled_restart_that_was_due_while_the_operator_was_away_is_made_good_once(
    server: ApiServer, namespace: str, operator: OperatorProcess
) -> None:
    """It was due less than half an hour ago, and the schedule had counted for a while, as status says."""
    missed = (datetime.now(UTC) - timedelta(minutes=20)).replace(second=0)  # noqa: TID251 - the operator's own clock
    server.create(api(namespace, restartSchedule={"cron": f"{missed.minute} {missed.hour} * * *"}))
    roll_out(server, namespace, "shop")
    shown = status(server, namespace)["restartSchedule"]
    assert restarted_at(server, namespace) is None
    operator.stop()
    since = {"restartSchedule": {**shown, "since": time_text(missed - timedelta(hours=2))}}
    server.patch(KIND, namespace, "shop/status", {"status": since})
    operator.start()
    eventually(lambda: restarted_at(server, namespace) == time_text(missed))
    serve(server, namespace, "2")
    operator.stop()
    operator.start()
    eventually(lambda: operator.looks() >= 1)
    assert revisions(server, namespace) == 2


@pytest.mark.usefixtures("operator")
def test_a_time_zone_that_there_is_not_is_named(server: ApiServer, namespace: str) -> None:
    server.create(api(namespace, restartSchedule={"cron": "0 3 * * *", "timeZone": "Europe/Berlyn"}))
    shown = eventually(lambda: condition_of(server, namespace, "Ready", "InvalidSpec"))
    assert "spec.restartSchedule.timeZone: 'Europe/Berlyn' is no known time zone" in shown["message"]
    server.patch(KIND, namespace, "shop", {"spec": {"restartSchedule": {"timeZone": "Europe/Berlin"}}})
    roll_out(server, namespace, "shop")
