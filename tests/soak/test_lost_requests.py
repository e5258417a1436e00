"""Ten minutes of load over everything that happens to an API: how many requests are lost, and how slow the rest are."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator

import pytest

from tests.bench.record import record
from tests.e2e.cluster import Cluster
from tests.e2e.journeys import INGRESS, RATE, api, drain, scale_down, scale_up, served, update_image
from tests.e2e.load import OpenLoopLoad, Report

MINUTES = 10
QUIET = 10 * RATE
NAME = "soak"


@pytest.fixture
def soaked(cluster: Cluster) -> Iterator[str]:
    cluster.apply(api(NAME, cluster.sample_image))
    cluster.wait_ready(NAME)
    cluster.until(lambda: served(NAME).status_code == 200, "the ingress serves the API")
    yield NAME
    cluster.kubectl("delete", "hcapi", NAME)


@pytest.mark.timeout(60 * MINUTES * 3)
def test_lost_requests(cluster: Cluster, soaked: str) -> None:
    images = [cluster.tag_image(cluster.sample_image, "newer"), cluster.sample_image]
    load = OpenLoopLoad(INGRESS, f"{soaked}.localhost", rate=RATE, path="/products")
    events: list[tuple[str, Callable[[], None]]] = [
        ("nothing", lambda: load.go_on(QUIET)),
        ("rolling update", lambda: update_image(cluster, soaked, images[0])),
        ("autoscaler adds pods", lambda: scale_up(cluster, soaked, load)),
        ("rolling update back", lambda: update_image(cluster, soaked, images[1])),
        ("autoscaler takes pods away", lambda: scale_down(cluster, soaked, load)),
        ("operator restarts", cluster.restart_operator),
        ("node is drained", lambda: drain(cluster, soaked)),
    ]
    spans: dict[str, list[tuple[float, float]]] = defaultdict(list)
    with load.running():
        end = time.monotonic() + 60 * MINUTES
        while time.monotonic() < end:
            for title, act in events:
                start = time.monotonic()
                act()
                load.go_on(QUIET)
                spans[title].append((start, time.monotonic()))
    rows = [
        row(title, len(times), Report([sent for span in times for sent in load.report.between(*span).sent]))
        for title, times in spans.items()
    ]
    record(
        f"Requests lost, {RATE} requests/s through the ingress",
        "make soak",
        ("while", "times", "requests", "lost", "p50", "p99"),
        [*rows, row("in all", sum(map(len, spans.values())), load.report)],
    )
    assert Report(load.report.failures()) == Report()


def row(title: str, times: int, report: Report) -> tuple[str, ...]:
    p50, p99 = report.latencies()
    return (
        title, str(times), f"{len(report.sent):,}", str(len(report.failures())),
        f"{p50 * 1000:.0f} ms", f"{p99 * 1000:.0f} ms",
    )  # fmt: skip
