"""An install for its own namespace alone, with the rights of a Role; and definitions that go and come back."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from dev.control_plane import ControlPlane
from hca_operator.api.crd import crd
from tests.controlplane.api_server import ApiServer, Manifest, eventually
from tests.controlplane.objects import (
    CHILDREN,
    KIND,
    ROUTES,
    api,
    children,
    condition_of,
    conditions,
    install,
    pod_of_operator,
)
from tests.controlplane.operator_process import OperatorProcess

GROUPS = [
    *("", "apps", "policy", "autoscaling", "networking.k8s.io"),
    *("hca-operator.io", "coordination.k8s.io", "metrics.k8s.io"),
]


@pytest.fixture
def own(control_plane: ControlPlane, server: ApiServer, namespace: str, tmp_path: Path) -> Iterator[OperatorProcess]:
    """An operator whose rights end with its namespace."""
    role: Manifest = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": "operator", "namespace": namespace},
        "rules": [{"apiGroups": GROUPS, "resources": ["*"], "verbs": ["*"]}],
    }
    server.create(role)
    control_plane.kubectl(
        *("create", "rolebinding", "operator", f"--namespace={namespace}"),
        *("--role=operator", f"--serviceaccount={namespace}:operator"),
    )
    pod_of_operator(server, namespace, "own", "operator")
    process = OperatorProcess(
        control_plane.kubeconfig_for(f"system:serviceaccount:{namespace}:operator"), tmp_path / "own", identity="own",
        lease_namespace=namespace, options=["--own-namespace-only"],
    )  # fmt: skip
    process.start()
    yield process
    process.end()


def test_an_install_for_its_own_namespace_needs_no_right_beyond_it(
    server: ApiServer, namespace: str, own: OperatorProcess
) -> None:
    server.create(api(namespace, **ROUTES))
    eventually(lambda: len(children(server, namespace)) == len(CHILDREN))
    server.delete("Service", namespace, "shop")
    eventually(lambda: ("Service", "shop") in children(server, namespace))
    server.patch(KIND, namespace, "shop", {"spec": {"traffic": {"routes": []}}})
    eventually(lambda: ("Ingress", "shop") not in children(server, namespace))
    eventually(lambda: condition_of(server, namespace, "Ready", "RollingOut"))
    assert not [line for line in own.log() if "forbidden" in line["message"]], "it asks for nothing that it may not"


def test_an_install_for_the_cluster_leaves_that_namespace_alone(
    control_plane: ControlPlane, server: ApiServer, namespace: str, own: OperatorProcess, tmp_path: Path
) -> None:
    with OperatorProcess(control_plane.kubeconfig, tmp_path / "everywhere", identity="everywhere") as everywhere:
        eventually(lambda: "leading" in [line["message"] for line in everywhere.log()])
        server.create(api(namespace))
        eventually(lambda: conditions(server, namespace))
        assert not [line for line in everywhere.log() if line.get("object") == f"{namespace}/shop"]
        own.stop()
        server.patch(KIND, namespace, "shop", {"spec": {"service": {"port": 8081}}})
        eventually(lambda: children(server, namespace)["Service", "shop"]["spec"]["ports"][0]["port"] == 8081)


def test_without_the_definition_an_install_for_its_own_namespace_ends_and_says_why(
    server: ApiServer, own: OperatorProcess
) -> None:
    server.delete("CustomResourceDefinition", "", "highconcurrencyapis.hca-operator.io")
    try:
        assert own.ended(within=60) == 1
        assert "are not defined in this cluster" in own.log()[-1]["message"]
    finally:
        _install_again(server)


def test_an_install_for_the_cluster_comes_back_with_the_definition(
    server: ApiServer, namespace: str, control_plane: ControlPlane, tmp_path: Path
) -> None:
    operator = OperatorProcess(control_plane.kubeconfig, tmp_path / "log")
    operator.start()

    def ready() -> bool:
        operator.restart_if_ended()  # as the kubelet does
        return operator.probe("readyz") == 200

    try:
        server.create(api(namespace))
        eventually(lambda: conditions(server, namespace))
        server.delete("CustomResourceDefinition", "", "highconcurrencyapis.hca-operator.io")
        _install_again(server)
        eventually(ready, within=150)
        server.create(api(namespace, "cart"))

        def looked_at() -> bool:
            return ready() and bool(conditions(server, namespace, "cart"))

        eventually(looked_at, within=150)
    finally:
        operator.end()


def _install_again(server: ApiServer) -> None:
    gone = "highconcurrencyapis.hca-operator.io"
    eventually(lambda: server.get("CustomResourceDefinition", "", gone) is None)
    install(server, crd())
