"""The scraper on a real API server; the pods are objects without a node, and their addresses are of the loopback."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from itertools import repeat

from kubernetes.aio import client, config
from prometheus_client import CollectorRegistry

from dev.control_plane import ControlPlane
from hca_operator.core.names import API_LABEL
from hca_operator.kube.client import KubeClient
from hca_operator.metrics_server.inventory.inventory import api_informer, pod_informer
from hca_operator.metrics_server.pods.scrape_metrics import ScrapeMetrics
from hca_operator.metrics_server.pods.scraper import Scraper
from hca_operator.metrics_server.samples.reading import Unknown
from hca_operator.metrics_server.samples.sample_store import SampleStore
from tests.controlplane.api_server import ApiServer, Manifest, eventually
from tests.controlplane.objects import api
from tests.unit.operator.metrics_server.pods.loopback_pods import pod_metrics
from tests.unit.operator.metrics_server.pods.watched_pods import together

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
IN_FLIGHT = {"metrics": [{"name": "in-flight", "type": "Concurrency", "concurrency": {"targetPerWorker": 20}}]}


@asynccontextmanager
async def scraping(control_plane: ControlPlane, namespace: str) -> AsyncIterator[SampleStore]:
    configuration = client.Configuration()
    await config.load_kube_config(str(control_plane.kubeconfig), client_configuration=configuration)
    clock = asyncio.get_running_loop().time
    samples = SampleStore(clock)
    async with client.ApiClient(configuration) as connected:
        kube = KubeClient(connected, lambda *_: None)
        apis, pods = api_informer(kube, namespace), pod_informer(kube, namespace)
        scraper = Scraper(apis, pods, samples, ScrapeMetrics(CollectorRegistry()), clock=clock, phase=lambda: 0.0)
        running = asyncio.create_task(together(scraper.run(), apis.run(repeat(0.1)), pods.run(repeat(0.1))))
        try:
            yield samples
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running


def create_pod(server: ApiServer, namespace: str, name: str, **labels: str) -> None:
    metadata = {"name": name, "namespace": namespace, "labels": labels}
    spec = {"containers": [{"name": "api", "image": "registry.example.com/shop:1.4.2"}]}
    server.create({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})


def report(server: ApiServer, namespace: str, name: str, address: str, *, ready: str = "True") -> None:
    status: Manifest = {"phase": "Running", "podIP": address, "conditions": [{"type": "Ready", "status": ready}]}
    server.patch("Pod", namespace, f"{name}/status", {"status": status})


async def test_pods_are_asked_from_when_they_are_ready_until_they_are_not(
    control_plane: ControlPlane, server: ApiServer, namespace: str
) -> None:
    def is_reported(expected: float | None) -> bool:
        try:
            known: float | None = samples.read(namespace, "shop", "hca-concurrency", NOW).value
        except Unknown:
            known = None
        assert known == expected
        return True

    async def comes_to(expected: float | None) -> None:
        await asyncio.to_thread(eventually, lambda: is_reported(expected))

    async with (
        pod_metrics("http_requests_in_flight 3", "127.0.0.1") as port,
        pod_metrics("http_requests_in_flight 5", "127.0.0.2", port),
        pod_metrics("http_requests_in_flight 100", "127.0.0.3", port),
        scraping(control_plane, namespace) as samples,
    ):
        for name, address in (("a", "127.0.0.1"), ("b", "127.0.0.2")):
            create_pod(server, namespace, name, **{API_LABEL: "shop"})
            report(server, namespace, name, address, ready="False")
        create_pod(server, namespace, "other", **{API_LABEL: "cart"})
        report(server, namespace, "other", "127.0.0.3")
        server.create(api(namespace, monitoring={"port": port}, autoscaling=IN_FLIGHT))
        report(server, namespace, "a", "127.0.0.1")
        await comes_to(3)
        report(server, namespace, "b", "127.0.0.2")
        await comes_to(8)
        report(server, namespace, "a", "127.0.0.1", ready="False")
        await comes_to(5)
        server.delete("Pod", namespace, "b")
        await comes_to(None)
        report(server, namespace, "a", "127.0.0.1")
        await comes_to(3)
        server.delete("HighConcurrencyApi", namespace, "shop")
        await comes_to(None)
