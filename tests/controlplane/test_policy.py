"""What the platform team sets for every object, on a real API server."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from dev.control_plane import ControlPlane
from tests.controlplane.api_server import JSON_PATCH, ApiServer, Manifest, eventually
from tests.controlplane.fake_kubelet import roll_out
from tests.controlplane.objects import CHILDREN, KIND, ROUTES, api, children, condition_of, conditions
from tests.controlplane.operator_process import OperatorProcess

POLICY = """
defaults:
  traffic: {ingress: {className: contour}}
  nodeSelector: {disktype: ssd}
  podAnnotations: {mesh.example.com/inject: "true"}
limits:
  maxReplicas: 20
  ingressClassNames: [contour]
  annotationKeys: [example.com/]
"""


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    path = tmp_path / "policy.yaml"
    path.write_text(POLICY)
    return path


@pytest.fixture
def operator(control_plane: ControlPlane, server: ApiServer, tmp_path: Path, policy: Path) -> Iterator[OperatorProcess]:
    """An operator with the policy above, running."""
    del server  # the CRD must be there first
    process = OperatorProcess(control_plane.kubeconfig, tmp_path / "log", options=["--policy", str(policy)])
    process.start()
    yield process
    process.end()


def meant(server: ApiServer, namespace: str) -> dict[tuple[str, str], Manifest]:
    return {slot: child["spec"] for slot, child in children(server, namespace).items()}


def complete(server: ApiServer, namespace: str) -> bool:
    return len(children(server, namespace)) == len(CHILDREN) and bool(conditions(server, namespace))


@pytest.mark.usefixtures("operator")
def test_defaults_reach_the_children_and_stay_out_of_the_object(server: ApiServer, namespace: str) -> None:
    written = server.create(api(namespace, **ROUTES))
    eventually(lambda: complete(server, namespace))
    found = meant(server, namespace)
    assert found["Ingress", "shop"]["ingressClassName"] == "contour"
    template = found["Deployment", "shop"]["template"]
    assert template["spec"]["nodeSelector"] == {"disktype": "ssd"}
    assert template["metadata"]["annotations"]["mesh.example.com/inject"] == "true"
    stored = server.get(KIND, namespace, "shop")
    assert stored is not None
    assert stored["spec"] == written["spec"]


def test_an_object_beyond_a_limit_keeps_its_children_until_the_limit_is_raised(
    server: ApiServer, namespace: str, operator: OperatorProcess, policy: Path
) -> None:
    server.create(api(namespace, **ROUTES))
    eventually(lambda: complete(server, namespace))
    before = meant(server, namespace)
    server.patch(KIND, namespace, "shop", {"spec": {"autoscaling": {"maxReplicas": 21}, "port": 9000}})
    reported = eventually(lambda: condition_of(server, namespace, "Ready", "LimitExceeded"))
    assert "spec.autoscaling.maxReplicas: 21 is more than the 20 that is allowed here" in reported["message"]
    assert "apis.limits.maxReplicas" in reported["message"]
    assert conditions(server, namespace)["Stalled"]["status"] == "True"
    assert meant(server, namespace) == before
    operator.stop()
    policy.write_text(POLICY.replace("maxReplicas: 20", "maxReplicas: 21"))
    operator.start()
    eventually(lambda: meant(server, namespace)["HorizontalPodAutoscaler", "shop"]["maxReplicas"] == 21)
    eventually(lambda: condition_of(server, namespace, "Stalled", "NoProblem"))


@pytest.mark.usefixtures("operator")
def test_an_object_that_was_never_within_the_limits_gets_no_child_until_it_is_changed(
    server: ApiServer, namespace: str
) -> None:
    server.create(api(namespace, podAnnotations={"mesh.example.com/inject": "false"}, **ROUTES))
    reported = eventually(lambda: condition_of(server, namespace, "Ready", "LimitExceeded"))
    assert "spec.podAnnotations: mesh.example.com/inject is not one of the keys" in reported["message"]
    assert not children(server, namespace)
    server.patch(KIND, namespace, "shop", {"spec": {"podAnnotations": None}})
    eventually(lambda: complete(server, namespace))


def test_isolation_goes_when_it_is_switched_off_and_that_of_others_stays(
    server: ApiServer, namespace: str, operator: OperatorProcess, policy: Path
) -> None:
    server.create(api(namespace, **ROUTES))
    eventually(lambda: complete(server, namespace))
    theirs = {"podSelector": {}, "policyTypes": ["Ingress"]}
    server.create({"kind": "NetworkPolicy", "metadata": {"name": "theirs", "namespace": namespace}, "spec": theirs})
    operator.stop()
    policy.write_text(f"{POLICY}networkPolicy: {{enabled: false}}")
    operator.start()
    eventually(lambda: server.get("NetworkPolicy", namespace, "shop") is None)
    assert len(children(server, namespace)) == len(CHILDREN) - 1
    assert server.get("NetworkPolicy", namespace, "theirs") is not None


def test_a_changed_default_rolls_one_api_after_the_other(
    control_plane: ControlPlane, server: ApiServer, namespace: str, tmp_path: Path, policy: Path
) -> None:
    names = ["cart", "search", "shop"]
    with OperatorProcess(control_plane.kubeconfig, tmp_path / "before"):
        for name in names:
            server.create(api(namespace, name))
        for name in names:
            roll_out(server, namespace, name)

    def changed() -> set[str]:
        found = {name: server.get("Deployment", namespace, name) for name in names}
        return {name for name, live in found.items() if live and "nodeSelector" in live["spec"]["template"]["spec"]}

    options = ["--policy", str(policy), "--unasked-rollouts", "1"]
    with OperatorProcess(control_plane.kubeconfig, tmp_path / "after", options=options) as operator:
        for turn in (1, 2, 3):
            eventually(lambda n=turn: len(changed()) == n)  # type: ignore[misc]
            looks = operator.looks()
            eventually(lambda n=looks: operator.looks() >= n + len(names))  # type: ignore[misc]
            assert len(changed()) == turn, "the others wait until its pods serve"
            for name in changed():
                roll_out(server, namespace, name)
    assert changed() == set(names)


def test_fault_48_what_is_changed_by_hand_is_repaired_while_a_changed_default_waits(
    control_plane: ControlPlane, server: ApiServer, namespace: str, tmp_path: Path
) -> None:
    def deployment() -> Manifest:
        found = server.get("Deployment", namespace, "shop")
        assert found is not None
        return found

    def template() -> Manifest:
        found: Manifest = deployment()["spec"]["template"]
        return found

    full: Manifest = {
        "podAnnotations": {"team": "shop"}, "env": [{"name": "A", "value": "1"}], "monitoring": {"port": 9100},
        "volumes": [{"name": "cache", "mountPath": "/cache", "emptyDir": {"sizeLimit": "1024Mi"}}],
        "tolerations": [{"key": "a", "operator": "Exists"}], "resources": {"limits": {"cpu": "1000m"}},
    }  # fmt: skip
    with OperatorProcess(control_plane.kubeconfig, tmp_path / "before"):
        server.create(api(namespace, **full))
        roll_out(server, namespace, "shop")
        server.patch(KIND, namespace, "shop", {"spec": {"image": "registry.example.com/shop:2"}})
        roll_out(server, namespace, "shop")
    before = template()
    policy = tmp_path / "policy.yaml"
    policy.write_text("defaults: {nodeSelector: {disk: ssd}}")
    options = ["--policy", str(policy), "--unasked-rollouts", "0"]
    with OperatorProcess(control_plane.kubeconfig, tmp_path / "log", options=options):

        def waits() -> bool:
            ready = conditions(server, namespace)["Ready"]
            return ready["status"] == "True" and "RolloutWaits" in ready["message"]

        eventually(waits)
        server.patch("Deployment", namespace, "shop", {"spec": {"replicas": 0, "minReadySeconds": 3}})
        eventually(lambda: deployment()["spec"]["replicas"] == 2)
        assert template() == before, "nothing but what was changed by hand is repaired"
        # As kubectl rollout undo does: the template and the annotations of the ReplicaSet before.
        old = next(
            found
            for found in server.find("ReplicaSet", namespace)
            if found["spec"]["template"]["spec"]["containers"][0]["image"] != before["spec"]["containers"][0]["image"]
        )
        old["spec"]["template"]["metadata"]["labels"].pop("pod-template-hash")
        undo = [
            {"op": "replace", "path": "/spec/template", "value": old["spec"]["template"]},
            {"op": "replace", "path": "/metadata/annotations", "value": old["metadata"]["annotations"]},
        ]
        server.patch("Deployment", namespace, "shop", undo, as_=JSON_PATCH)

        def repaired() -> bool:
            (container,) = template()["spec"]["containers"]
            return bool(container["image"] == "registry.example.com/shop:2")

        eventually(repaired)
        image = [{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "other"}]
        server.patch("Deployment", namespace, "shop", image, as_=JSON_PATCH)
        eventually(repaired)
