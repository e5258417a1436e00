"""Ten minutes of an API that leaks: what the replacement of a worker and of a pod costs those who ask it something."""

import time
from collections import defaultdict
from collections.abc import Iterator

import pytest

from tests.bench.record import record
from tests.e2e.cluster import Cluster
from tests.e2e.journeys import INGRESS, RATE, api, leak, pods, replaced_pods, served
from tests.e2e.load import OpenLoopLoad, Report
from tests.e2e.processes import worker_processes
from tests.soak.test_lost_requests import row

MINUTES = 10
QUIET = 15 * RATE
WORKERS = "soak-workers"
PODS = "soak-pods"
LEAKING = [{"name": "SHOP_LEAK_ENABLED", "value": "true"}]
MEBIBYTE = 1024**2
RUNGS = {
    # 2 workers of at most 168 MiB each: Granian replaces one at 134 MiB, long before the pod is full.
    WORKERS: {"env": LEAKING, "memoryRestart": {"sampleInterval": "2s", "samples": 5}},
    # One worker that may fill the pod, which the operator replaces at 230 of 384 MiB.
    PODS: {
        "env": LEAKING,
        "memoryRestart": {
            "worker": {"thresholdPercent": 100}, "pod": {"thresholdPercent": 60}, "samples": 2, "minInterval": "1m",
        },
    },
}  # fmt: skip


@pytest.fixture
def leaking(cluster: Cluster) -> Iterator[None]:
    for name, changes in RUNGS.items():
        cluster.apply(api(name, cluster.sample_image, cpu="2" if name == WORKERS else "1"))
        cluster.patch("hcapi", name, {"spec": changes})
    for name in RUNGS:
        cluster.wait_ready(name)
        cluster.until(lambda name=name: served(name).status_code == 200, "the ingress serves it")  # type: ignore[misc]
    yield
    for name in RUNGS:
        cluster.kubectl("delete", "hcapi", name)


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
        assert Report(load.report.failures()) == Report()
    for name in RUNGS:
        restarts = [
            container["restartCount"]
            for pod in cluster.objects("pods", f"hca-operator.io/api={name}")
            for container in pod["status"]["containerStatuses"]
        ]
        assert set(restarts) == {0}, "the kernel or a probe ended a container"
    record(
        f"An API that leaks, {RATE} requests/s through the ingress",
        "make soak",
        ("while", "times", "requests", "lost", "p50", "p99"),
        rows,
    )
