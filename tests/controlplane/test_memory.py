"""What memory does to pods, reported by a kubelet that does not exist and carried out by the real controllers."""

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from pathlib import Path

import pytest

from dev.control_plane import ControlPlane
from hca_operator.core.names import API_LABEL, DETACHED_LABEL, EVICTION_ANNOTATION, HASH_LABEL, REPLACED_LABEL
from hca_operator.core.timestamps import time_text
from hca_operator.restarts.pod_replacement import LONGEST_DETACHED
from tests.controlplane.api_server import ApiServer, Manifest, eventually
from tests.controlplane.conftest import temporary_namespace
from tests.controlplane.fake_kubelet import report, report_ready, roll_out
from tests.controlplane.fake_metrics import FakeMetrics
from tests.controlplane.faults import Killed
from tests.controlplane.meddler import Meddler
from tests.controlplane.objects import DISABLED, KIND, api, condition_of, status
from tests.controlplane.operator_process import OperatorProcess
from tests.controlplane.replacements import (
    adopted,
    bind,
    budget,
    changed_pods,
    healthy,
    near_limit,
    no_replica_set_left,
    replaced,
    replacement_over,
    selected,
)

QUICK = {"memoryRestart": {"samples": 1, "minInterval": "1h"}}
MANY_WRITES = 20
"""More than a replacement takes."""
LIVES_BESIDE_EACH_OTHER = 10
"""Replacements in each of which the operator dies after another write: all of them go on after each of its deaths."""


@pytest.fixture(scope="module")
def meddler(control_plane: ControlPlane) -> Iterator[Meddler]:
    with Meddler(control_plane) as started:
        yield started


@pytest.fixture
def operator(meddler: Meddler, server: ApiServer, tmp_path: Path) -> Iterator[OperatorProcess]:
    """An operator of the test's own, which reaches the API server through the meddler."""
    del server  # the CRD must be there first
    process = OperatorProcess(meddler.kubeconfig(), tmp_path / "log")
    process.start()
    yield process
    process.end()


def killed(at: datetime) -> Manifest:
    """A container that the kernel has ended at its limit."""
    ended = {"exitCode": 137, "reason": "OOMKilled", "finishedAt": time_text(at), "startedAt": time_text(at)}
    return {"lastState": {"terminated": ended}, "restartCount": 1}


def test_a_kill_by_the_kernel_is_reported_although_the_container_was_back_at_once(
    server: ApiServer, namespace: str, operator: OperatorProcess
) -> None:
    server.create(api(namespace))
    roll_out(server, namespace, "shop")
    pod = server.find("Pod", namespace)[0]
    now = datetime.now(UTC)  # noqa: TID251 - the operator's own clock
    report(server, pod, killed(now) | {"state": {"waiting": {"reason": "CrashLoopBackOff"}}})
    eventually(lambda: condition_of(server, namespace, "MemoryHealthy", "OutOfMemory"))
    report(server, pod, killed(now) | {"state": {"running": {}}, "ready": True}, ready="True")
    eventually(lambda: condition_of(server, namespace, "Ready", "RolledOut"))
    condition_of(server, namespace, "MemoryHealthy", "OutOfMemory")
    counted = status(server, namespace)["memoryRestarts"]
    assert (counted["oomKills"], counted["lastReason"]) == (1, "OOMKilled")
    assert (counted["lastPod"], counted["lastTime"]) == (pod["metadata"]["name"], time_text(now))
    assert 'hca_memory_restarts_total{reason="OOMKilled"} 1.0' in operator.metrics()


def with_detached_pod(server: ApiServer, metrics: FakeMetrics, namespace: str) -> None:
    """An API, one pod of which is being replaced."""
    server.create(api(namespace, **QUICK))
    roll_out(server, namespace, "shop")
    near_limit(server, metrics, namespace)
    eventually(lambda: selected(server, namespace, REPLACED_LABEL))


@pytest.mark.parametrize("replicas", [1, 2])
def test_fault_36_a_pod_near_its_limit_goes_only_when_as_many_serve_without_it(
    server: ApiServer, namespace: str, metrics: FakeMetrics, operator: OperatorProcess, replicas: int
) -> None:
    server.create(api(namespace, replicas=replicas, **DISABLED, **QUICK))
    roll_out(server, namespace, "shop")
    healthy(server, metrics, namespace)
    since, history = server.version("Pod", namespace), server.version(KIND, namespace)
    pod = near_limit(server, metrics, namespace)
    (detached,) = eventually(lambda: selected(server, namespace, REPLACED_LABEL))
    assert detached["metadata"]["uid"] == pod["metadata"]["uid"]
    owners = {owner["kind"]: owner.get("controller", False) for owner in detached["metadata"]["ownerReferences"]}
    assert owners[KIND] is False
    eventually(lambda: len(selected(server, namespace, HASH_LABEL)) == replicas)
    looks = operator.looks()
    eventually(lambda: operator.looks() >= looks + 2)
    assert selected(server, namespace, REPLACED_LABEL), "its successor does not serve yet"
    condition_of(server, namespace, "MemoryHealthy", "ReplacingPod")
    report_ready(server, namespace, API_LABEL)
    eventually(lambda: not selected(server, namespace, REPLACED_LABEL))
    metrics.forget(pod)
    healthy(server, metrics, namespace)
    counted = status(server, namespace)["memoryRestarts"]
    assert (counted["pods"], counted["lastReason"], counted["replacedUIDs"]) == (
        1, "PodReplaced", [pod["metadata"]["uid"]],
    )  # fmt: skip
    ready = [_ready(seen) for seen in server.changes_since(history, KIND, namespace)]
    assert set(ready) == {"True"}, "the API was ready all the time"
    assert len(changed_pods(server, namespace, since)) == 2, "one pod went and one came"
    assert 'hca_memory_restarts_total{reason="PodReplaced"} 1.0' in operator.metrics()


def _ready(seen: Manifest) -> str:
    return str(next(entry["status"] for entry in seen["status"]["conditions"] if entry["type"] == "Ready"))


@pytest.mark.usefixtures("operator")
def test_fault_49_a_pod_that_was_resized_in_place_is_judged_by_its_own_limit(
    server: ApiServer, namespace: str, metrics: FakeMetrics, operator: OperatorProcess
) -> None:
    server.create(api(namespace, **QUICK))
    roll_out(server, namespace, "shop")
    pod, *_ = selected(server, namespace)
    resized = {"resources": {"limits": {"memory": "1Gi"}}}
    report(server, pod, {"state": {"running": {}}, "ready": True, **resized}, ready="True")
    metrics.fill(pod, 600)
    looks = operator.looks()
    eventually(lambda: operator.looks() >= looks + 2, within=60)
    assert not selected(server, namespace, REPLACED_LABEL)
    metrics.fill(pod, 950)
    eventually(lambda: selected(server, namespace, REPLACED_LABEL), within=60)


def test_fault_66_a_drain_and_the_budget_know_the_controller_of_a_pod_that_is_being_replaced(
    control_plane: ControlPlane, server: ApiServer, namespace: str, metrics: FakeMetrics, operator: OperatorProcess
) -> None:
    control_plane.kubectl("apply", "-f", "-", stdin=f"{{kind: Node, apiVersion: v1, metadata: {{name: {namespace}}}}}")
    restricted = {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}
    server.patch("Namespace", "", namespace, {"metadata": restricted})
    server.create(api(namespace, replicas=2, **DISABLED, **QUICK))
    roll_out(server, namespace, "shop")
    for pod in selected(server, namespace):
        bind(server, pod, namespace)
    since = server.version("PodDisruptionBudget", namespace)
    pod = near_limit(server, metrics, namespace)
    assert eventually(lambda: adopted(server, namespace))["metadata"]["uid"] == pod["metadata"]["uid"]
    # The budget would hold up a dry run by the server: the question is only whether kubectl refuses.
    control_plane.kubectl(
        "drain", namespace, "--ignore-daemonsets", "--delete-emptydir-data", "--dry-run=client",
        f"--pod-selector={REPLACED_LABEL}",
    )  # fmt: skip
    eventually(lambda: budget(server, namespace)["expectedPods"] == 3)
    assert budget(server, namespace)["disruptionsAllowed"] == 0, "no other pod may go before the new one serves"

    def going() -> bool:
        report_ready(server, namespace, HASH_LABEL)
        return all("deletionTimestamp" in found["metadata"] for found in selected(server, namespace, REPLACED_LABEL))

    eventually(going)
    eventually(lambda: len(server.find("Pod", namespace, labelSelector=DETACHED_LABEL)) == 2)
    (in_its_place,) = server.find("Pod", namespace, labelSelector=f"{DETACHED_LABEL},!{API_LABEL}")
    (scheduled,) = in_its_place["status"]["conditions"]
    assert (scheduled["type"], scheduled["reason"]) == ("PodScheduled", "SchedulingGated"), "it never runs"
    looks = operator.looks()
    eventually(lambda: operator.looks() >= looks + 2)
    assert not no_replica_set_left(server, namespace), "the budget needs it until the node has ended the pod"
    server.answer("DELETE", "Pod", namespace, pod["metadata"]["name"], body={"gracePeriodSeconds": 0})
    eventually(lambda: no_replica_set_left(server, namespace))
    eventually(lambda: budget(server, namespace)["expectedPods"] == 2)
    reasons = {
        entry["reason"]
        for seen in server.changes_since(since, "PodDisruptionBudget", namespace)
        for entry in seen["status"]["conditions"]
    }
    assert "SyncFailed" not in reasons
    control_plane.kubectl("delete", "node", namespace)


@pytest.mark.usefixtures("operator")
def test_a_late_pod_is_evicted_although_the_budget_would_keep_it_for_its_replica_set(
    server: ApiServer, namespace: str, metrics: FakeMetrics
) -> None:
    server.create(api(namespace, replicas=2, **DISABLED, **QUICK))
    roll_out(server, namespace, "shop")
    near_limit(server, metrics, namespace)
    eventually(lambda: adopted(server, namespace))
    eventually(lambda: budget(server, namespace)["expectedPods"] == 3)
    began = time_text(datetime.now(UTC) - LONGEST_DETACHED - timedelta(minutes=1))  # noqa: TID251 - as above
    server.patch(KIND, namespace, "shop/status", {"status": {"memoryRestarts": {"replacedAt": began}}})
    eventually(lambda: not selected(server, namespace, REPLACED_LABEL))
    assert budget(server, namespace)["expectedPods"] == 2
    eventually(lambda: no_replica_set_left(server, namespace))


@pytest.mark.usefixtures("operator")
def test_a_second_budget_puts_the_eviction_off_and_is_named_and_the_interval_the_next_replacement(
    server: ApiServer, namespace: str, metrics: FakeMetrics
) -> None:
    server.create(api(namespace, **QUICK))
    roll_out(server, namespace, "shop")
    spec = {"maxUnavailable": 0, "selector": {"matchLabels": {API_LABEL: "shop"}}}
    server.create({"kind": "PodDisruptionBudget", "metadata": {"name": "strict", "namespace": namespace}, "spec": spec})
    near_limit(server, metrics, namespace)
    refusals = eventually(lambda: selected(server, namespace, REPLACED_LABEL))

    def ready() -> bool:
        report_ready(server, namespace, API_LABEL)
        return len(selected(server, namespace, HASH_LABEL)) == 2

    eventually(ready)
    shown = eventually(lambda: condition_of(server, namespace, "MemoryHealthy", "ApplyRejected"))
    assert shown["message"].endswith("delete or narrow PodDisruptionBudget strict")
    assert selected(server, namespace, REPLACED_LABEL)
    server.delete("PodDisruptionBudget", namespace, "strict")
    eventually(lambda: not selected(server, namespace, REPLACED_LABEL))
    metrics.forget(refusals[0])
    near_limit(server, metrics, namespace)
    eventually(lambda: condition_of(server, namespace, "MemoryHealthy", "MemoryPressure"))
    assert not selected(server, namespace, REPLACED_LABEL)
    assert status(server, namespace)["memoryRestarts"]["pods"] == 1


@pytest.mark.usefixtures("operator")
def test_a_budget_that_was_not_computed_anew_because_of_another_one_holds_nothing_up(
    server: ApiServer, namespace: str, metrics: FakeMetrics
) -> None:
    """When a pod changes, one of the budgets that select it is computed anew, and the others stay as they were."""
    with_detached_pod(server, metrics, namespace)
    outdated = {"status": {"currentHealthy": 0, "disruptionsAllowed": 0}}

    def held_up() -> bool:
        report_ready(server, namespace, API_LABEL)
        pods = selected(server, namespace, REPLACED_LABEL)
        if not pods or EVICTION_ANNOTATION in pods[0]["metadata"].get("annotations", {}):
            return True
        server.patch("PodDisruptionBudget", namespace, "shop/status", outdated)
        return False

    eventually(held_up)
    eventually(lambda: not selected(server, namespace, REPLACED_LABEL))


def test_a_pod_that_was_detached_goes_with_its_object_while_the_operator_is_away(
    server: ApiServer, namespace: str, metrics: FakeMetrics, operator: OperatorProcess
) -> None:
    with_detached_pod(server, metrics, namespace)
    operator.kill()
    server.delete(KIND, namespace, "shop")
    eventually(lambda: not server.find("Pod", namespace))


@pytest.mark.long
@pytest.mark.timeout(600)
def test_killed_after_any_of_its_writes_it_replaces_the_pod_once(
    meddler: Meddler, server: ApiServer, metrics: FakeMetrics, operator: OperatorProcess
) -> None:
    def die_and_rise() -> None:
        operator.kill()
        operator.start(wait=False)

    for first in count(1, LIVES_BESIDE_EACH_OTHER):
        assert first < MANY_WRITES
        with ExitStack() as namespaces:
            lives = range(first, first + LIVES_BESIDE_EACH_OTHER)
            killed_after = {namespaces.enter_context(temporary_namespace(server)): after for after in lives}
            for namespace in killed_after:
                server.create(api(namespace, **QUICK))
            for namespace in killed_after:
                roll_out(server, namespace, "shop")
            killing = Killed(killed_after, die_and_rise)
            since = {namespace: server.version("Pod", namespace) for namespace in killed_after}
            with meddler.meddling(killing):
                pods = {namespace: near_limit(server, metrics, namespace) for namespace in killed_after}
                eventually(partial(replaced, server, pods.values()), within=240)
                for namespace, pod in pods.items():
                    metrics.forget(pod)
                    eventually(partial(replacement_over, server, namespace), within=240)  # it dies here as well
            for namespace in killed_after:
                assert status(server, namespace)["memoryRestarts"]["pods"] == 1
                assert len(changed_pods(server, namespace, since[namespace])) == 2, "one pod went and one came"
                eventually(partial(no_replica_set_left, server, namespace))
        assert killing.deaths or first > 1
        if not killing.over:
            break  # there were not that many writes: each of them has had its turn
