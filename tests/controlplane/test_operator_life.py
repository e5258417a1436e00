"""The operator comes, goes, is killed and is away: what is there afterwards is as if it had never been away."""

import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dev.control_plane import ControlPlane
from tests.controlplane.api_server import ApiServer, Manifest, eventually
from tests.controlplane.fake_kubelet import roll_out
from tests.controlplane.objects import (
    CHILDREN,
    DISABLED,
    KIND,
    ROUTES,
    api,
    children,
    conditions,
    status,
    versions,
)
from tests.controlplane.operator_process import OperatorProcess

READ_VERBS = {"get", "list", "watch"}


@pytest.fixture
def operator(control_plane: ControlPlane, server: ApiServer, tmp_path: Path) -> Iterator[OperatorProcess]:
    """An operator of the test's own, not started yet."""
    del server  # the CRD must be there first
    process = OperatorProcess(control_plane.kubeconfig, tmp_path / "log")
    yield process
    process.end()


def complete(server: ApiServer, namespace: str, name: str = "shop") -> bool:
    return len(children(server, namespace, name)) == len(CHILDREN) and bool(conditions(server, namespace, name))


def test_a_second_start_writes_nothing(server: ApiServer, namespace: str, operator: OperatorProcess) -> None:
    operator.start()
    server.create(api(namespace, **ROUTES))
    server.create(api(namespace, "fixed", **DISABLED))
    for name in ("shop", "fixed"):
        roll_out(server, namespace, name)
    eventually(lambda: conditions(server, namespace)["ScalingActive"]["reason"] == "AutoscalerFailing")
    operator.stop()
    eventually(lambda: _at_rest(server, namespace))
    before = _ours(server, namespace)
    operator.start()
    eventually(lambda: operator.looks() >= 2)
    operator.stop()
    assert _ours(server, namespace) == before


def _ours(server: ApiServer, namespace: str) -> dict[tuple[str, str], str]:
    """Versions of what only the operator writes: the autoscaler's status is written by its controller."""
    found = versions(server, namespace) | versions(server, namespace, "fixed")
    return {slot: version for slot, version in found.items() if slot[0] != "HorizontalPodAutoscaler"}


def _at_rest(server: ApiServer, namespace: str) -> bool:
    before = _ours(server, namespace)
    time.sleep(0.5)
    return _ours(server, namespace) == before


@pytest.mark.long
def test_nothing_is_written_while_nothing_changes(
    control_plane: ControlPlane, server: ApiServer, namespace: str, operator: OperatorProcess
) -> None:
    operator.start()
    server.create(api(namespace, **ROUTES))
    roll_out(server, namespace, "shop")
    eventually(lambda: conditions(server, namespace)["ScalingActive"]["reason"] == "AutoscalerFailing")
    eventually(lambda: _at_rest(server, namespace))
    start = control_plane.audit_log.stat().st_size
    time.sleep(20)  # the absence of something can only be watched for a while
    operator.stop()
    entries = control_plane.audited(namespace, since=start)
    writes = [entry for entry in entries if entry["verb"] not in READ_VERBS and namespace in entry["requestURI"]]
    # The autoscaler goes on telling of its missing metrics; controllers are users of the system.
    written = [entry["requestURI"] for entry in writes if not entry["user"]["username"].startswith("system:")]
    assert not written


def test_fault_22_what_happened_while_the_operator_was_away_is_made_good(
    server: ApiServer, namespace: str, operator: OperatorProcess
) -> None:
    operator.start()
    for name in ("changed", "deleted", "damaged"):
        server.create(api(namespace, name, **ROUTES))
    for name in ("changed", "deleted", "damaged"):
        eventually(lambda n=name: complete(server, namespace, n))  # type: ignore[misc]
    operator.stop()
    server.create(api(namespace, "created", **ROUTES))
    for port in (9000, 9001, 9002):
        server.patch(KIND, namespace, "changed", {"spec": {"port": port}})
    server.delete(KIND, namespace, "deleted")
    eventually(lambda: not children(server, namespace, "deleted"))
    server.delete("Deployment", namespace, "damaged")
    server.patch("Service", namespace, "damaged", {"spec": {"selector": {"app": "other"}}})
    operator.start()
    for name in ("created", "changed", "damaged"):
        eventually(lambda n=name: complete(server, namespace, n))  # type: ignore[misc]
    assert not children(server, namespace, "deleted")
    changed = server.get("Deployment", namespace, "changed")
    assert changed is not None
    assert changed["spec"]["template"]["spec"]["containers"][0]["ports"][0]["containerPort"] == 9002


def test_fault_22_a_deletion_needs_no_operator_and_leaves_nothing(
    server: ApiServer, namespace: str, operator: OperatorProcess
) -> None:
    operator.start()
    server.create(api(namespace, **ROUTES))
    roll_out(server, namespace, "shop")
    operator.stop()
    found = [*children(server, namespace).values(), server.get(KIND, namespace, "shop")]
    assert not [child for child in found if child and "finalizers" in child["metadata"]]
    server.delete(KIND, namespace, "shop")
    assert server.get(KIND, namespace, "shop") is None, "nothing holds up the deletion"
    kinds = (*dict.fromkeys(kind for kind, _ in CHILDREN), "ReplicaSet", "Pod")
    eventually(lambda: not [left for kind in kinds for left in server.find(kind, namespace)])


def test_fault_24_an_object_that_is_deleted_and_made_again_gets_children_of_its_own(
    server: ApiServer, namespace: str, operator: OperatorProcess
) -> None:
    operator.start()
    for _ in range(3):
        stored = server.create(api(namespace, **ROUTES))
        uid = stored["metadata"]["uid"]

        def owned(uid: str = uid) -> bool:
            owners = [child["metadata"]["ownerReferences"][0]["uid"] for child in children(server, namespace).values()]
            return owners == [uid] * len(CHILDREN)

        eventually(owned)
        server.delete(KIND, namespace, "shop")
    eventually(lambda: not children(server, namespace))


def test_deleting_the_object_but_not_its_children_lets_a_new_one_take_them_over(
    server: ApiServer, namespace: str, operator: OperatorProcess
) -> None:
    operator.start()
    server.create(api(namespace, **ROUTES))
    eventually(lambda: complete(server, namespace))
    operator.stop()
    before = {slot: child["metadata"]["uid"] for slot, child in children(server, namespace).items()}
    answer = server.answer("DELETE", KIND, namespace, "shop", body={"propagationPolicy": "Orphan"})
    assert answer.is_success
    eventually(lambda: server.get(KIND, namespace, "shop") is None)
    uid = server.create(api(namespace, **ROUTES))["metadata"]["uid"]
    operator.start()

    def adopted() -> bool:
        owners = [
            child["metadata"].get("ownerReferences", [{}])[0].get("uid")
            for child in children(server, namespace).values()
        ]
        return owners == [uid] * len(CHILDREN)

    eventually(adopted)
    assert {slot: child["metadata"]["uid"] for slot, child in children(server, namespace).items()} == before


@pytest.mark.parametrize("seed", range(3))
def test_fault_21_killed_again_and_again_at_any_moment_it_ends_where_it_would_have(
    seed: int, server: ApiServer, namespace: str, operator: OperatorProcess
) -> None:
    chance = random.Random(seed)  # noqa: S311 - moments, not secrets
    operator.start()
    names = [f"shop-{number}" for number in range(8)]
    for name in names:
        server.create(api(namespace, name, **ROUTES))
    since = server.version("Deployment", namespace)
    for _ in range(3):
        time.sleep(chance.uniform(0, 0.4))
        operator.kill()
        for name in chance.sample(names, 4):
            autoscaling = {"mode": chance.choice(["Horizontal", "Disabled"])}
            port = chance.randint(8000, 9000)
            server.patch(KIND, namespace, name, {"spec": {"port": port, "autoscaling": autoscaling}})
        operator.start(wait=False)
        time.sleep(chance.uniform(1, 2))
    for name in names:
        eventually(lambda n=name: _as_written(server, namespace, n))  # type: ignore[misc]
    counts = {deployment["spec"]["replicas"] for deployment in server.changes_since(since, "Deployment", namespace)}
    assert counts <= {2}


def _as_written(server: ApiServer, namespace: str, name: str) -> bool:
    """Whether the children are those of the latest spec."""
    stored = server.get(KIND, namespace, name)
    found = children(server, namespace, name)
    assert stored is not None
    container = found["Deployment", name]["spec"]["template"]["spec"]["containers"][0]
    horizontal = stored["spec"]["autoscaling"]["mode"] == "Horizontal"
    return (
        conditions(server, namespace, name) != {}
        and container["ports"][0]["containerPort"] == stored["spec"]["port"]
        and (("HorizontalPodAutoscaler", name) in found) == horizontal
        and len(found) == len(CHILDREN) - (not horizontal)
    )


def test_fault_23_the_api_server_may_go_and_come_back(
    control_plane: ControlPlane, server: ApiServer, namespace: str, operator: OperatorProcess
) -> None:
    operator.start()
    server.create(api(namespace))
    eventually(lambda: conditions(server, namespace))
    pid = operator.pid
    control_plane.stop_api_server()
    try:
        time.sleep(2)
        assert operator.probe("healthz") == 200
    finally:
        control_plane.start_api_server()
    server.patch(KIND, namespace, "shop", {"spec": {"port": 9000}})
    eventually(lambda: _port(server, namespace) == 9000)
    server.delete("Service", namespace, "shop")
    eventually(lambda: ("Service", "shop") in children(server, namespace))
    assert operator.pid == pid


def _port(server: ApiServer, namespace: str) -> int:
    found = server.get("Deployment", namespace, "shop")
    assert found is not None
    return int(found["spec"]["template"]["spec"]["containers"][0]["ports"][0]["containerPort"])


def test_fault_28_an_operator_without_rights_says_so_and_recovers_without_a_restart(
    control_plane: ControlPlane, server: ApiServer, namespace: str, tmp_path: Path
) -> None:
    rights: Manifest = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": f"operator-{namespace}"},
        "rules": [
            {"apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list", "watch"]},
            {"apiGroups": ["hca-operator.io"], "resources": ["*"], "verbs": ["*"]},
            {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["*"]},
            {"apiGroups": ["apps", "autoscaling", "policy", "networking.k8s.io"], "resources": ["*"], "verbs": ["*"]},
        ],
    }
    server.create(rights)
    control_plane.kubectl(
        "create",
        "clusterrolebinding",
        f"operator-{namespace}",
        f"--clusterrole=operator-{namespace}",
        "--user=operator",
    )
    with OperatorProcess(control_plane.kubeconfig_for("operator"), tmp_path / "log") as operator:
        server.create(api(namespace))
        eventually(lambda: conditions(server, namespace)["Ready"]["reason"] == "Forbidden")
        reported = next(entry for entry in status(server, namespace)["conditions"] if entry["type"] == "Ready")
        assert 'cannot patch resource "services"' in reported["message"]
        assert ("Deployment", "shop") in children(server, namespace), "what is allowed is done"
        rights["rules"].append({"apiGroups": [""], "resources": ["services"], "verbs": ["*"]})
        server.apply(rights)
        eventually(lambda: len(children(server, namespace)) == len(CHILDREN) - 1)
        assert operator.probe("healthz") == 200
