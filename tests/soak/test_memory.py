"""Ten minutes of an API that leaks: what the replacement of a worker and of a pod costs those who ask it something."""

import os
import time
from collections import defaultdict
from collections.abc import Iterator
from functools import partial

import pytest

from tests.bench.record import record
from tests.e2e.cluster import Cluster, Object
from tests.e2e.journeys import INGRESS, RATE, answers, api, leak, pods, replaced_pods
from tests.e2e.load import CLOSED_UNREAD, OpenLoopLoad, Report, Sent
from tests.e2e.processes import worker_processes
from tests.soak.test_lost_requests import row

MINUTES = 10
QUIET = 15 * RATE
WORKERS = "soak-workers"
PODS = "soak-pods"
MEBIBYTE = 1024**2
# Two pods, whatever the load: a pod that the autoscaler takes away is none that was replaced.
TWO_PODS: Object = {
    "env": [{"name": "SHOP_LEAK_ENABLED", "value": "true"}],
    "autoscaling": {"mode": "Disabled"},
    "replicas": 2,
}
RUNGS: dict[str, Object] = {
    # Two workers that may hold 134 MiB each, in a pod with room for a third one.
    WORKERS: {
        "resources": {"limits": {"memory": "512Mi"}},
        "memoryRestart": {"worker": {"maxRSS": "134Mi"}, "sampleInterval": "2s", "samples": 5},
    },
    # One worker that may fill the pod, which the operator replaces at 230 of 384 MiB.
    PODS: {
        "memoryRestart": {
            "worker": {"thresholdPercent": 100}, "pod": {"thresholdPercent": 60}, "samples": 2, "minInterval": "1m",
        },
    },
}  # fmt: skip


@pytest.fixture
def leaking(cluster: Cluster) -> Iterator[None]:
    try:
        for name, changes in RUNGS.items():
            cluster.apply(api(name, cluster.sample_image, cpu="2" if name == WORKERS else "1"))
            cluster.patch("hcapi", name, {"spec": {**TWO_PODS, **changes}})
        for name in RUNGS:
            cluster.wait_ready(name)
            cluster.until(partial(answers, name), "the ingress serves it")
        yield
    finally:
        for name in RUNGS:
            cluster.kubectl("delete", "hcapi", name, "--ignore-not-found")


def replace_worker(cluster: Cluster) -> None:
    pod = pods(cluster, WORKERS)[0]
    cluster.until(lambda: len(worker_processes(cluster, pod)) == 2, "both workers are there")
    before = set(worker_processes(cluster, pod))
    leak(cluster, pod, until=136 * MEBIBYTE)
    cluster.until(lambda: len(before & set(worker_processes(cluster, pod))) < 2, "the worker is gone", seconds=180)
    cluster.until(lambda: len(worker_processes(cluster, pod)) == 2, "another one is there")


def replace_pod(cluster: Cluster) -> None:
    pod = pods(cluster, PODS)[0]
    leak(cluster, pod, until=270 * MEBIBYTE)
    cluster.until(lambda: replaced_pods(cluster, PODS) == [pod], "the pod is detached", seconds=240)
    cluster.until(lambda: replaced_pods(cluster, PODS) == [], "the pod is gone", seconds=240)


@pytest.mark.usefixtures("leaking")
@pytest.mark.timeout(60 * MINUTES * 4)
def test_replacing_what_leaks(cluster: Cluster) -> None:
    rows = []
    failures: dict[str, list[Sent]] = {}
    replaced: dict[str, int] = {}
    for name, replace, title in (
        (WORKERS, replace_worker, "a worker is replaced"),
        (PODS, replace_pod, "a pod is replaced"),
    ):
        load = OpenLoopLoad(INGRESS, f"{name}.localhost", rate=RATE, path="/products")
        spans: dict[str, list[tuple[float, float]]] = defaultdict(list)
        with load.running():
            end = time.monotonic() + 60 * MINUTES / len(RUNGS)
            while time.monotonic() < end:
                start = time.monotonic()
                load.go_on(QUIET)
                spans[f"nothing, before {title}"].append((start, time.monotonic()))
                start = time.monotonic()
                replace(cluster)
                spans[title].append((start, time.monotonic()))
        for what, times in spans.items():
            seen = Report([sent for span in times for sent in load.report.between(*span).sent])
            rows.append(row(what, len(times), seen))
        replaced[name] = len(spans[title])
        failures[name] = load.report.failures()
    record(
        f"An API that leaks, {RATE} requests/s through the ingress",
        "make soak",
        ("while", "times", "requests", "lost", "p50", "p99"),
        rows,
        conditions="Goal: p99 while something is replaced at most twice that before it, and nothing lost. "
        f"Load average at the end: {os.getloadavg()[0]:.0f}.",
    )
    assert failures[PODS] == []
    assert len(failures[WORKERS]) < replaced[WORKERS]
    assert all(request.outcome.startswith(CLOSED_UNREAD) for request in failures[WORKERS])
    for name in RUNGS:
        restarts = [
            container["restartCount"]
            for pod in cluster.objects("pods", f"hca-operator.io/api={name}")
            for container in pod["status"]["containerStatuses"]
        ]
        assert set(restarts) == {0}, "a probe or the kernel ended a container"
        assert "oomKills" not in cluster.get("hcapi", name)["status"].get("memoryRestarts", {})
    assert "memoryRestarts" not in cluster.get("hcapi", WORKERS)["status"], "workers are replaced within their pods"
