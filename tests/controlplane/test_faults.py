"""Faults that the running operator meets, by the numbers of docs/faults.md."""

from typing import Any

import pytest

from dev.control_plane import ControlPlane
from hca_operator.controller.kopf_events import IMPOSSIBLE_FINALIZER
from tests.controlplane.api_server import JSON_PATCH, ApiServer, Manifest, eventually
from tests.controlplane.fake_kubelet import report, report_ready, report_unschedulable, roll_out
from tests.controlplane.objects import (
    CHILDREN,
    DISABLED,
    KIND,
    ROUTES,
    api,
    children,
    condition_of,
    conditions,
    env,
    limits,
    status,
)
from tests.controlplane.operator_process import OperatorProcess

pytestmark = pytest.mark.usefixtures("operator")
NO_NODE = "0/3 nodes are available: 3 Insufficient cpu. preemption: 0/3 nodes are available."
SNIPPET = "nginx.ingress.kubernetes.io/configuration-snippet"


def complete(server: ApiServer, namespace: str, name: str = "shop") -> bool:
    return len(children(server, namespace, name)) == len(CHILDREN) and bool(conditions(server, namespace, name))


def pods_with(server: ApiServer, namespace: str, image: str) -> list[Manifest]:
    return [pod for pod in server.find("Pod", namespace) if pod["spec"]["containers"][0]["image"] == image]


def specs(server: ApiServer, namespace: str) -> dict[tuple[str, str], Any]:
    return {slot: child["spec"] for slot, child in children(server, namespace).items()}


def deployment(server: ApiServer, namespace: str) -> Manifest:
    found = server.get("Deployment", namespace, "shop")
    assert found is not None
    return found


def test_fault_05_a_thousand_pods_that_fit_nowhere_are_said_and_two_serve_again(
    server: ApiServer, namespace: str
) -> None:
    server.create(api(namespace, replicas=1000, **DISABLED))
    for pod in eventually(lambda: server.find("Pod", namespace))[:3]:
        report_unschedulable(server, pod, NO_NODE)
    ready = eventually(lambda: condition_of(server, namespace, "Ready", "Unschedulable"))
    assert ready["message"] == "no node can take a pod: too little CPU is free for a request of 250m"
    server.patch(KIND, namespace, "shop", {"spec": {"replicas": 2}})
    eventually(lambda: len(server.find("Pod", namespace)) == 2, within=120)
    for pod in server.find("Pod", namespace):
        report(server, pod, {"state": {"running": {}}, "ready": True}, ready="True")
    eventually(lambda: condition_of(server, namespace, "Ready", "RolledOut"))


def test_fault_05_pods_that_fit_nowhere_are_said_too_when_the_object_asks_for_more_of_them(
    server: ApiServer, namespace: str
) -> None:
    server.create(api(namespace, **DISABLED))
    roll_out(server, namespace, "shop")
    server.patch(KIND, namespace, "shop", {"spec": {"replicas": 4}})
    eventually(lambda: len(server.find("Pod", namespace)) == 4)
    for pod in server.find("Pod", namespace):
        if "conditions" not in pod["status"]:
            report_unschedulable(server, pod, NO_NODE)
    eventually(lambda: condition_of(server, namespace, "Ready", "Unschedulable"))
    assert conditions(server, namespace)["Available"]["status"] == "True"


def test_fault_06_with_a_tag_that_does_not_exist_the_old_pods_serve_and_going_back_restores_everything(
    server: ApiServer, namespace: str
) -> None:
    image = server.create(api(namespace, **ROUTES))["spec"]["image"]
    roll_out(server, namespace, "shop")
    before = specs(server, namespace)
    serving = {pod["metadata"]["uid"] for pod in server.find("Pod", namespace)}
    server.patch(KIND, namespace, "shop", {"spec": {"image": "registry.example.com/shop:absent"}})
    for pod in eventually(lambda: pods_with(server, namespace, "registry.example.com/shop:absent")):
        report(server, pod, {"state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such tag"}}})
    eventually(lambda: condition_of(server, namespace, "Ready", "ImagePullFailed"))
    assert conditions(server, namespace)["Available"]["status"] == "True"
    assert {pod["metadata"]["uid"] for pod in pods_with(server, namespace, image)} == serving
    server.patch(KIND, namespace, "shop", {"spec": {"image": image}})
    eventually(lambda: condition_of(server, namespace, "Ready", "RolledOut"))
    assert specs(server, namespace) == before
    eventually(lambda: {pod["metadata"]["uid"] for pod in server.find("Pod", namespace)} == serving)


def test_fault_71_an_image_that_was_corrected_is_not_said_to_be_wrong_because_pods_of_the_old_one_are_there(
    server: ApiServer, namespace: str
) -> None:
    server.create(api(namespace, **DISABLED, image="registry.example.com/shop:absent"))
    eventually(lambda: len(server.find("Pod", namespace)) == 2)
    for pod in server.find("Pod", namespace):
        report(server, pod, {"state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such tag"}}})
    eventually(lambda: condition_of(server, namespace, "Ready", "ImagePullFailed"))
    since = server.version(KIND, namespace)
    server.patch(KIND, namespace, "shop", {"spec": {"image": "registry.example.com/shop:1.4.2"}})
    (pod,) = eventually(lambda: pods_with(server, namespace, "registry.example.com/shop:1.4.2"))
    eventually(lambda: condition_of(server, namespace, "Ready", "RollingOut"))
    report(server, pod, {"state": {"waiting": {"reason": "CreateContainerConfigError", "message": "no Secret"}}})
    eventually(lambda: condition_of(server, namespace, "Ready", "CreateContainerConfigError"))
    assert len(pods_with(server, namespace, "registry.example.com/shop:absent")) == 2
    for seen in server.changes_since(since, KIND, namespace):
        ready = next(each for each in seen["status"]["conditions"] if each["type"] == "Ready")
        assert ready["observedGeneration"] == 1 or ready["reason"] != "ImagePullFailed"


def test_fault_68_an_owner_that_is_a_path_leads_nowhere(
    server: ApiServer, namespace: str, operator: OperatorProcess
) -> None:
    owner = {"apiVersion": "hca-operator.io/v1alpha1", "kind": KIND, "uid": "none", "controller": True}
    for number, name in enumerate(["../../../v1/namespaces/default/services/kubernetes", "..", "shop?watch=true"]):
        labels = {"app.kubernetes.io/managed-by": "hca-operator"}
        owners = [{**owner, "name": name}]
        metadata = {"name": f"child-{number}", "namespace": namespace, "labels": labels, "ownerReferences": owners}
        server.create({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"ports": [{"port": 80}]}})
    server.create(api(namespace))
    eventually(lambda: conditions(server, namespace))
    assert {line["object"] for line in operator.log() if namespace in line.get("object", "")} <= {f"{namespace}/shop"}


def test_fault_54_a_deployment_that_is_paused_by_kubectl_is_reported_once_a_change_waits(
    server: ApiServer, namespace: str, control_plane: ControlPlane
) -> None:
    server.create(api(namespace, **DISABLED))
    roll_out(server, namespace, "shop")
    control_plane.kubectl("rollout", "pause", "deployment/shop", f"--namespace={namespace}")
    server.patch(KIND, namespace, "shop", {"spec": {"service": {"port": 81}}})
    eventually(lambda: status(server, namespace)["observedGeneration"] == 2)
    assert condition_of(server, namespace, "Ready", "RolledOut"), "no pod differs from what is wanted"
    server.patch(KIND, namespace, "shop", {"spec": {"image": "registry.example.com/shop:2"}})
    command = eventually(lambda: condition_of(server, namespace, "Ready", "Paused"))["message"].split(": run kubectl ")[
        1
    ]
    assert conditions(server, namespace)["Stalled"]["status"] == "True"
    control_plane.kubectl(*command.split())
    roll_out(server, namespace, "shop")


def test_fault_12_annotations_for_the_ingress_controller_do_not_reach_the_ingress(
    server: ApiServer, namespace: str
) -> None:
    meant = {SNIPPET: "return 200;", "nginx.ingress.kubernetes.io/auth-url": "http://169.254.169.254/"}
    written = api(namespace, podAnnotations=meant, podLabels={"team": "shop"}, **ROUTES)
    written["metadata"] |= {"annotations": meant, "labels": {"team": "shop"}}
    server.create(written)
    eventually(lambda: complete(server, namespace))
    for (kind, _), child in children(server, namespace).items():
        assert not meant.keys() & child["metadata"].get("annotations", {}).keys(), kind
        assert "team" not in child["metadata"]["labels"], kind


def test_fault_13_objects_with_one_host_and_path_are_all_applied(
    server: ApiServer, namespace: str, shared_namespace: str
) -> None:
    """Which of them gets the requests is the ingress controller's decision."""
    objects = [(namespace, "shop"), (namespace, "cart"), (shared_namespace, "shop")]
    for where, name in objects:
        server.create(api(where, name, **ROUTES))
    for where, name in objects:
        eventually(lambda w=where, n=name: condition_of(server, w, "TrafficReady", "RoutesApplied", name=n))  # type: ignore[misc]
        ingress = server.get("Ingress", where, name)
        assert ingress is not None
        assert ingress["spec"]["rules"][0]["host"] == "shop.example.com"
        assert ingress["metadata"]["ownerReferences"][0]["name"] == name


def test_fault_19_labels_of_the_user_change_no_selector(server: ApiServer, namespace: str) -> None:
    server.create(api(namespace, **ROUTES))
    eventually(lambda: complete(server, namespace))

    def selectors() -> dict[tuple[str, str], Any]:
        found = children(server, namespace).items()
        return {slot: (child["metadata"]["uid"], child["spec"].get("selector")) for slot, child in found}

    before = selectors()
    labels = {"app.kubernetes.io/name": "cart", "team": "cart"}
    own = {"hca-operator.io/api": "cart", "hca-operator.io/track": "canary"}
    server.patch(KIND, namespace, "shop", {"metadata": {"labels": labels | own}, "spec": {"podLabels": labels}})
    eventually(lambda: deployment(server, namespace)["spec"]["template"]["metadata"]["labels"]["team"] == "cart")
    assert selectors() == before


def test_fault_20_a_megabyte_is_carried_out_and_not_copied_into_annotations(server: ApiServer, namespace: str) -> None:
    values = {f"VALUE_{number}": "x" * 32768 for number in range(30)}
    server.create(api(namespace, **env(*({"name": name, "value": value} for name, value in values.items()))))
    eventually(lambda: conditions(server, namespace)["Ready"]["reason"] == "RollingOut")
    container = deployment(server, namespace)["spec"]["template"]["spec"]["containers"][0]
    assert values.items() <= {variable["name"]: variable["value"] for variable in container["env"]}.items()
    stored = server.get(KIND, namespace, "shop")
    assert stored is not None
    assert "annotations" not in stored["metadata"]
    assert len(str(deployment(server, namespace)["metadata"].get("annotations", ""))) < 1000


def test_fault_26_what_others_put_into_the_pods_stays(
    control_plane: ControlPlane, server: ApiServer, namespace: str
) -> None:
    server.create(api(namespace))
    eventually(lambda: conditions(server, namespace))
    control_plane.kubectl("rollout", "restart", "deployment/shop", "-n", namespace)
    sidecar = {"op": "add", "path": "/spec/template/spec/containers/-", "value": {"name": "proxy", "image": "proxy:1"}}
    server.patch("Deployment", namespace, "shop", [sidecar], as_=JSON_PATCH)
    server.patch(KIND, namespace, "shop", {"spec": {"port": 9000}})

    def template() -> Manifest:
        found: Manifest = deployment(server, namespace)["spec"]["template"]
        return found

    def port() -> int:
        own = next(container for container in template()["spec"]["containers"] if container["name"] == "api")
        return int(own["ports"][0]["containerPort"])

    eventually(lambda: port() == 9000)
    assert "kubectl.kubernetes.io/restartedAt" in template()["metadata"]["annotations"]
    assert {container["name"] for container in template()["spec"]["containers"]} == {"api", "proxy"}


def their_autoscaler(namespace: str) -> Manifest:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "shop"}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "theirs", "namespace": namespace},
        "spec": {"minReplicas": 5, "maxReplicas": 6, "scaleTargetRef": target},
    }


def test_fault_27_another_autoscaler_on_the_same_pods_is_said_and_left_alone(server: ApiServer, namespace: str) -> None:
    server.create(api(namespace))
    eventually(lambda: conditions(server, namespace))
    before = server.create(their_autoscaler(namespace))
    eventually(lambda: _ambiguous(server, namespace))
    assert conditions(server, namespace)["ScalingActive"]["reason"] == "AutoscalerFailing"
    after = server.get("HorizontalPodAutoscaler", namespace, "theirs")
    assert after is not None
    assert (after["spec"], after["metadata"].get("ownerReferences")) == (before["spec"], None)
    server.delete("HorizontalPodAutoscaler", namespace, "theirs")
    eventually(lambda: not _ambiguous(server, namespace))


def test_fault_27_another_autoscaler_where_the_object_decides_the_count_is_said_and_not_fought(
    server: ApiServer, namespace: str
) -> None:
    server.create(api(namespace, **DISABLED))
    eventually(lambda: conditions(server, namespace))
    server.create(their_autoscaler(namespace))
    found = eventually(lambda: condition_of(server, namespace, "Ready", "ResourceConflict"))
    assert "HorizontalPodAutoscaler theirs" in found["message"]


def _ambiguous(server: ApiServer, namespace: str) -> bool:
    return "AmbiguousSelector" in conditions(server, namespace)["ScalingActive"]["message"]


def test_fault_29_the_restricted_standard_is_kept_and_another_profile_quoted_where_it_is_refused(
    server: ApiServer, namespace: str
) -> None:
    enforced = {"pod-security.kubernetes.io/enforce": "restricted"}
    server.patch("Namespace", "", namespace, {"metadata": {"labels": enforced}})
    server.create(api(namespace, podSecurity={"profile": "Baseline"}))
    ready = eventually(lambda: condition_of(server, namespace, "Ready", "PodsRejected"))
    assert 'violates PodSecurity "restricted' in ready["message"]
    server.patch(KIND, namespace, "shop", {"spec": {"podSecurity": {"profile": "Restricted"}}})
    roll_out(server, namespace, "shop")


def test_fault_29_a_limit_range_that_refuses_pods_is_quoted(server: ApiServer, namespace: str) -> None:
    small = {"limits": [{"type": "Container", "max": {"memory": "256Mi"}}]}
    metadata = {"name": "small", "namespace": namespace}
    server.create({"apiVersion": "v1", "kind": "LimitRange", "metadata": metadata, "spec": small})
    server.create(api(namespace))
    ready = eventually(lambda: condition_of(server, namespace, "Ready", "PodsRejected"))
    assert "maximum memory usage per Container is 256Mi" in ready["message"]
    server.patch(KIND, namespace, "shop", {"spec": limits("1", "256Mi")})
    roll_out(server, namespace, "shop")


def test_fault_32_without_metrics_the_count_stays_and_only_the_autoscaler_is_said_to_fail(
    server: ApiServer, namespace: str
) -> None:
    server.create(api(namespace))
    roll_out(server, namespace, "shop")
    server.patch("Deployment", namespace, "shop/scale", {"spec": {"replicas": 4}})
    eventually(lambda: len(server.find("Pod", namespace)) == 4)
    report_ready(server, namespace, "hca-operator.io/api=shop")
    since = server.version("Deployment", namespace)
    eventually(lambda: condition_of(server, namespace, "ScalingActive", "AutoscalerFailing"))
    eventually(lambda: status(server, namespace)["readyReplicas"] == 4)
    found = conditions(server, namespace)
    assert (found["Available"]["status"], found["Ready"]["status"]) == ("True", "True")
    assert {seen["spec"]["replicas"] for seen in server.changes_since(since, "Deployment", namespace)} <= {4}
    assert deployment(server, namespace)["spec"]["replicas"] == 4


def test_fault_40_what_kopf_would_read_from_an_object_keeps_no_change_from_the_operator(
    server: ApiServer, namespace: str
) -> None:
    written = api(namespace)
    annotations = {"kopf.zalando.org/last-handled-configuration": "no JSON"}
    written["metadata"] |= {"annotations": annotations, "finalizers": ["hca-operator.io/unused"]}
    server.create(written)
    eventually(lambda: conditions(server, namespace))
    server.patch(KIND, namespace, "shop", {"spec": {"port": 9000}})
    eventually(lambda: conditions(server, namespace), within=30)
    server.patch(KIND, namespace, "shop", {"metadata": {"finalizers": None}})


def test_the_finalizer_that_kopf_would_take_off_an_object_is_refused_by_the_api_server(
    server: ApiServer, namespace: str
) -> None:
    written = api(namespace)
    written["metadata"]["finalizers"] = [IMPOSSIBLE_FINALIZER]
    assert server.answer("POST", KIND, namespace, body=written).status_code == 422
