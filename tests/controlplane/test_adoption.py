"""A team that runs an API today hands it over, without a pod less on the way."""

from typing import Any

import pytest

from tests.controlplane.api_server import ApiServer, Manifest, eventually
from tests.controlplane.fake_kubelet import report_ready, roll_out
from tests.controlplane.objects import KIND, api, children, condition_of

pytestmark = pytest.mark.usefixtures("operator")
LABELS = {"app": "shop", "tier": "web"}
IMAGE = "registry.example.com/shop:1.3.0"


def run_today(server: ApiServer, namespace: str, **service: Any) -> dict[str, Manifest]:
    """A Deployment of three pods and its Service, as another tool applied them."""
    metadata = {"name": "shop", "namespace": namespace, "labels": {"team": "shop"}, "annotations": {"note": "ours"}}
    container = {
        "name": "web",
        "image": IMAGE,
        "env": [{"name": "OLD", "value": "1"}],
        "ports": [{"containerPort": 80}],
    }
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata,
        "spec": {
            "replicas": 3,
            "revisionHistoryLimit": 3,
            "selector": {"matchLabels": LABELS},
            "template": {
                "metadata": {"labels": {**LABELS, "version": "1.3.0"}},
                "spec": {"containers": [container], "dnsPolicy": "ClusterFirst"},
            },
        },
    }
    ports = [{"name": "web", "port": 80, "targetPort": 80}]
    spec = {"selector": LABELS, "ports": ports, "clusterIP": "", **service}
    made = {
        "Deployment": server.apply(deployment, manager="their-tool"),
        "Service": server.create({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}),
    }

    def serves() -> bool:
        report_ready(server, namespace, "app=shop")
        return bool(live(server, namespace, "Deployment")["status"].get("availableReplicas") == 3)

    eventually(serves)
    return made


def adopting(namespace: str, *uids: str, **fields: Any) -> Manifest:
    manifest = api(namespace, **fields)
    manifest["metadata"]["annotations"] = {"hca-operator.io/adopt": ", ".join(uids)}
    return manifest


def live(server: ApiServer, namespace: str, kind: str) -> Manifest:
    found = server.get(kind, namespace, "shop")
    assert found is not None
    return found


def uid(manifest: Manifest) -> str:
    return str(manifest["metadata"]["uid"])


def test_a_deployment_and_its_service_are_taken_over_without_a_pod_less(server: ApiServer, namespace: str) -> None:
    today = run_today(server, namespace)
    old_pods = {uid(pod) for pod in server.find("Pod", namespace)}
    since = server.version("Deployment", namespace)
    server.create(adopting(namespace, *map(uid, today.values())))
    eventually(lambda: len({uid(pod) for pod in server.find("Pod", namespace)} - old_pods) > 0)
    deployment = live(server, namespace, "Deployment")
    assert uid(deployment) == uid(today["Deployment"])
    assert deployment["spec"]["selector"]["matchLabels"] == LABELS, "immutable"
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert LABELS.items() <= labels.items(), "its own selector asks for them"
    assert labels["hca-operator.io/api"] == "shop"
    assert "version" not in labels
    assert [container["name"] for container in deployment["spec"]["template"]["spec"]["containers"]] == ["api"]
    assert (deployment["metadata"]["labels"]["team"], deployment["metadata"]["annotations"]["note"]) == ("shop", "ours")
    assert old_pods <= {uid(pod) for pod in server.find("Pod", namespace)}, "an old pod goes when a new one is ready"
    assert live(server, namespace, "Service")["spec"]["selector"] == LABELS, "not before every pod is ours"
    roll_out(server, namespace, "shop")
    eventually(lambda: condition_of(server, namespace, "Ready", "RolledOut"))
    eventually(lambda: live(server, namespace, "Service")["spec"]["selector"] == {"hca-operator.io/api": "shop"})
    service = live(server, namespace, "Service")
    assert service["spec"]["clusterIP"] == today["Service"]["spec"]["clusterIP"]
    assert [port["port"] for port in service["spec"]["ports"]] == [80]
    counts = {change["spec"]["replicas"] for change in server.changes_since(since, "Deployment", namespace)}
    assert counts == {3}, "the count that was there is the one that the autoscaler begins with"


def test_fault_62_what_a_deployment_would_lose_is_refused_with_a_list_until_that_is_confirmed(
    server: ApiServer, namespace: str
) -> None:
    pod = {
        "initContainers": [{"name": "migrate", "image": IMAGE}],
        "containers": [
            {"name": "shop", "image": IMAGE, "ports": [{"containerPort": 8000}]},
            {"name": "cloud-sql-proxy", "image": IMAGE},
        ],
        "hostAliases": [{"ip": "10.0.0.9", "hostnames": ["db"]}],
    }
    template = {"metadata": {"labels": LABELS}, "spec": pod}
    metadata = {"name": "shop", "namespace": namespace}
    spec = {"replicas": 1, "selector": {"matchLabels": LABELS}, "template": template}
    today = server.create({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec})
    budget = {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {**metadata, "name": "web"}}
    server.create({**budget, "spec": {"maxUnavailable": 1, "selector": {"matchLabels": {"app": "shop"}}}})
    server.create(adopting(namespace, uid(today)))
    reported = eventually(lambda: condition_of(server, namespace, "Ready", "ResourceConflict"))
    assert "would lose init container migrate, container cloud-sql-proxy, hostAliases" in reported["message"]
    assert "would keep PodDisruptionBudget web" in reported["message"]
    assert live(server, namespace, "Deployment")["spec"]["template"] == today["spec"]["template"]
    confirmed = {"hca-operator.io/adopt-with-loss": uid(today)}
    server.patch(KIND, namespace, "shop", {"metadata": {"annotations": confirmed}})
    eventually(lambda: "hostAliases" not in live(server, namespace, "Deployment")["spec"]["template"]["spec"])
    adopted = live(server, namespace, "Deployment")["spec"]["template"]["spec"]
    assert [container["name"] for container in adopted["containers"]] == ["api"]
    assert "initContainers" not in adopted


def test_what_leaves_the_object_later_leaves_what_was_taken_over(server: ApiServer, namespace: str) -> None:
    today = run_today(server, namespace)
    server.create(adopting(namespace, *map(uid, today.values()), env=[{"name": "NEW", "value": "1"}]))

    def own_variables() -> list[str]:
        container = live(server, namespace, "Deployment")["spec"]["template"]["spec"]["containers"][0]
        return [variable["name"] for variable in container["env"] if not variable["name"].startswith("GRANIAN")]

    eventually(lambda: own_variables() == ["NEW"])
    server.patch(KIND, namespace, "shop", {"spec": {"env": []}})
    eventually(lambda: own_variables() == [])
    managers = {
        (entry["manager"], entry["operation"])
        for entry in live(server, namespace, "Deployment")["metadata"]["managedFields"]
        if "subresource" not in entry
    }
    assert managers == {("hca-operator", "Apply")}


def test_without_its_uid_nothing_is_taken_over(server: ApiServer, namespace: str) -> None:
    today = run_today(server, namespace)
    server.create(adopting(namespace, uid(today["Service"])))
    reported = eventually(lambda: condition_of(server, namespace, "Ready", "ResourceConflict"))
    assert "hca-operator.io/adopt: <uid>" in reported["message"]
    assert live(server, namespace, "Deployment")["spec"] == today["Deployment"]["spec"]


def test_a_service_with_another_port_says_what_its_clients_would_lose(server: ApiServer, namespace: str) -> None:
    today = run_today(server, namespace, ports=[{"name": "web", "port": 9000, "targetPort": 80}])
    server.create(adopting(namespace, *map(uid, today.values())))

    def refused() -> Manifest:
        report_ready(server, namespace, "app=shop")
        return condition_of(server, namespace, "Ready", "ResourceConflict")

    reported = eventually(refused)
    assert "set spec.service.port: 9000" in reported["message"]
    server.patch(KIND, namespace, "shop", {"spec": {"service": {"port": 9000}}})

    def switched() -> bool:
        report_ready(server, namespace, "app=shop")  # the Service is switched when the last old pod has gone
        return bool(live(server, namespace, "Service")["spec"]["selector"] == {"hca-operator.io/api": "shop"})

    eventually(switched)


def test_what_another_controller_writes_is_not_taken_over(server: ApiServer, namespace: str) -> None:
    today = run_today(server, namespace)
    owner = server.create(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "owner", "namespace": namespace}}
    )
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": uid(owner), "controller": True}
    server.patch("Deployment", namespace, "shop", {"metadata": {"ownerReferences": [reference]}})
    server.create(adopting(namespace, uid(today["Deployment"])))
    reported = eventually(lambda: condition_of(server, namespace, "Ready", "ResourceConflict"))
    assert "while ConfigMap owner controls it" in reported["message"]
    assert len(children(server, namespace)) == 2, "theirs alone"
