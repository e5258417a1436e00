"""What keeps a pod small in rights: who reaches it, and what it may say to the API server."""

from typing import Any

import pytest

from hca_operator.core.names import Manifest
from hca_operator.desired.children import desired_children
from hca_operator.desired.sizing import size
from tests.unit.operator.objects import api_object


def child(kind: str, **fields: Any) -> Manifest:
    api = api_object(**fields)
    found = next(child.manifest for child in desired_children(api, size(api.spec)) if child.kind == kind)
    assert found is not None
    return found


@pytest.mark.parametrize("fields", [{}, {"port": 9000, "service": {"type": "LoadBalancer", "port": 8443}}])
def test_nothing_but_the_apis_port_is_reached_and_the_port_may_change(fields: dict[str, Any]) -> None:
    spec = child("NetworkPolicy", **fields)["spec"]
    assert spec["policyTypes"] == ["Ingress"], "what the pods reach is not ours to decide"
    assert spec["ingress"] == [{"ports": [{"port": "http", "protocol": "TCP"}]}]
    (container,) = child("Deployment", **fields)["spec"]["template"]["spec"]["containers"]
    assert [port["name"] for port in container["ports"]] == ["http"]


@pytest.mark.parametrize(("port", "opened"), [(8000, ["http"]), (9090, ["http", 9090])])
def test_the_port_of_the_metrics_is_reached_where_it_is_another(port: int, opened: list[str | int]) -> None:
    (let_in,) = child("NetworkPolicy", monitoring={"port": port})["spec"]["ingress"]
    assert [entry["port"] for entry in let_in["ports"]] == opened


def test_no_pod_has_a_token_of_the_api_server_unless_the_object_names_an_account() -> None:
    def pod(**fields: Any) -> Manifest:
        spec: Manifest = child("Deployment", **fields)["spec"]["template"]["spec"]
        return spec

    assert pod()["automountServiceAccountToken"] is False
    assert pod(serviceAccountName="shop")["automountServiceAccountToken"] is True
