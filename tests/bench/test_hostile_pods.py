"""What hostile pods cost the metrics API and the pods of others: lateness of its loop, age of samples, memory."""

import asyncio
import multiprocessing
import random
import resource
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from itertools import repeat
from statistics import quantiles

from prometheus_client import CollectorRegistry

from hca_operator.core.names import Manifest
from hca_operator.core.ports import Key
from hca_operator.metrics_server.inventory.inventory import api_informer, pod_informer
from hca_operator.metrics_server.pods.scrape_metrics import ScrapeMetrics
from hca_operator.metrics_server.pods.scraper import Scraper
from hca_operator.metrics_server.samples.exposition import PodSample
from hca_operator.metrics_server.samples.reading import Unknown
from hca_operator.metrics_server.samples.sample_store import SampleStore
from tests.bench.hostile_pods import HOST, HOSTILE, lateness, serving
from tests.bench.record import record
from tests.unit.operator.metrics_server.pods.watched_pods import Server, api, pod, together

COMMAND = ".venv/bin/pytest tests/bench/test_hostile_pods.py"
HONEST = 20
SECONDS = 20
SETTLES = 8
"""Seconds until honest pods are known."""
AGES = [{"name": "rps", "type": "RequestsPerSecond"}]
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Ages(SampleStore):
    """Also the seconds from one sample of an honest pod to the next."""

    def __init__(self) -> None:
        self.clock = asyncio.get_running_loop().time
        super().__init__(self.clock)
        self.last: dict[str, float] = {}
        self.seconds: list[float] = []

    def add(self, api: Key, uid: str, sample: PodSample) -> None:
        """As it is."""
        super().add(api, uid, sample)
        if api.name == "honest":
            now = self.clock()
            if uid in self.last:
                self.seconds.append(now - self.last[uid])
            self.last[uid] = now


def objects(name: str, namespace: str, port: int, pods: int) -> tuple[Manifest, list[Manifest]]:
    made = api(name, autoscaling={"metrics": AGES}, monitoring={"port": port})
    its_pods = [pod(f"{name}-{number}", of=name) for number in range(pods)]
    for each in (made, *its_pods):
        each["metadata"]["namespace"] = namespace
    for each in its_pods:
        each["status"]["podIP"] = HOST
    return made, its_pods


async def measured(kind: str, ports: tuple[int, int]) -> Mapping[str, float | str]:
    honest = objects("honest", "a", ports[0], HONEST)
    hostile = objects("hostile", "b", ports[1], HOSTILE[kind][0])
    server = Server([honest[0], hostile[0]], [*honest[1], *hostile[1]])
    for may in server.may_list.values():
        may.set()
    samples = Ages()
    informers = apis, pods = api_informer(server), pod_informer(server)
    scraper = Scraper(apis, pods, samples, ScrapeMetrics(CollectorRegistry()), clock=samples.clock, phase=random.random)
    running = asyncio.create_task(together(scraper.run(), *(informer.run(repeat(1)) for informer in informers)))
    await asyncio.sleep(SETTLES)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    samples.seconds.clear()
    late = [seconds async for seconds in lateness(SECONDS, 0.01)]
    said = "known"
    try:
        samples.read("b", "hostile", "hca-requests-per-second", NOW)
    except Unknown as unknown:
        said = str(unknown).partition("most often, ")[2] or str(unknown)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    return {
        "late": quantiles(late, n=100)[98],
        "age": quantiles(samples.seconds, n=100)[98],
        "grown": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024,
        "most": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "said": said,
    }


def measure(kind: str, ports: tuple[int, int]) -> Mapping[str, float | str]:
    """In a process of its own, for the memory."""
    return asyncio.run(measured(kind, ports))


def test_hostile_pods_cost_others_nothing() -> None:
    rows = []
    for kind, (pods, _) in HOSTILE.items():
        with serving(kind) as ports, multiprocessing.get_context("spawn").Pool(1) as process:
            found = process.apply(measure, (kind, ports))
        rows.append(
            (
                f"{pods} pods: {kind}" if pods else kind,
                f"{1000 * float(found['late']):.0f} ms",
                f"{float(found['age']):.2f} s",
                f"{float(found['most']):.0f} MiB, +{float(found['grown']):.0f}",
                str(found["said"]) if pods else "",
            )
        )
    record(
        "Hostile pods beside honest ones", COMMAND,
        ("hostile", "loop late, p99", "between samples of honest pods, p99", "memory", "said of the hostile object"),
        rows,
        conditions=f"{HONEST} honest pods in another namespace, {SECONDS} s each; goal: 50 ms, 2.1 s, and flat.",
    )  # fmt: skip
