"""The running operator makes the children, keeps them so, and takes away what is no longer wanted."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
import yaml

from hca_operator.api.status import ConditionType, Reason
from tests.controlplane.api_server import JSON_PATCH, ApiServer, Manifest, eventually
from tests.controlplane.fake_kubelet import report, report_ready, roll_out
from tests.controlplane.objects import CHILDREN, DISABLED, KIND, ROUTES, api, children, conditions, status
from tests.controlplane.operator_process import OperatorProcess
from tests.unit.operator.desired.test_golden import HERE

pytestmark = pytest.mark.usefixtures("operator")


@pytest.fixture
def running(server: ApiServer, namespace: str) -> Iterator[Manifest]:
    """An object with routes and every child there."""
    stored = server.create(api(namespace, **ROUTES))
    eventually(lambda: len(children(server, namespace)) == len(CHILDREN))
    yield stored
    found = [*children(server, namespace).values(), server.get(KIND, namespace, "shop")]
    assert not [child for child in found if child and "finalizers" in child["metadata"]]


def test_the_children_are_made_and_owned(server: ApiServer, namespace: str, running: Manifest) -> None:
    for child in children(server, namespace).values():
        (owner,) = child["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["uid"], owner["controller"]) == (KIND, running["metadata"]["uid"], True)
        assert owner["blockOwnerDeletion"] is False


@pytest.mark.parametrize("case", sorted((HERE / "golden").iterdir()), ids=lambda case: case.name)
def test_every_golden_object_comes_to_rest(case: Any, server: ApiServer, namespace: str) -> None:
    written = yaml.safe_load((case / "in.yaml").read_text())
    written["metadata"]["namespace"] = namespace
    server.create(written)
    wanted = {
        (child["kind"], child["metadata"]["name"]) for child in yaml.safe_load_all((case / "out.yaml").read_text())
    }
    eventually(lambda: children(server, namespace).keys() == wanted)
    eventually(
        lambda: conditions(server, namespace)["Ready"]["reason"] in {"RollingOut", "PodsRejected", "Unschedulable"}
    )


def test_every_condition_is_there_at_first_sight(server: ApiServer, namespace: str) -> None:
    server.create(api(namespace))
    found = eventually(lambda: conditions(server, namespace))
    assert found.keys() == set(ConditionType)
    assert (found["Ready"]["status"], found["Reconciling"]["status"]) == ("False", "True")
    assert all(entry["reason"] in list(Reason) for entry in found.values())


@pytest.mark.usefixtures("running")
def test_an_api_gets_ready_and_stays_so_while_the_autoscaler_changes_the_count(
    server: ApiServer, namespace: str
) -> None:
    reported = roll_out(server, namespace, "shop")["status"]
    assert (reported["readyReplicas"], reported["desiredReplicas"], reported["workersPerPod"]) == (2, 2, 1)
    assert reported["url"] == "http://shop.example.com/"
    since = server.version(KIND, namespace)
    server.patch("Deployment", namespace, "shop/scale", {"spec": {"replicas": 4}})
    eventually(lambda: status(server, namespace)["desiredReplicas"] == 4)

    def grown() -> bool:
        report_ready(server, namespace, "hca-operator.io/api=shop")
        return bool(status(server, namespace)["readyReplicas"] == 4)

    eventually(grown)
    for seen in server.changes_since(since, KIND, namespace):
        assert {c["type"]: c["status"] for c in seen["status"]["conditions"]}["Ready"] == "True", seen["status"]


@pytest.mark.usefixtures("running")
def test_ready_waits_for_the_latest_generation(server: ApiServer, namespace: str) -> None:
    roll_out(server, namespace, "shop")
    since = server.version(KIND, namespace)
    server.patch(KIND, namespace, "shop", {"spec": {"image": "registry.example.com/shop:2"}})
    assert roll_out(server, namespace, "shop")["metadata"]["generation"] == 2
    for seen in server.changes_since(since, KIND, namespace):
        ready = next(entry for entry in seen["status"]["conditions"] if entry["type"] == "Ready")
        if ready["observedGeneration"] == 2 and ready["status"] == "True":
            assert seen["status"]["revision"] == "2", "ready before the new pods were"


@pytest.mark.usefixtures("running")
def test_what_is_wrong_with_the_pods_is_said(server: ApiServer, namespace: str) -> None:
    pods = eventually(lambda: server.find("Pod", namespace))
    for pod in pods:
        report(server, pod, {"state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such tag"}}})
    found = eventually(lambda: _reason_is(server, namespace, "ImagePullFailed"))
    assert found is not None
    assert "registry.example.com/shop:1.4.2 cannot be pulled" in found["Ready"]["message"]
    assert found["Stalled"]["status"] == "False"


def _reason_is(server: ApiServer, namespace: str, reason: str) -> dict[str, Manifest] | None:
    found = conditions(server, namespace)
    return found if found["Ready"]["reason"] == reason else None


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize(
    ("kind", "patch"),
    [
        ("Deployment", [{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "evil:1"}]),
        ("Deployment", [{"op": "replace", "path": "/spec/template/spec/containers/0/env/0/value", "value": "::1"}]),
        ("Deployment", [{"op": "replace", "path": "/spec/replicas", "value": 0}]),
        ("Deployment", [{"op": "remove", "path": "/metadata/ownerReferences"}]),
        ("Deployment", [{"op": "replace", "path": "/metadata/labels", "value": {}}]),
        ("Deployment", [{"op": "remove", "path": "/spec/template/spec/containers/0/readinessProbe"}]),
        ("Deployment", [{"op": "replace", "path": "/spec/strategy", "value": {"type": "Recreate"}}]),
        ("Service", [{"op": "replace", "path": "/spec/selector", "value": {"app": "other"}}]),
        ("Service", [{"op": "remove", "path": "/metadata/ownerReferences"}]),
        ("HorizontalPodAutoscaler", [{"op": "replace", "path": "/spec/maxReplicas", "value": 99}]),
        ("PodDisruptionBudget", [{"op": "replace", "path": "/spec/maxUnavailable", "value": 2}]),
        ("Ingress", [{"op": "replace", "path": "/spec/rules/0/host", "value": "evil.example.com"}]),
        ("Ingress", [{"op": "replace", "path": "/metadata/labels", "value": {"hca-operator.io/api": "cart"}}]),
        ("NetworkPolicy", [{"op": "replace", "path": "/spec/ingress", "value": [{}]}]),
    ],
    ids=lambda value: value[0]["op"] + value[0]["path"].replace("/", ".") if isinstance(value, list) else value,
)
def test_fault_26_drift_is_repaired_and_what_others_added_stays(
    kind: str, patch: list[Manifest], server: ApiServer, namespace: str
) -> None:
    before = _meant(server.get(kind, namespace, "shop"))
    server.patch(kind, namespace, "shop", {"metadata": {"annotations": {"example.com/theirs": "kept"}}})
    assert _meant(server.patch(kind, namespace, "shop", patch, as_=JSON_PATCH)) != before
    eventually(lambda: _meant(server.get(kind, namespace, "shop")) == before)
    healed = server.get(kind, namespace, "shop")
    assert healed is not None
    assert healed["metadata"]["annotations"]["example.com/theirs"] == "kept"


def _meant(child: Manifest | None) -> Manifest:
    """What a child is meant to be, without what others write."""
    assert child is not None
    metadata = {name: child["metadata"].get(name) for name in ("labels", "ownerReferences")}
    return {"metadata": metadata, "spec": child["spec"]}


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize(("kind", "name"), [(kind, of.format("shop")) for kind, of in CHILDREN])
def test_fault_25_a_deleted_child_comes_back(kind: str, name: str, server: ApiServer, namespace: str) -> None:
    before = server.get(kind, namespace, name)
    assert before is not None
    server.delete(kind, namespace, name)

    def back() -> bool:
        found = server.get(kind, namespace, name)
        return found is not None and found["metadata"]["uid"] != before["metadata"]["uid"]

    eventually(back)


@pytest.mark.usefixtures("running")
def test_fault_17_children_that_the_object_drops_go_and_come_back(server: ApiServer, namespace: str) -> None:
    everything = children(server, namespace).keys()
    server.patch(KIND, namespace, "shop", {"spec": {"traffic": {"routes": None}, **DISABLED}})
    optional = {("Ingress", "shop"), ("HorizontalPodAutoscaler", "shop")}
    eventually(lambda: children(server, namespace).keys() == everything - optional)
    server.patch(KIND, namespace, "shop", {"spec": {**ROUTES, "autoscaling": {"mode": "Horizontal"}}})
    eventually(lambda: children(server, namespace).keys() == everything)


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"nodeSelector": {"disktype": "ssd"}}, ("nodeSelector",)),
        ({"tolerations": [{"operator": "Exists"}]}, ("tolerations",)),
        ({"priorityClassName": "system-cluster-critical"}, ("priorityClassName",)),
        ({"serviceAccountName": "shop"}, ("serviceAccountName",)),
        ({"env": [{"name": "LEVEL", "value": "info"}]}, ("containers", 0, "env", -1, "name")),
        ({"envFrom": [{"secretRef": {"name": "shop"}}]}, ("containers", 0, "envFrom")),
        ({"podSecurity": {"fsGroup": 2000}}, ("securityContext", "fsGroup")),
        (
            {"podSecurity": {"sysctls": [{"name": "net.ipv4.tcp_fin_timeout", "value": "20"}]}},
            ("securityContext", "sysctls"),
        ),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_fault_17_a_field_that_the_object_drops_disappears(
    fields: Manifest, path: tuple[str | int, ...], server: ApiServer, namespace: str
) -> None:
    def value() -> Any:
        found = server.get("Deployment", namespace, "shop")
        assert found is not None
        node = found["spec"]["template"]["spec"]
        try:
            for step in path:
                node = node[step]
        except KeyError:
            return None
        return node

    before = value()
    server.patch(KIND, namespace, "shop", {"spec": fields})
    eventually(lambda: value() not in {None, before} if isinstance(value(), str | int) else value() != before)
    server.patch(KIND, namespace, "shop", {"spec": dict.fromkeys(fields)})
    eventually(lambda: value() == before)


@pytest.mark.parametrize(
    "text", ["é", "🚀", "\x7f", "\x85", "\u2028", "\ufeff", "\ufffe", "a\tb\r\nc", "on", "1e3", "\\ud83d"], ids=ascii
)
def test_whatever_the_user_writes_reaches_the_pods_unchanged(text: str, server: ApiServer, namespace: str) -> None:
    written = api(namespace, env=[{"name": "TEXT", "value": text}], podAnnotations={"note": text})
    server.create(written)
    child = eventually(lambda: server.get("Deployment", namespace, "shop"))
    assert child is not None
    template = child["spec"]["template"]
    assert template["metadata"]["annotations"]["note"] == text
    assert {"name": "TEXT", "value": text} in template["spec"]["containers"][0]["env"]


@pytest.mark.usefixtures("running")
def test_fault_02_the_same_quantity_in_other_words_restarts_nothing(server: ApiServer, namespace: str) -> None:
    def template_generation() -> int:
        found = server.get("Deployment", namespace, "shop")
        assert found is not None
        return int(found["metadata"]["generation"])

    server.patch(KIND, namespace, "shop", {"spec": {"resources": {"limits": {"cpu": "2"}}}})
    eventually(lambda: status(server, namespace)["workersPerPod"] == 2)
    before = template_generation()
    for generation, words in enumerate((2, "2000m", "2.0", "2e0"), start=3):
        server.patch(KIND, namespace, "shop", {"spec": {"resources": {"limits": {"cpu": words}}}})
        eventually(lambda g=generation: status(server, namespace)["observedGeneration"] == g)  # type: ignore[misc]
    assert template_generation() == before


@pytest.mark.usefixtures("running")
def test_a_status_written_by_hand_is_repaired(server: ApiServer, namespace: str) -> None:
    eventually(lambda: conditions(server, namespace))
    lie = {"type": "Ready", "status": "True", "observedGeneration": 9, "reason": "Lie", "message": ""}
    lies = {
        "conditions": [lie | {"lastTransitionTime": "2026-01-02t03:04:05+99:99"}],
        "url": "http://evil",
        "replicas": 7,
    }
    server.patch(KIND, namespace, "shop/status", {"status": lies})

    def repaired() -> bool:
        reported, found = status(server, namespace), conditions(server, namespace)
        assert found.keys() == set(ConditionType)
        assert all(datetime.fromisoformat(entry["lastTransitionTime"]) for entry in found.values())
        assert found["Ready"]["status"] == "False"
        return (reported["url"], reported["replicas"]) == ("http://shop.example.com/", 2)

    eventually(repaired)


@pytest.mark.usefixtures("running")
def test_a_paused_object_is_left_as_it_is_and_says_so(server: ApiServer, namespace: str) -> None:
    server.patch(KIND, namespace, "shop", {"spec": {"reconciliation": "Paused", "port": 9000}})
    eventually(lambda: _reason_is(server, namespace, "Paused"))
    server.delete("Service", namespace, "shop")
    eventually(lambda: ("Service", "shop") not in children(server, namespace))
    server.patch(KIND, namespace, "shop", {"metadata": {"annotations": {"look": "again"}}})
    assert ("Service", "shop") not in children(server, namespace)
    server.patch(KIND, namespace, "shop", {"spec": {"reconciliation": "Active"}})
    eventually(lambda: ("Service", "shop") in children(server, namespace))


def test_fifty_objects_at_once_converge(server: ApiServer, namespace: str, operator: OperatorProcess) -> None:
    names = [f"shop-{number}" for number in range(50)]
    for name in names:
        server.create(api(namespace, name, **ROUTES))
    for name in names:
        eventually(lambda n=name: len(children(server, namespace, n)) == len(CHILDREN))  # type: ignore[misc]
        eventually(lambda n=name: conditions(server, namespace, n))  # type: ignore[misc]
    assert 'result="failed"' not in operator.metrics()
