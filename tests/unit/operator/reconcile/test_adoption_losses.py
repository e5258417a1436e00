"""What an adoption would lose is found, whatever it is, and what the object can say is none of it."""

from typing import Any

import pytest
import yaml

from hca_operator.cli import render
from hca_operator.core.names import Manifest
from hca_operator.reconcile.adoption_losses import losses
from tests.unit.operator.desired.test_golden import HERE

MINIMAL, EVERYTHING, VOLUMES = (
    {child["kind"]: child for child in render((HERE / "golden" / case / "in.yaml").read_text())}
    for case in ("minimal", "everything", "volumes")
)
SHOP: Manifest = {"name": "shop", "ports": [{"containerPort": 8000}]}
PROXY: Manifest = {"name": "cloud-sql-proxy", "ports": [{"containerPort": 5432}]}


def deployment(*containers: Manifest, **pod: Any) -> Manifest:
    template = {"spec": {"containers": [*containers] or [SHOP], **pod}}
    return {"kind": "Deployment", "spec": {"template": template}}


def lost(live: Manifest) -> list[str]:
    return losses(live, MINIMAL[live["kind"]])


def test_fault_62_what_the_object_cannot_say_is_listed() -> None:
    live = deployment(
        PROXY,
        {**SHOP, "ports": [{"containerPort": 8000}, {"containerPort": 8053, "protocol": "UDP"}]},
        initContainers=[{"name": "migrate"}],
        hostAliases=[{"ip": "10.0.0.9", "hostnames": ["db"]}],
    )
    assert lost(live) == ["init container migrate", "container cloud-sql-proxy", "hostAliases", "port 8053/UDP"]


@pytest.mark.parametrize("case", [MINIMAL, EVERYTHING, VOLUMES], ids=["minimal", "everything", "volumes"])
def test_what_the_object_says_itself_is_no_loss(case: dict[str, Manifest]) -> None:
    for kind in ("Deployment", "Service"):
        assert losses(case[kind], case[kind]) == []


def test_what_the_api_server_fills_in_is_no_loss() -> None:
    live = yaml.safe_load("""
      kind: Deployment
      spec:
        minReadySeconds: 0
        strategy: {type: RollingUpdate}
        template:
          spec:
            restartPolicy: Always
            dnsPolicy: ClusterFirst
            schedulerName: default-scheduler
            preemptionPolicy: PreemptLowerPriority
            priority: 0
            serviceAccount: default
            serviceAccountName: default
            securityContext: {}
            terminationGracePeriodSeconds: 30
            containers:
            - name: web
              image: shop
              imagePullPolicy: IfNotPresent
              terminationMessagePath: /dev/termination-log
              terminationMessagePolicy: File
              ports: [{containerPort: 80, protocol: TCP}]
              readinessProbe: {httpGet: {path: /health, port: 80, scheme: HTTP}, periodSeconds: 10}
              resources: {requests: {cpu: 100m}}
              env: [{name: A, value: "1"}, {name: B, valueFrom: {secretKeyRef: {name: s, key: k}}}]
    """)
    assert lost(live) == []


@pytest.mark.parametrize(
    ("pod", "reported"),
    [
        ({"affinity": {"nodeAffinity": {}}}, "affinity"),
        ({"dnsPolicy": "Default"}, "dnsPolicy"),
        ({"hostNetwork": True}, "hostNetwork"),
        ({"runtimeClassName": "gvisor"}, "runtimeClassName"),
        ({"topologySpreadConstraints": [{"maxSkew": 5}]}, "topologySpreadConstraints"),
        ({"securityContext": {"supplementalGroups": [1]}}, "securityContext.supplementalGroups"),
        ({"volumes": [{"name": "data", "hostPath": {"path": "/"}}]}, "volume data"),
        ({"volumes": [{"name": "shm", "emptyDir": {"medium": "Memory"}}]}, "volume shm"),
        ({"volumes": [{"name": "t", "projected": {"sources": [{"serviceAccountToken": {}}]}}]}, "volume t"),
        ({"aFieldOfLater": {"a": 1}}, "aFieldOfLater"),
    ],
)
def test_a_part_of_the_pod_is_listed(pod: Manifest, reported: str) -> None:
    assert lost(deployment(**pod)) == [reported]


@pytest.mark.parametrize(
    ("container", "reported"),
    [
        ({"workingDir": "/app"}, "workingDir"),
        ({"lifecycle": {"preStop": {"exec": {"command": ["sleep", "5"]}}}}, "lifecycle.preStop"),
        ({"lifecycle": {"postStart": {"exec": {}}}}, "lifecycle.postStart"),
        ({"readinessProbe": {"exec": {"command": ["true"]}}}, "readinessProbe.exec"),
        ({"readinessProbe": {"tcpSocket": {"port": 80}}}, "readinessProbe.tcpSocket"),
        ({"livenessProbe": {"grpc": {"port": 80}}}, "livenessProbe.grpc"),
        ({"livenessProbe": {"httpGet": {"scheme": "HTTPS", "port": 80}}}, "livenessProbe.httpGet.scheme"),
        ({"startupProbe": {"httpGet": {"httpHeaders": [{}], "port": 80}}}, "startupProbe.httpGet.httpHeaders"),
        ({"resources": {"limits": {"nvidia.com/gpu": "1"}}}, "resources.limits.nvidia.com/gpu"),
        ({"securityContext": {"capabilities": {"add": ["NET_ADMIN"]}}}, "container securityContext.capabilities.add"),
        ({"securityContext": {"privileged": True}}, "container securityContext.privileged"),
        ({"env": [{"name": "CPU", "valueFrom": {"resourceFieldRef": {}}}]}, "env CPU"),
        ({"volumeMounts": [{"name": "a", "mountPath": "/a", "subPathExpr": "$(A)"}]}, "mount /a subPathExpr"),
        ({"ports": [{"containerPort": 80}, {"containerPort": 9090}]}, "port 9090/TCP"),
    ],
)
def test_a_part_of_the_container_is_listed(container: Manifest, reported: str) -> None:
    assert lost(deployment({**SHOP, **container})) == [reported]


def test_a_strategy_that_the_object_has_not_is_listed() -> None:
    live = deployment()
    live["spec"] |= {"strategy": {"type": "Recreate"}, "minReadySeconds": 30}
    assert lost(live) == ["strategy Recreate", "minReadySeconds"]


@pytest.mark.parametrize(
    ("spec", "reported"),
    [
        ({"ports": [{"port": 80}]}, []),
        ({"ports": [{"port": 80}, {"port": 80, "protocol": "UDP"}]}, ["port 80/UDP"]),
        ({"ports": [{"port": 9000, "protocol": "TCP"}]}, ["port 9000/TCP (set spec.service.port: 9000 to keep it)"]),
        (
            {"ports": [{"port": 80}], "type": "LoadBalancer"},
            ["type LoadBalancer (set spec.service.type: LoadBalancer)"],
        ),
    ],
)
def test_what_clients_of_a_service_would_lose_is_listed(spec: Manifest, reported: list[str]) -> None:
    assert lost({"kind": "Service", "spec": spec}) == reported


def test_routes_of_an_ingress_that_the_object_has_not_are_listed() -> None:
    rules = [
        {"host": "a.example.com", "http": {"paths": [{"path": "/v1"}, {"path": "/v2"}]}},
        {"host": "b.example.com"},
    ]
    desired = {"spec": {"rules": [{"host": "a.example.com", "http": {"paths": [{"path": "/v1"}]}}]}}
    live = {"kind": "Ingress", "spec": {"rules": rules, "defaultBackend": {"service": {}}}}
    assert losses(live, desired) == ["defaultBackend", "route a.example.com/v2"]
