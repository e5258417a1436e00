"""What a real kubelet, scheduler and garbage collector make of pods that do not serve: read from `kubectl get hcapi`.

Everything is created at once, and each test waits for its own condition: most of the time passes beside each other.
"""

import json
import math
import re
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from hca_operator.core.quantities import parse_quantity
from hca_operator.core.timestamps import parse_time
from hca_operator.desired.workload import SAFE_TO_EVICT
from tests.e2e.cluster import Cluster, Object
from tests.e2e.journeys import ASK, pods, replaced_pods

PROGRAM = Path(__file__).with_name("misbehaving.py").read_text()
SERVES = ["python", "-c", PROGRAM]
SMALL = {"requests": {"cpu": "10m", "memory": "48Mi"}, "limits": {"cpu": "1", "memory": "160Mi"}}
ADOPTED, EVICTED, SCALED, SPREAD = "adopted", "evicted", "scaled-to-zero", "spread"
RESIZED, TWO_BUDGETS, SECOND = "resized", "two-budgets", "second-budget"


def serving(fault: str = "", **fields: Any) -> Object:
    return {"command": [*SERVES, fault], **fields}


def running(*command: str, **fields: Any) -> Object:
    return {"command": [*command], **fields}


class Fault(NamedTuple):
    """What is wrong with an API, and what Ready says of it."""

    fields: Object
    reason: str
    words: str


DO_NOT_SERVE: dict[str, Fault] = {
    "other-port": Fault(
        running("sh", "-c", "exec python -m http.server 3000", health={"startupTimeout": "20s"}),
        "NothingListens",
        "nothing listens on port 8000 in the container: set spec.port",
    ),
    "one-host": Fault(
        serving("one-host"),
        "ReadinessFailing",
        "GET /health on port 8000 answers 400 to the kubelet, whose Host header is the address of the pod",
    ),
    "one-at-a-time": Fault(
        serving("one-at-a-time"),
        "ReadinessFailing",
        "GET /health on port 8000 is not answered within 3 seconds: all workers are busy or blocked",
    ),
    "http2": Fault(
        {"workers": {}, "env": [{"name": "GRANIAN_HTTP", "value": "2"}]},
        "ReadinessFailing",
        "GET /health on port 8000 is not answered in HTTP/1.1",
    ),
    "read-only": Fault(
        running("python", "-c", "open('/srv/cache', 'w')"),
        "CrashLoop",
        "after 'OSError: [Errno 30] Read-only file system: '/srv/cache'': its log says why (kubectl logs --previous). "
        "The root file system is read-only: let the program write below /tmp",
    ),
    "unknown-user": Fault(
        running("whoami", podSecurity={"runAsUser": 4711}),
        "CrashLoop",
        "after 'whoami: cannot find name for user ID 4711': its log says why (kubectl logs --previous). The user that "
        "the program runs as is not in /etc/passwd of the image",
    ),
    "too-large": Fault(
        running("true", resources={"requests": {"cpu": "64"}}, workers={"server": "Generic", "count": 1}),
        "Unschedulable",
        "too little CPU is free for a request of 64",
    ),
}
"""By name of the API, as are those that serve."""
SERVE: dict[str, Object] = {
    EVICTED: serving(),
    "init-container": serving(),
    "sidecar": serving(),
    "paused": serving(),
    SCALED: serving(),
    SPREAD: serving(
        availability={"spread": "Required", "terminationGracePeriod": "5s"},
        autoscaling={"minReplicas": 4, "maxReplicas": 4},
    ),
    "memory-alone": serving(resources={"limits": {"memory": "1Gi"}}),
    "page-cache": serving("page-cache", memoryRestart={"samples": 1, "pod": {"thresholdPercent": 70}}),
    RESIZED: serving(memoryRestart={"samples": 1}),
    TWO_BUDGETS: serving(memoryRestart={"samples": 1}),
}


def api(cluster: Cluster, name: str, fields: Object, **annotations: str) -> Object:
    spec = {
        "image": cluster.sample_image,
        "workers": {"server": "Generic"},
        "resources": SMALL,
        "autoscaling": {"minReplicas": 1, "maxReplicas": 2},
        "availability": {"terminationGracePeriod": "5s"},
    }
    return {
        "apiVersion": "hca-operator.io/v1alpha1",
        "kind": "HighConcurrencyApi",
        "metadata": {"name": name, "annotations": annotations},
        "spec": {**spec, **fields},
    }


@pytest.fixture(scope="module", autouse=True)
def apis(cluster: Cluster) -> Iterator[str]:
    """All of them, and what takes long is begun."""
    fields = SERVE | {name: fault.fields for name, fault in DO_NOT_SERVE.items()}
    manifest = yaml.safe_dump_all([api(cluster, name, each) for name, each in fields.items()])
    cluster.apply(manifest)
    try:
        cluster.wait_ready(SCALED)
        with scaling_to_zero(cluster):
            cluster.wait_ready(EVICTED)
            fill_disk(cluster)
            resize(cluster, RESIZED, "384Mi")
            resize(cluster, TWO_BUDGETS, "384Mi")
            hold(cluster, RESIZED, 140)
            selector = f"--selector=hca-operator.io/api={TWO_BUDGETS}"
            cluster.kubectl("delete", "pdb", SECOND, "--ignore-not-found")  # of a run that was ended
            cluster.kubectl("create", "pdb", SECOND, selector, "--max-unavailable=1")
            hold(cluster, TWO_BUDGETS, 340)
            yield manifest
    finally:
        cluster.kubectl("delete", "hcapi", *fields, "--wait=false")
        cluster.kubectl("delete", "pdb", SECOND, "--ignore-not-found")


@contextmanager
def scaling_to_zero(cluster: Cluster) -> Iterator[None]:
    """Another controller wants no pods, such as one that saves money at night."""
    scale = shlex.join([*map(str, cluster.kubectl_command), "scale", f"deployment/{SCALED}", "--replicas=0"])
    with subprocess.Popen(["sh", "-c", f"while sleep 1; do {scale}; done"], stdout=subprocess.DEVNULL) as loop:
        try:
            yield
        finally:
            loop.terminate()


def fill_disk(cluster: Cluster) -> None:
    """Write more into /tmp than a pod may have there."""
    (pod,) = pods(cluster, EVICTED)
    cluster.kubectl("exec", pod, "--", "dd", "if=/dev/zero", "of=/tmp/fill", "bs=1M", "count=300")


def resize(cluster: Cluster, name: str, memory: str) -> None:
    """Give the pod of an API more memory in place."""
    cluster.wait_ready(name)
    (pod,) = pods(cluster, name)
    change = {"spec": {"containers": [{"name": "api", "resources": {"limits": {"memory": memory}}}]}}
    cluster.kubectl("patch", "pod", pod, "--subresource=resize", "--patch", json.dumps(change))
    path = "{.status.containerStatuses[0].resources.limits.memory}"
    cluster.kubectl("wait", f"--for=jsonpath={path}={memory}", f"pod/{pod}", "--timeout=60s")


def hold(cluster: Cluster, name: str, mebibytes: int) -> None:
    """Have the pod of an API take memory, and keep it."""
    (pod,) = pods(cluster, name)
    cluster.kubectl("exec", pod, "--", "python", "-c", ASK, "GET", f"/?hold={mebibytes}")


def message(cluster: Cluster, name: str, reason: str, condition: str = "Ready") -> str:
    """What a condition says once it has a reason."""
    path = f"{{.status.conditions[?(@.type=='{condition}')].reason}}"
    cluster.kubectl("wait", f"--for=jsonpath={path}={reason}", f"hcapi/{name}", "--timeout=120s")
    return str(cluster.condition("hcapi", name, condition)["message"])


@contextmanager
def watched(cluster: Cluster, name: str) -> Iterator[list[str]]:
    """Every reason that Ready has while the block lasts; the list is full when it is left."""
    reason = "{.status.conditions[?(@.type=='Ready')].reason}"
    command = ["get", "hcapi", name, "--watch", f"--output=jsonpath={reason}{{'\\n'}}"]
    values: list[str] = []
    with subprocess.Popen([*cluster.kubectl_command, *command], stdout=subprocess.PIPE, text=True) as watch:
        try:
            yield values
        finally:
            watch.terminate()
            output, _ = watch.communicate()
            values += output.split()


def test_fault_63_what_is_applied_again_is_unchanged(cluster: Cluster, apis: str) -> None:
    said = cluster.kubectl("apply", "-f", "-", stdin=apis).splitlines()
    assert [line for line in said if not line.endswith(" unchanged")] == []


@pytest.mark.parametrize("name", DO_NOT_SERVE)
def test_fault_52_53_56_58_why_pods_do_not_serve(cluster: Cluster, name: str) -> None:
    fault = DO_NOT_SERVE[name]
    assert fault.words in message(cluster, name, fault.reason)


def test_fault_54_a_paused_deployment_goes_on_by_the_command_that_is_reported(cluster: Cluster) -> None:
    cluster.wait_ready("paused")
    cluster.kubectl("rollout", "pause", "deployment/paused")
    cluster.patch("hcapi", "paused", {"spec": {"podAnnotations": {"example.com/change": "1"}}})
    said = re.search(r"run kubectl (.+)", message(cluster, "paused", "Paused"))
    assert said
    cluster.kubectl(*said[1].split())
    cluster.wait_ready("paused")


@pytest.mark.parametrize(
    ("name", "field", "program", "words"),
    [
        ("init-container", "initContainers", "exit 3", "init container agent ends with exit code 3"),
        ("sidecar", "containers", "exit 4", "sidecar container agent ends with exit code 4"),
    ],
)
def test_fault_51_a_container_that_another_tool_injects_is_named(
    cluster: Cluster, name: str, field: str, program: str, words: str
) -> None:
    agent = {"name": "agent", "image": cluster.sample_image, "command": ["sh", "-c", program]}
    change = {"spec": {"template": {"spec": {field: [agent]}}}}
    cluster.kubectl("patch", "deployment", name, "--patch", json.dumps(change))
    said = message(cluster, name, "CrashLoop")
    assert words in said
    assert "kubectl logs --previous --container agent" in said


def test_fault_62_what_adoption_would_lose_is_reported_and_confirmed(cluster: Cluster) -> None:
    labels = {"app": ADOPTED}
    idle = {"image": cluster.sample_image, "command": SERVES}
    pod = {
        "initContainers": [{**idle, "name": "migrate", "command": ["true"]}],
        "containers": [{**idle, "name": "shop"}, {**idle, "name": "cloud-sql-proxy", "command": ["sleep", "600"]}],
        "hostAliases": [{"ip": "10.0.0.9", "hostnames": ["db"]}],
        "terminationGracePeriodSeconds": 1,
    }
    template = {"metadata": {"labels": labels}, "spec": pod}
    today = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": ADOPTED}}
    cluster.apply(yaml.safe_dump({**today, "spec": {"selector": {"matchLabels": labels}, "template": template}}))
    uid = cluster.get("deployment", ADOPTED)["metadata"]["uid"]
    cluster.apply(yaml.safe_dump(api(cluster, ADOPTED, serving(), **{"hca-operator.io/adopt": uid})))
    try:
        said = message(cluster, ADOPTED, "ResourceConflict")
        assert "would lose init container migrate, container cloud-sql-proxy, hostAliases" in said
        confirmation = re.search(r"annotate this HighConcurrencyApi with (\S+): (\S+)", said)
        assert confirmation
        cluster.kubectl("annotate", "hcapi", ADOPTED, "=".join(confirmation.groups()))
        cluster.wait_ready(ADOPTED)
    finally:
        cluster.kubectl("delete", "hcapi", ADOPTED, "--wait=false")


def test_pods_are_spread_over_the_workers_and_keep_no_node(cluster: Cluster) -> None:
    cluster.wait_ready(SPREAD)
    assert cluster.get("hcapi", SPREAD)["status"]["readyReplicas"] == 4
    found = cluster.objects("pods", f"hca-operator.io/api={SPREAD}")
    nodes = [pod["spec"]["nodeName"] for pod in found]
    assert sorted(map(nodes.count, set(nodes))) == [2, 2]
    assert {pod["metadata"]["annotations"][SAFE_TO_EVICT] for pod in found} == {"tmp"}


def test_fault_55_memory_alone_leaves_the_autoscaler_its_cpu(cluster: Cluster) -> None:
    assert (
        message(cluster, "memory-alone", "ScalingActive", "ScalingActive")
        == "the HorizontalPodAutoscaler has its metrics"
    )


def test_fault_50_an_evicted_pod_is_history(cluster: Cluster) -> None:
    def evicted() -> bool:
        found = cluster.objects("pods", f"hca-operator.io/api={EVICTED}")
        return any(pod["status"]["phase"] == "Succeeded" for pod in found)  # as its program ends with exit code 0

    cluster.until(evicted, "the kubelet evicts the pod")
    cluster.wait_ready(EVICTED)
    with watched(cluster, EVICTED) as reasons:
        cluster.patch("hcapi", EVICTED, {"spec": {"podAnnotations": {"example.com/change": "1"}}})
        cluster.wait_ready(EVICTED)
    assert evicted(), "it is still listed"
    assert set(reasons) <= {"RollingOut", "RolledOut"}


def test_fault_49_page_cache_replaces_no_pod(cluster: Cluster) -> None:
    def asked() -> int:
        return cluster.kubectl("logs", "deployment/page-cache").count('"GET /metrics')

    cluster.until(lambda: asked() >= 2, "the operator has asked the pod what it holds, and again")
    assert cluster.condition("hcapi", "page-cache", "MemoryHealthy")["message"] == "no pod is near its memory limit"
    assert "memoryRestarts" not in cluster.get("hcapi", "page-cache")["status"]


def test_fault_49_a_resized_pod_is_judged_by_its_own_limit(cluster: Cluster) -> None:
    (pod,) = pods(cluster, RESIZED)
    cluster.until(lambda: used(cluster, pod) > 145 * 2**20, "metrics-server has read the pod")
    read = cluster.get("podmetrics", pod)["timestamp"]
    cluster.until(lambda: cluster.get("podmetrics", pod)["timestamp"] != read, "and again")
    assert message(cluster, RESIZED, "MemoryWithinLimits", "MemoryHealthy") == "no pod is near its memory limit"
    assert pods(cluster, RESIZED) == [pod]


def used(cluster: Cluster, pod: str) -> int:
    found = cluster.kubectl("get", "podmetrics", pod, "--ignore-not-found", "--output=json")
    return int(parse_quantity(json.loads(found)["containers"][0]["usage"]["memory"])) if found else 0


def test_a_pod_with_two_budgets_is_reported_and_goes_when_one_is_deleted(cluster: Cluster) -> None:
    said = message(cluster, TWO_BUDGETS, "ApplyRejected", "MemoryHealthy")
    assert f"more than one PodDisruptionBudget selects it: delete or narrow PodDisruptionBudget {SECOND}" in said
    cluster.kubectl("delete", "pdb", SECOND)
    cluster.until(lambda: replaced_pods(cluster, TWO_BUDGETS) == [], "the pod goes")
    assert cluster.get("hcapi", TWO_BUDGETS)["status"]["memoryRestarts"]["pods"] == 1


def test_fault_67_who_scales_to_zero_is_reported_and_undone_ever_more_rarely(cluster: Cluster) -> None:
    """5 times at once, and after 2, 4, 8, ... seconds, where the other one would have done it each second."""
    said = message(cluster, SCALED, "FieldConflict")
    assert "spec.replicas by a manager that the API server does not record" in said
    deployment = cluster.get("deployment", SCALED)["metadata"]
    age = datetime.now(UTC) - parse_time(deployment["creationTimestamp"])  # noqa: TID251 - of the cluster's clock
    repairs = 5 + int(math.log2(max(2.0, age.total_seconds())))
    assert deployment["generation"] <= 2 * repairs + 2
