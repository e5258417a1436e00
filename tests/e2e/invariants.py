"""What holds whatever the tests do: looked at once, when all of them are over.

One API stands by in a namespace of its own all the while, so that there is something to look at.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass

from dev.workloads import NAMESPACE, RELEASE
from hca_operator.core.names import FIELD_MANAGER, GROUP, MANAGED_BY, MANAGED_BY_LABEL
from tests.e2e.cluster import Cluster, Object

API = """
apiVersion: v1
kind: Namespace
metadata: {{name: {name}}}
---
apiVersion: hca-operator.io/v1alpha1
kind: HighConcurrencyApi
metadata: {{name: {name}, namespace: {name}}}
spec:
  image: {image}
  resources: {{requests: {{cpu: 50m, memory: 96Mi}}, limits: {{cpu: "1", memory: 256Mi}}}}
  autoscaling: {{minReplicas: 1, maxReplicas: 2}}
  availability: {{terminationGracePeriod: 5s}}
"""
OPERATOR = ("--selector=app.kubernetes.io/name=hca-operator", f"--namespace={NAMESPACE}")
OURS = f"--selector={MANAGED_BY_LABEL}={MANAGED_BY}"
FINALIZERS = r'{range .items[*]}{.kind} {.metadata.name}{"\t"}{.metadata.finalizers}{"\n"}{end}'


@dataclass(frozen=True)
class Start:
    """How things were when the tests began: the cluster may be older than they are."""

    name: str
    """Of the API that stands by, and of its namespace."""
    time: str
    restarts: dict[str, int]


def begin(cluster: Cluster, name: str) -> Start:
    """Have an API that stands by, with a count that the autoscaler has to raise."""
    cluster.kubectl("delete", "namespace", name, "--ignore-not-found")
    cluster.apply(API.format(name=name, image=cluster.sample_image))
    cluster.kubectl("wait", "--for=condition=Ready", f"hcapi/{name}", "--namespace", name, "--timeout=120s")
    more = json.dumps({"spec": {"autoscaling": {"minReplicas": 2}}})
    cluster.kubectl("patch", "hcapi", name, "--namespace", name, "--type=merge", "--patch", more)
    return Start(name, cluster.get("namespace", name)["metadata"]["creationTimestamp"], _restarts(cluster))


def end(start: Start, cluster: Cluster) -> None:
    """Remove the API that stood by."""
    cluster.kubectl("delete", "namespace", start.name, "--wait=false")


def broken_since(start: Start, cluster: Cluster) -> list[str]:
    """What does not hold, one sentence each."""
    cluster.kubectl("rollout", "status", f"deployment/{RELEASE}", "--namespace", NAMESPACE, "--timeout=120s")
    cluster.until(
        lambda: cluster.get("deployment", start.name, start.name)["spec"]["replicas"] == 2, "the autoscaler has acted"
    )
    restarts = _restarts(cluster)
    return [
        *(f"{name} has a finalizer of ours" for name in _finalized(cluster)),
        *(f"{name} was restarted" for name in restarts if restarts[name] != start.restarts.get(name, 0)),
        *(f"the operator complained: {line}" for line in _complaints(cluster, start.time)),
        *_fought_over(cluster, start.name),
    ]


def _finalized(cluster: Cluster) -> Iterator[str]:
    kinds = cluster.kubectl("api-resources", "--verbs=list", "--output=name").split()
    shown = ",".join(kind for kind in kinds if not kind.startswith("events") and not kind.endswith("metrics.k8s.io"))
    for line in cluster.kubectl("get", shown, "--all-namespaces", f"--output=jsonpath={FINALIZERS}").splitlines():
        name, finalizers = line.split("\t")
        if GROUP in finalizers:
            yield name


def _restarts(cluster: Cluster) -> dict[str, int]:
    pods = json.loads(cluster.kubectl("get", "pods", *OPERATOR, "--output=json"))["items"]
    return {
        f"pod {pod['metadata']['name']}": sum(
            container["restartCount"] for container in pod["status"].get("containerStatuses", [])
        )
        for pod in pods
    }


def _complaints(cluster: Cluster, since: str) -> Iterator[str]:
    """Log lines that should not be there: a broken watch, which goes on by itself, is none."""
    logs = cluster.kubectl("logs", *OPERATOR, f"--since-time={since}", "--tail=-1", "--ignore-errors")
    for text in logs.splitlines():
        try:
            line = json.loads(text)
        except ValueError:
            yield text  # a traceback, or whatever else is not of our making
            continue
        if (line["level"] in {"ERROR", "CRITICAL"} or "exc_info" in line) and "will retry" not in line["message"]:
            yield text


def _fought_over(cluster: Cluster, bystander: str) -> Iterator[str]:
    """Fields of our Deployments that both the operator and the autoscaler write."""
    found = cluster.kubectl(
        "get", "deployments,hpa", "--all-namespaces", OURS, "--output=json", "--show-managed-fields"
    )
    items: list[Object] = json.loads(found)["items"]
    autoscalers = [item for item in items if item["kind"] == "HorizontalPodAutoscaler"]
    scaled = {_place(item) for item in autoscalers}
    # Until an autoscaler has acted, the operator sends the count that it made (docs/design/0002).
    acted = {_place(item) for item in autoscalers if item.get("status", {}).get("lastScaleTime")}
    for deployment in (item for item in items if item["kind"] == "Deployment" and _place(item) in scaled):
        entries = deployment["metadata"]["managedFields"]
        ours = {path for entry in entries if entry["manager"] == FIELD_MANAGER for path in _leaves(entry["fieldsV1"])}
        theirs = {
            path for entry in entries if entry.get("subresource") == "scale" for path in _leaves(entry["fieldsV1"])
        }
        for path in ours & (theirs | ({"f:spec.f:replicas"} if _place(deployment) in acted else set())):
            yield f"{path} of Deployment {'/'.join(_place(deployment))} is written by the operator and the autoscaler"
        if _place(deployment) == (bystander, bystander) and "f:spec.f:replicas" not in theirs:
            yield f"the count of {bystander} is not the autoscaler's, which has set it"


def _place(item: Object) -> tuple[str, str]:
    return item["metadata"]["namespace"], item["metadata"]["name"]


def _leaves(fields: Object, at: str = "") -> Iterator[str]:
    for key, inner in fields.items():
        path = f"{at}.{key}" if at else key
        if inner:
            yield from _leaves(inner, path)
        else:
            yield path
