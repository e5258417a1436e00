"""What the README promises, on the real cluster: from an object to traffic, and nothing lost on the way."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.cluster import Cluster
from tests.e2e.journeys import INGRESS, RATE, answers, api, living, pods, scale_down, scale_up, served, update_image
from tests.e2e.load import OpenLoopLoad, Report
from tests.e2e.processes import worker_processes

AROUND_AN_EVENT = 3000
IN_ALL = 20_000
GRACE = "15s"
"""Of which pods serve on for ten seconds: enough while Contour runs, and the test waits for them."""
SIZES = {"one-cpu": ("1", "{}"), "two-cpus": ("2", "{}"), "count": ("1", "{count: 3}")}
"""By the API's name: the CPU limit of its pods, and their workers."""


@pytest.fixture(scope="module")
def sizes(cluster: Cluster) -> Iterator[None]:
    """The APIs of all sizes, which start beside each other."""
    for name, (cpu, workers) in SIZES.items():
        cluster.apply(api(name, cluster.sample_image, cpu=cpu, workers=workers, replicas=1))
    yield
    cluster.kubectl("delete", "hcapi", *SIZES, "--wait=false")


@pytest.mark.usefixtures("sizes")
@pytest.mark.parametrize(("name", "expected"), [("one-cpu", 1), ("two-cpus", 2), ("count", 3)])
def test_one_worker_per_cpu(cluster: Cluster, name: str, expected: int) -> None:
    cluster.wait_ready(name)
    (pod,) = pods(cluster, name)
    assert len(worker_processes(cluster, pod)) == expected
    assert cluster.get("hcapi", name)["status"]["workersPerPod"] == expected


def test_readme_first_api(cluster: Cluster) -> None:
    """`kubectl apply -f examples/myapi.yaml` is enough."""
    example = Path(__file__).parents[2] / "examples" / "myapi.yaml"
    cluster.kubectl("apply", "-f", example)
    try:
        assert cluster.kubectl("apply", "-f", example).endswith(" unchanged\n")
        cluster.wait_ready("myapi")
        cluster.until(lambda: answers("myapi"), "the ingress serves myapi")
        assert served("myapi").json()["items"]
        table = cluster.kubectl("get", "hcapi", "myapi")
        assert table.splitlines()[0].split() == ["NAME", "READY", "REPLICAS", "WORKERS", "HOST", "RESTARTS", "AGE"]
        assert table.splitlines()[1].split()[:5] == ["myapi", "True", "2", "2", "myapi.localhost"]
    finally:
        cluster.kubectl("delete", "hcapi", "myapi")


@pytest.mark.timeout(900)
def test_nothing_is_lost(cluster: Cluster, figures: Callable[[str], None]) -> None:
    """A rolling update, scaling up and down and an operator restart under load; then a worker is killed."""
    name = "nothing-lost"
    newer = cluster.tag_image(cluster.sample_image, "newer")
    load = OpenLoopLoad(INGRESS, f"{name}.localhost", rate=RATE, path="/products")
    spans: dict[str, tuple[float, float]] = {}

    def event(title: str, act: Callable[[], None]) -> None:
        """Do something with enough requests around it to see what it costs."""
        start = time.monotonic()
        load.go_on(AROUND_AN_EVENT / 2)
        act()
        load.go_on(AROUND_AN_EVENT / 2 + RATE)
        spans[title] = (start, time.monotonic())

    with living(cluster, name, api(name, cluster.sample_image, grace=GRACE)):
        with load.running():
            started = time.monotonic()
            event("rolling update", lambda: update_image(cluster, name, newer))
            event("scale up", lambda: scale_up(cluster, name, load))
            event("scale down", lambda: scale_down(cluster, name, load))
            event("operator restart", cluster.restart_operator)
            load.go_on(max(0, IN_ALL - (time.monotonic() - started) * RATE) + RATE)
        kill_one_worker(cluster, name)

    for title, span in spans.items():
        figures(f"{title}: {load.report.between(*span).summary()}")
    figures(f"in all: {load.report.summary()}")
    assert all(len(load.report.between(*span).sent) >= AROUND_AN_EVENT for span in spans.values())
    assert len(load.report.sent) >= IN_ALL
    assert Report(load.report.failures()) == Report()


def kill_one_worker(cluster: Cluster, name: str) -> None:
    pod = pods(cluster, name)[0]
    before = worker_processes(cluster, pod)
    cluster.kubectl("exec", pod, "--", "sh", "-c", f"kill -9 {before[0]}")
    cluster.until(
        lambda: len(after := worker_processes(cluster, pod)) == len(before) and before[0] not in after,
        "a new worker takes the place of the killed one",
    )
    cluster.until(lambda: answers(name), "the API serves")
    status = cluster.get("pod", pod)["status"]["containerStatuses"][0]
    assert status["restartCount"] == 0, "the pod was restarted instead"
