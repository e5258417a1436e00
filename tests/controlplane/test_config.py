"""What a changed ConfigMap or Secret does to the pods, with a real API server and a running operator."""

import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from dev.control_plane import ControlPlane
from hca_operator.restarts.debounce import QUIET_SECONDS
from tests.controlplane.api_server import ApiServer, Manifest, eventually
from tests.controlplane.fake_kubelet import report, roll_out
from tests.controlplane.objects import KIND, api, condition_of, status
from tests.controlplane.operator_process import OperatorProcess

ANNOTATION = "hca-operator.io/config"


@pytest.fixture
def operator(control_plane: ControlPlane, server: ApiServer, tmp_path: Path) -> Iterator[OperatorProcess]:
    """An operator of the test's own, which may not read Secrets, with credentials that its requests are known by."""
    control_plane.kubectl(
        "create", "clusterrolebinding", tmp_path.name, "--clusterrole=cluster-admin", f"--user={tmp_path.name}"
    )
    del server  # the CRD must be there first
    kubeconfig = control_plane.kubeconfig_for(tmp_path.name)
    with OperatorProcess(kubeconfig, tmp_path / "log", identity=tmp_path.name) as process:
        yield process
    control_plane.kubectl("delete", "clusterrolebinding", tmp_path.name)


@pytest.fixture
def since(server: ApiServer, namespace: str) -> str:
    """Where the history of Deployments begins for a test."""
    return server.version("Deployment", namespace)


def settings(namespace: str, name: str = "settings", /, kind: str = "ConfigMap", **data: str) -> Manifest:
    content = "data" if kind == "ConfigMap" else "stringData"
    return {"kind": kind, "metadata": {"name": name, "namespace": namespace}, content: data}


def using(namespace: str, name: str = "shop", /, config_map: str = "settings", **fields: Any) -> Manifest:
    return api(namespace, name, envFrom=[{"configMapRef": {"name": config_map}}], **fields)


def write(server: ApiServer, namespace: str, *, name: str = "settings", kind: str = "ConfigMap", **data: str) -> None:
    content = "data" if kind == "ConfigMap" else "stringData"
    server.patch(kind, namespace, name, {content: data})


def templates(server: ApiServer, namespace: str, since: str, name: str = "shop") -> list[Manifest]:
    """Each pod template that the Deployment has had, one after the other."""
    found: list[Manifest] = []
    for seen in server.changes_since(since, "Deployment", namespace):
        if seen["metadata"]["name"] == name and (not found or seen["spec"]["template"] != found[-1]):
            found.append(seen["spec"]["template"])
    return found


def stamp(template: Manifest) -> str | None:
    value: str | None = template["metadata"].get("annotations", {}).get(ANNOTATION)
    return value


def rolled(server: ApiServer, namespace: str, since: str, times: int, name: str = "shop") -> bool:
    """Whether the pods were given another template as often as this; AssertionError otherwise."""
    found = templates(server, namespace, since, name)
    assert len(found) == times + 1, [stamp(template) for template in found]
    return True


def recorded(server: ApiServer, namespace: str, name: str = "shop") -> str:
    """What the Deployment says was carried out."""
    found = server.get("Deployment", namespace, name)
    assert found is not None
    return str(found["metadata"]["annotations"][ANNOTATION])


def nothing_happens(server: ApiServer, namespace: str, since: str, times: int) -> None:
    """No further rollout comes, which can only be watched for a while: longer than a change is waited for."""
    time.sleep(QUIET_SECONDS * 2)
    rolled(server, namespace, since, times)


@pytest.fixture
def running(server: ApiServer, namespace: str, since: str, operator: OperatorProcess) -> str:
    """An object whose pods are ready and use a ConfigMap; the start of its history."""
    del operator
    server.create(settings(namespace, LEVEL="info"))
    server.create(using(namespace))
    roll_out(server, namespace, "shop")
    return since


def test_changed_data_gives_the_pods_another_template_once(server: ApiServer, namespace: str, running: str) -> None:
    assert stamp(templates(server, namespace, running)[0]) is None
    write(server, namespace, LEVEL="debug")
    eventually(lambda: rolled(server, namespace, running, 1))
    before, after = templates(server, namespace, running)
    assert stamp(after) is not None
    assert after["spec"] == before["spec"]
    roll_out(server, namespace, "shop")
    nothing_happens(server, namespace, running, 1)


def test_labels_and_writes_that_change_nothing_restart_nothing(server: ApiServer, namespace: str, running: str) -> None:
    server.patch("ConfigMap", namespace, "settings", {"metadata": {"labels": {"team": "shop"}}})
    write(server, namespace, LEVEL="info")
    server.delete("ConfigMap", namespace, "settings")
    server.create(settings(namespace, LEVEL="info"))
    nothing_happens(server, namespace, running, 0)


def test_a_burst_of_changes_is_one_rollout_with_the_last_state(server: ApiServer, namespace: str, running: str) -> None:
    for number in range(10):
        write(server, namespace, LEVEL=str(number))
    eventually(lambda: rolled(server, namespace, running, 1))
    nothing_happens(server, namespace, running, 1)


def test_an_edit_of_the_object_as_well_gets_one_rollout(server: ApiServer, namespace: str, running: str) -> None:
    write(server, namespace, LEVEL="debug")
    server.patch(KIND, namespace, "shop", {"spec": {"image": "registry.example.com/shop:2"}})
    eventually(lambda: rolled(server, namespace, running, 1))
    nothing_happens(server, namespace, running, 1)


def test_a_change_while_the_operator_is_away_is_carried_out_when_it_is_back(
    server: ApiServer, namespace: str, running: str, operator: OperatorProcess
) -> None:
    operator.stop()
    write(server, namespace, LEVEL="debug")
    operator.start()
    eventually(lambda: rolled(server, namespace, running, 1))
    operator.stop()
    operator.start()
    nothing_happens(server, namespace, running, 1)


def test_an_object_of_an_earlier_release_is_not_restarted_by_the_first_look(
    server: ApiServer, namespace: str, running: str
) -> None:
    before = recorded(server, namespace)
    server.patch("Deployment", namespace, "shop", {"metadata": {"annotations": {ANNOTATION: None}}})
    eventually(lambda: recorded(server, namespace) == before)
    rolled(server, namespace, running, 0)


def test_one_that_is_missing_is_reported_and_heals_by_itself(
    server: ApiServer, namespace: str, since: str, operator: OperatorProcess
) -> None:
    del operator
    server.create(using(namespace))
    message = 'configmap "settings" not found'
    waiting = {"state": {"waiting": {"reason": "CreateContainerConfigError", "message": message}}}
    for pod in eventually(lambda: server.find("Pod", namespace)):
        report(server, pod, waiting)
    reported = eventually(lambda: condition_of(server, namespace, "Ready", "CreateContainerConfigError"))
    assert message in reported["message"]
    server.create(settings(namespace, LEVEL="info"))
    for pod in server.find("Pod", namespace):
        report(server, pod, {"state": {"running": {}}, "ready": True}, ready="True")
    eventually(lambda: condition_of(server, namespace, "Ready", "RolledOut"))
    rolled(server, namespace, since, 0)
    write(server, namespace, LEVEL="debug")
    eventually(lambda: rolled(server, namespace, since, 1))


def asked(control_plane: ControlPlane, operator: str, resource: str) -> Sequence[tuple[str, str, str]]:
    """Verb, namespace and name of each request about a resource."""
    entries = [entry for entry in control_plane.audited(operator) if entry["user"]["username"] == operator]
    references = [(entry, entry.get("objectRef", {})) for entry in entries]
    return [
        (entry["verb"], reference.get("namespace", ""), reference.get("name", ""))
        for entry, reference in references
        if reference.get("resource") == resource
    ]


def test_what_no_object_uses_causes_no_request(
    control_plane: ControlPlane, server: ApiServer, namespace: str, running: str, tmp_path: Path
) -> None:
    before = asked(control_plane, tmp_path.name, "configmaps")
    for number in range(20):
        server.create(settings(namespace, f"other-{number}", A="b"))
        write(server, namespace, name=f"other-{number}", A="c")
    write(server, namespace, LEVEL="debug")
    eventually(lambda: rolled(server, namespace, running, 1))
    requests = asked(control_plane, tmp_path.name, "configmaps")[len(before) :]
    assert {(verb, name) for verb, _, name in requests} == {("get", "settings")}


def test_without_the_right_secrets_are_never_asked_for_and_the_object_says_so(
    control_plane: ControlPlane, server: ApiServer, namespace: str, operator: OperatorProcess, tmp_path: Path
) -> None:
    del operator
    server.create(settings(namespace, "db", kind="Secret", password="hunter2"))
    server.create(api(namespace, envFrom=[{"secretRef": {"name": "db"}}]))
    reported = eventually(lambda: status(server, namespace)["unsupported"])
    assert [entry["field"] for entry in reported] == ["spec.rollout.restartOnConfigChange"]
    assert "Secret db" in reported[0]["reason"]
    server.patch(KIND, namespace, "shop", {"spec": {"rollout": {"restartOnConfigChange": False}}})
    eventually(lambda: "unsupported" not in status(server, namespace))
    assert not asked(control_plane, tmp_path.name, "secrets")


def test_with_the_right_a_changed_secret_restarts_the_pods_once(
    control_plane: ControlPlane, server: ApiServer, namespace: str, since: str, tmp_path: Path
) -> None:
    server.create(settings(namespace, "db", kind="Secret", password="hunter2"))
    server.create(api(namespace, volumes=[{"name": "db", "secret": {"secretName": "db"}}]))
    with OperatorProcess(control_plane.kubeconfig, tmp_path / "log", options=["--watch-secrets"]):
        roll_out(server, namespace, "shop")
        assert "unsupported" not in status(server, namespace)
        write(server, namespace, name="db", kind="Secret", password="hunter3")
        eventually(lambda: rolled(server, namespace, since, 1))
        nothing_happens(server, namespace, since, 1)
    assert "hunter" not in json.dumps(server.find("Deployment", namespace))
