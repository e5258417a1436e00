"""What memory does to pods, told by a kubelet that does not exist and carried out by the real controllers."""

from datetime import UTC, datetime

from hca_operator.api.restart import time_text
from tests.controlplane.api_server import ApiServer, Manifest, eventually
from tests.controlplane.fake_kubelet import report, roll_out
from tests.controlplane.objects import KIND, api, condition_of, conditions, status
from tests.controlplane.operator_process import OperatorProcess


def killed(at: datetime, **more: Manifest) -> Manifest:
    """A container that the kernel has ended at its limit."""
    ended = {"exitCode": 137, "reason": "OOMKilled", "finishedAt": time_text(at), "startedAt": time_text(at)}
    return {"lastState": {"terminated": ended}, "restartCount": 1, **more}


def test_a_kill_by_the_kernel_is_told_although_the_container_was_back_at_once(
    server: ApiServer, namespace: str, operator: OperatorProcess
) -> None:
    server.create(api(namespace))
    roll_out(server, namespace, "shop")
    assert conditions(server, namespace)["MemoryHealthy"]["reason"] == "MemoryWithinLimits"
    (pod, _) = server.find("Pod", namespace)
    now = datetime.now(UTC)  # noqa: TID251 - the operator's own clock
    since = server.version(KIND, namespace)
    report(server, pod, killed(now, state={"waiting": {"reason": "CrashLoopBackOff"}}))
    eventually(lambda: condition_of(server, namespace, "MemoryHealthy", "OutOfMemory"))
    report(server, pod, killed(now, state={"running": {}}) | {"ready": True}, ready="True")
    eventually(lambda: condition_of(server, namespace, "Ready", "RolledOut"))
    condition_of(server, namespace, "MemoryHealthy", "OutOfMemory")
    counted = status(server, namespace)["memoryRestarts"]
    assert (counted["oomKills"], counted["lastReason"]) == (1, "OOMKilled")
    assert (counted["lastPod"], counted["lastTime"]) == (pod["metadata"]["name"], time_text(now))
    told = [seen["status"].get("memoryRestarts") for seen in server.changes_since(since, KIND, namespace)]
    assert all(count in (None, counted) for count in told)
    assert 'hca_memory_restarts_total{reason="OOMKilled"} 1.0' in operator.metrics()
    (event,) = server.find(
        "Event", namespace, fieldSelector="reason=OutOfMemory,involvedObject.kind=HighConcurrencyApi"
    )
    assert event["type"] == "Warning"
