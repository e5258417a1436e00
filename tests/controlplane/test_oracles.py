"""What an object amounts to follows from its spec alone: not from its history, nor from how often it is looked at.

The oracles are those of Acto (Gu et al., SOSP 2023).
"""

import random
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import pytest

from dev.control_plane import ControlPlane
from tests.controlplane.api_server import JSON_PATCH, ApiServer, Manifest, eventually
from tests.controlplane.essence import differences, essence
from tests.controlplane.fake_kubelet import roll_out
from tests.controlplane.objects import (
    DISABLED,
    KIND,
    ROUTES,
    api,
    children,
    condition_of,
    conditions,
    lenient,
)
from tests.controlplane.operator_process import OperatorProcess

CHAINS, STEPS = 5, 20
FIELDS: dict[str, list[Any]] = {
    "image": ["registry.example.com/shop:1.4.2", "registry.example.com/shop:2"],
    "imagePullPolicy": [None, "Always", "Never"],
    "imagePullSecrets": [None, [{"name": "pull"}], [{"name": "other"}, {"name": "pull"}]],
    "command": [None, ["granian"], ["granian", "--factory"]],
    "args": [None, ["app:app"], []],
    "env": [
        None,
        [{"name": "LEVEL", "value": "info"}],
        [{"name": "LEVEL", "value": ""}, {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}],
        [{"name": "LEVEL", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
    ],
    "envFrom": [None, [{"configMapRef": {"name": "c"}}], [{"prefix": "S_", "secretRef": {"name": "s"}}]],
    "serviceAccountName": [None, "shop"],
    "port": [None, 9000, 8443],
    "replicas": [1, 3, 5],
    "resources": [
        None,
        {"limits": {"cpu": "2", "memory": "1Gi"}},
        {"limits": {"cpu": 2, "memory": "1024Mi"}},
        {"limits": {"cpu": "2000m", "memory": 1073741824}},
        {"requests": {"cpu": "500m", "memory": "512Mi"}, "limits": {"memory": "0.75Gi"}},
    ],
    "workers": [None, {"count": 1}, {"count": 4}],
    "health": [
        None,
        {"readinessPath": "/ready", "livenessPath": "/live"},
        {"startupTimeout": "2m", "periodSeconds": 9},
    ],
    "memoryRestart": [None, {"mode": "Disabled"}, {"worker": {"maxRSS": "256Mi"}, "samples": 5}],
    "autoscaling": [
        None,
        DISABLED["autoscaling"],
        {"minReplicas": 3, "maxReplicas": 5},
        {"metrics": [{"name": "memory", "type": "Memory", "memory": {"targetUtilizationPercent": 60}}]},
        {"behavior": {"scaleDown": {"stabilizationWindowSeconds": 60, "selectPolicy": "Min"}}},
        {"hold": "ScaleDown", "behavior": {"scaleDown": {"selectPolicy": "Max"}}},
        {"hold": "Both"},
    ],
    "service": [None, {"type": "NodePort"}, {"type": "LoadBalancer", "port": 8080}],
    "traffic": [
        None,
        ROUTES["traffic"],
        {"ingress": {"className": "contour"}, "routes": [{"host": "a.example.com", "tls": {"secretName": "a"}}]},
        {"routes": [{"host": "a.example.com"}, {"host": "b.example.com", "path": "/b", "pathType": "Exact"}]},
    ],
    "availability": [None, {"maxUnavailable": 2, "spread": "Required"}, {"spread": "None"}],
    "podSecurity": [
        None,
        {"runAsUser": 1000, "fsGroup": 2000},
        {"profile": "Baseline", "sysctls": [{"name": "net.ipv4.tcp_fin_timeout", "value": "20"}]},
    ],
    "podLabels": [None, {"team": "a"}, {"team": "b", "example.com/tier": "web"}],
    "podAnnotations": [None, {"note": "a"}],
    "nodeSelector": [None, {"disktype": "ssd"}],
    "tolerations": [None, [{"operator": "Exists"}], [{"key": "spot", "effect": "NoSchedule"}]],
    "priorityClassName": [None, "system-cluster-critical"],
    "reconciliation": [None, "Paused"],
}
"""What each field may be changed to; None: it goes."""


@pytest.fixture(scope="module")
def operator(
    control_plane: ControlPlane, server: ApiServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OperatorProcess]:
    """One operator for the whole module, which a test may start anew."""
    del server  # the CRD must be there first
    with OperatorProcess(control_plane.kubeconfig, tmp_path_factory.mktemp("operator") / "log") as started:
        yield started


def change(spec: Manifest, chance: random.Random) -> None:
    """Change a few fields, each to something that is allowed."""
    # The count of the object may only be changed while it decides.
    counted = spec.get("autoscaling") == DISABLED["autoscaling"]
    for name in chance.sample([field for field in FIELDS if field != "replicas" or counted], chance.randint(1, 3)):
        spec.pop(name, None)
        chosen = chance.choice(FIELDS[name])
        if chosen is not None:
            spec[name] = chosen


def last_changes(spec: Manifest, *, autoscaled: bool) -> Iterator[Manifest]:
    """Two last specs, after which the number of pods follows from the spec, too.

    An autoscaler keeps whatever number it finds within its bounds; here it finds the one that a new object starts with.
    """
    spec.pop("reconciliation", None)
    spec |= DISABLED | {"replicas": 4}
    yield spec
    if autoscaled:
        spec["autoscaling"] = {"minReplicas": 4}
        yield spec


def replace(server: ApiServer, namespace: str, name: str, spec: Manifest) -> Manifest:
    """Have a spec instead of the one before, of which nothing is left, not even a default."""
    return server.patch(KIND, namespace, name, [{"op": "replace", "path": "/spec", "value": spec}], as_=JSON_PATCH)


def same_as(server: ApiServer, namespace: str, name: str, wanted: Manifest) -> bool:
    assert conditions(server, namespace, name)
    assert not differences(essence(server, namespace, name), wanted)
    return True


@pytest.mark.usefixtures("operator")
def test_whatever_has_been_changed_before_the_children_are_those_of_a_new_object(
    server: ApiServer, namespace: str, shared_namespace: str
) -> None:
    chances = {f"chain-{seed}": random.Random(seed) for seed in range(CHAINS)}  # noqa: S311 - no secret
    specs: dict[str, Manifest] = {}
    for name in chances:
        specs[name] = api(namespace)["spec"]
        server.create(api(namespace, name))
    for _ in range(STEPS):
        for name, chance in chances.items():
            change(specs[name], chance)
            replace(server, namespace, name, specs[name])
        for name, chance in chances.items():
            if chance.random() < 0.7:  # otherwise the next change comes before this one is carried out
                eventually(lambda n=name: conditions(server, namespace, n))  # type: ignore[misc]
    for number, (name, spec) in enumerate(specs.items()):
        for last in last_changes(spec, autoscaled=number % 2 == 0):
            replace(server, namespace, name, last)
            eventually(lambda n=name: conditions(server, namespace, n))  # type: ignore[misc]
        server.create(api(shared_namespace, name, **spec))
    for name in specs:
        eventually(lambda n=name: conditions(server, shared_namespace, n))  # type: ignore[misc]
        eventually(lambda n=name: same_as(server, namespace, n, essence(server, shared_namespace, n)))  # type: ignore[misc]


def quota(namespace: str, resource: str) -> Manifest:
    """Allows none of a resource."""
    metadata = {"name": "none", "namespace": namespace}
    return {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata, "spec": {"hard": {resource: "0"}}}


def in_the_way(namespace: str) -> Manifest:
    """An Ingress of another owner that has the object's name."""
    metadata = {"name": "shop", "namespace": namespace, "labels": {"app": "theirs"}}
    backend = {"service": {"name": "theirs", "port": {"number": 80}}}
    return {
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": metadata,
        "spec": {"defaultBackend": backend},
    }  # fmt: skip


FAILING: dict[str, tuple[Manifest, str]] = {
    "quota for load balancers": ({"service": {"type": "LoadBalancer"}, "port": 9000}, "ApplyRejected"),
    "quota for ingresses": ({**ROUTES, "podLabels": {"team": "b"}}, "ApplyRejected"),
    "foreign object in the way": ({**ROUTES, "availability": {"maxUnavailable": 2}}, "ResourceConflict"),
    "memory for its workers": ({"workers": {"count": 64}, "port": 9000}, "InvalidSpec"),
    "stored before a rule": ({"port": "eighty", "image": "registry.example.com/shop:2"}, "InvalidSpec"),
}


def hinder(server: ApiServer, namespace: str, case: str) -> None:
    """Have the namespace such that the object cannot be carried out."""
    if case.startswith("quota"):
        resource = "services.loadbalancers" if "load" in case else "count/ingresses.networking.k8s.io"
        server.create(quota(namespace, resource))

        def in_force() -> bool:
            found = server.get("ResourceQuota", namespace, "none")
            return found is not None and "hard" in found["status"]

        eventually(in_force)
    elif case.startswith("foreign"):
        server.create(in_the_way(namespace))


@pytest.mark.usefixtures("operator")
@pytest.mark.parametrize("case", FAILING)
def test_after_an_object_that_failed_the_one_before_brings_back_what_there_was(
    case: str, server: ApiServer, namespace: str
) -> None:
    failing, reason = FAILING[case]
    hinder(server, namespace, case)
    good = api(namespace, env=[{"name": "LEVEL", "value": "info"}], autoscaling={"minReplicas": 3})
    server.create(good)
    eventually(lambda: conditions(server, namespace))
    before, identities = essence(server, namespace), uids(server, namespace)
    # What the API server refuses today is stored as it was when it did not yet.
    with lenient(server) if case.startswith("stored") else nullcontext():
        eventually(lambda: replace(server, namespace, "shop", good["spec"] | failing))
    eventually(lambda: condition_of(server, namespace, "Ready", reason))
    replace(server, namespace, "shop", good["spec"])
    eventually(lambda: same_as(server, namespace, "shop", before))
    assert uids(server, namespace) == identities
    eventually(lambda: conditions(server, namespace)["Stalled"]["status"] == "False")


def uids(server: ApiServer, namespace: str) -> dict[tuple[str, str], str]:
    return {slot: child["metadata"]["uid"] for slot, child in children(server, namespace).items()}


def test_another_look_writes_to_no_child(server: ApiServer, namespace: str, operator: OperatorProcess) -> None:
    names = ("autoscaled", "counted", "rich")
    server.create(api(namespace, "autoscaled"))
    server.create(api(namespace, "counted", **DISABLED))
    server.create(api(namespace, "rich", **{field: values[-1] for field, values in FIELDS.items() if _is_rich(field)}))
    for name in names:
        roll_out(server, namespace, name)
    before = written(server, namespace, names)
    seen = operator.looks()
    for name in names:
        server.patch(KIND, namespace, name, {"metadata": {"annotations": {"look": "again"}}})
    eventually(lambda: operator.looks() >= seen + len(names))
    assert written(server, namespace, names) == before
    operator.stop()
    operator.start()
    eventually(lambda: operator.looks() >= len(names))
    assert written(server, namespace, names) == before


def _is_rich(field: str) -> bool:
    return field not in {"reconciliation", "replicas", "serviceAccountName"}  # an account that is not there has no pods


def written(server: ApiServer, namespace: str, names: tuple[str, ...]) -> dict[tuple[str, str], object]:
    """What changes with every write to a child, but for the autoscaler's status, which its controller writes."""
    return {
        slot: [entry for entry in child["metadata"]["managedFields"] if entry.get("subresource") != "status"]
        if slot[0] == "HorizontalPodAutoscaler"
        else child["metadata"]["resourceVersion"]
        for name in names
        for slot, child in children(server, namespace, name).items()
    }
