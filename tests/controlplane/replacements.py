"""The replacement of a pod near its memory limit, as tests bring it about and look at it."""

from collections.abc import Iterable

from hca_operator.core.names import API_LABEL, DETACHED_LABEL, REPLACED_LABEL
from tests.controlplane.api_server import ApiServer, Manifest, eventually
from tests.controlplane.fake_kubelet import report_ready
from tests.controlplane.fake_metrics import FakeMetrics
from tests.controlplane.objects import condition_of, conditions, status


def selected(server: ApiServer, namespace: str, more: str = "") -> list[Manifest]:
    """The pods of the API that carry another label as well."""
    selector = f"{API_LABEL}=shop" + (f",{more}" if more else "")
    return list(server.find("Pod", namespace, labelSelector=selector))


def healthy(server: ApiServer, metrics: FakeMetrics, namespace: str) -> None:
    """Have no pod of the API be near its limit, and wait until that is reported."""
    for pod in selected(server, namespace):
        metrics.fill(pod, 100)
    eventually(lambda: condition_of(server, namespace, "MemoryHealthy", "MemoryWithinLimits"))


def replacement_over(server: ApiServer, namespace: str) -> bool:
    """Whether a pod of the API was replaced and counted, and none is being replaced; the new one need not be read."""
    healthy = conditions(server, namespace)["MemoryHealthy"]
    assert healthy["reason"] in {"MemoryWithinLimits", "MemoryNotRead"}, healthy
    return "memoryRestarts" in status(server, namespace)


def near_limit(server: ApiServer, metrics: FakeMetrics, namespace: str) -> Manifest:
    """Have the first pod of the API be near its limit, and the others not."""
    first, *others = selected(server, namespace)
    for other in others:
        metrics.fill(other, 100)
    metrics.fill(first)
    return first


def changed_pods(server: ApiServer, namespace: str, since: str) -> set[str]:
    """Names of the API's pods that have changed since; a detached pod's ReplicaSet may have created another one."""
    changed = [seen["metadata"] for seen in server.changes_since(since, "Pod", namespace)]
    return {metadata["name"] for metadata in changed if metadata["labels"].get(API_LABEL) == "shop"}


def no_replica_set_left(server: ApiServer, namespace: str) -> bool:
    """Whether no ReplicaSet of a detached pod is left, nor a pod that one has created."""
    return not server.find("ReplicaSet", namespace, labelSelector=REPLACED_LABEL) and not server.find(
        "Pod", namespace, labelSelector=DETACHED_LABEL
    )


def adopted(server: ApiServer, namespace: str) -> Manifest:
    """The detached pod, once its controller is a ReplicaSet."""
    (detached,) = selected(server, namespace, REPLACED_LABEL)
    owners = {owner["kind"]: owner for owner in detached["metadata"]["ownerReferences"]}
    assert owners["ReplicaSet"]["controller"]
    return detached


def bind(server: ApiServer, pod: Manifest, node: str) -> None:
    """Have a pod on a node, as the scheduler does."""
    metadata = {"name": pod["metadata"]["name"], "namespace": pod["metadata"]["namespace"]}
    body = {"kind": "Binding", "apiVersion": "v1", "metadata": metadata, "target": {"kind": "Node", "name": node}}
    bound = server.answer("POST", "Pod", metadata["namespace"], f"{metadata['name']}/binding", body=body)
    assert bound.is_success, bound.text


def budget(server: ApiServer, namespace: str) -> Manifest:
    """The status of the disruption budget."""
    found = server.get("PodDisruptionBudget", namespace, "shop")
    assert found is not None
    shown: Manifest = found["status"]
    return shown


def replaced(server: ApiServer, pods: Iterable[Manifest]) -> bool:
    """Whether each of these has gone, while all successors get ready; each API has another pod."""
    left = 0
    for pod in pods:
        namespace = pod["metadata"]["namespace"]
        report_ready(server, namespace, API_LABEL)
        uids = {found["metadata"]["uid"] for found in selected(server, namespace)}
        left += len(uids) != 2 or pod["metadata"]["uid"] in uids
    return not left
