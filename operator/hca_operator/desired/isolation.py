"""The NetworkPolicy."""

from hca_operator.api.spec import ApiObject
from hca_operator.core.names import PORT_NAME, Manifest
from hca_operator.desired.metadata import api_selector, child_metadata


def network_policy(api: ApiObject) -> Manifest:
    """Lets in what comes to the API's port and to that of its metrics, from wherever, and nothing else.

    What the pods reach is left to others. The port by its name, since a change of its number is rolled out: until then
    each pod serves on its own.
    """
    ports: list[str | int] = [PORT_NAME]
    if api.spec.monitoring.port not in {None, api.spec.port}:
        ports.append(api.spec.monitoring.port)
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": child_metadata(api, api.name),
        "spec": {
            "podSelector": {"matchLabels": api_selector(api.name)},
            "policyTypes": ["Ingress"],
            "ingress": [{"ports": [{"port": port, "protocol": "TCP"} for port in ports]}],
        },
    }
