"""What happens to one worker of several, under load, on the real cluster: it is replaced inside its pod."""

import time
from collections.abc import Callable, Iterator

import pytest

from tests.e2e.cluster import Cluster
from tests.e2e.journeys import ASK, INGRESS, RATE, answers, api, leak, pods
from tests.e2e.load import CLOSED_UNREAD, OpenLoopLoad
from tests.e2e.processes import worker_processes

NAME = "two-workers"
WEDGED_SECONDS = 4
AFTERWARDS = 10 * RATE
"""Requests that are sent when it is over, none of which may fail."""
CHANGES = {
    "env": [
        {"name": "SHOP_REHEARSAL_ENABLED", "value": "true"},
        {"name": "SHOP_WEDGED_SECONDS", "value": str(WEDGED_SECONDS)},
    ],
    # Ten seconds for a worker, and more than a minute for its pod, which fills faster here than any does in production.
    "memoryRestart": {"sampleInterval": "2s", "samples": 5},
}


@pytest.fixture(scope="module", autouse=True)
def two_workers(cluster: Cluster) -> Iterator[None]:
    """An API of two pods with two workers each, which misbehave when they are asked to."""
    cluster.apply(api(NAME, cluster.sample_image, cpu="2"))
    cluster.patch("hcapi", NAME, {"spec": CHANGES})
    cluster.wait_ready(NAME)
    cluster.until(lambda: answers(NAME), "the ingress serves the API")
    yield
    cluster.kubectl("delete", "hcapi", NAME, "--wait=false")


@pytest.fixture
def pod(cluster: Cluster) -> str:
    """The pod to which it happens, with both workers there."""
    found = pods(cluster, NAME)[0]
    cluster.until(lambda: len(worker_processes(cluster, found)) == 2, "both workers are there")
    return found


def replaced(cluster: Cluster, pod: str, before: list[int]) -> bool:
    """Whether one worker gave way to another one, the other stayed, and the container never restarted."""
    after = worker_processes(cluster, pod)
    (container,) = cluster.get("pod", pod)["status"]["containerStatuses"]
    assert container["restartCount"] == 0, "the container was restarted instead"
    return len(after) == 2 and len(set(after) & set(before)) == 1


@pytest.mark.timeout(600)
def test_a_worker_that_leaks_is_replaced_under_load_and_loses_no_request_that_it_has_read(
    cluster: Cluster, pod: str, figures: Callable[[str], None]
) -> None:
    before = worker_processes(cluster, pod)
    limit = int(environment(cluster, pod)["GRANIAN_WORKERS_MAX_RSS"]) * 1024**2
    load = OpenLoopLoad(INGRESS, f"{NAME}.localhost", rate=RATE, path="/products")
    with load.running():
        load.go_on(5 * RATE)
        quiet = time.monotonic()
        leak(cluster, pod, until=limit)
        cluster.until(lambda: replaced(cluster, pod, before), "the worker that leaks is replaced")
        load.go_on(15 * RATE)
        over = time.monotonic()
    figures(f"a worker replaced for its memory: {load.report.between(quiet, over).summary()}")
    lost = load.report.failures()
    assert len(lost) <= 1, lost
    assert all(request.outcome.startswith(CLOSED_UNREAD) for request in lost), lost
    assert "memoryRestarts" not in cluster.get("hcapi", NAME)["status"], "the pod and the kernel had nothing to do"


def stop(cluster: Cluster, pod: str) -> None:
    cluster.kubectl("exec", pod, "--", "sh", "-c", f"kill -STOP {worker_processes(cluster, pod)[0]}")


def end(cluster: Cluster, pod: str) -> None:
    cluster.kubectl("exec", pod, "--", "sh", "-c", f"kill -KILL {worker_processes(cluster, pod)[0]}")


def block(cluster: Cluster, pod: str) -> None:
    """Blocks the loop of whichever worker takes the request, which is never answered."""
    shell = 'python -c "$0" POST /wedge?seconds=600 >/dev/null 2>&1 & sleep 0.5'
    cluster.kubectl("exec", pod, "--", "sh", "-c", shell, ASK)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("trouble", [end, stop, block])
def test_a_worker_that_no_longer_serves_is_replaced_and_costs_no_more_than_its_own_connections(
    cluster: Cluster, pod: str, trouble: Callable[[Cluster, str], None], figures: Callable[[str], None]
) -> None:
    before = worker_processes(cluster, pod)
    load = OpenLoopLoad(INGRESS, f"{NAME}.localhost", rate=RATE, path="/products")
    with load.running():
        load.go_on(5 * RATE)
        begun = time.monotonic()
        trouble(cluster, pod)
        cluster.until(lambda: replaced(cluster, pod, before), "the worker is replaced")
        over = time.monotonic()
        load.go_on(AFTERWARDS)
    lost = load.report.failures()
    last = max((request.due - begun for request in lost), default=0.0)
    figures(f"{trouble.__name__}: {load.report.summary()}, the last {last:.1f} s after it")
    meanwhile = load.report.between(begun, over)
    assert lost == meanwhile.failures(), "nothing is lost before it or when another worker is there"
    assert len(lost) <= len(meanwhile.sent) / 2, "three of four workers served all the time"


def environment(cluster: Cluster, pod: str) -> dict[str, str]:
    """The variables of the container that have a plain value."""
    (container,) = cluster.get("pod", pod)["spec"]["containers"]
    return {entry["name"]: entry["value"] for entry in container["env"] if "value" in entry}
