"""The composition root of the metrics server: creates and connects all of its parts."""

import asyncio
import logging
import random
import signal
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from aiohttp import web

from hca_operator.core.errors import HcaError, Transient
from hca_operator.core.names import Manifest
from hca_operator.kube.client import KubeClient
from hca_operator.kube.faults import endless
from hca_operator.kube.informer import EndlessBackoff
from hca_operator.metrics_server.ingress.reader import IngressPods, IngressReader, envoy_informer
from hca_operator.metrics_server.inventory.inventory import api_informer, pod_informer
from hca_operator.metrics_server.inventory.shared_informer import SharedInformer
from hca_operator.metrics_server.pods.scrape_metrics import ScrapeMetrics
from hca_operator.metrics_server.pods.scraper import Scraper
from hca_operator.metrics_server.prometheus.client import Prometheus
from hca_operator.metrics_server.prometheus.own_queries import OwnQueries
from hca_operator.metrics_server.prometheus.query_metrics import QueryMetrics
from hca_operator.metrics_server.prometheus.readings import PrometheusReadings
from hca_operator.metrics_server.samples.reading import Readings
from hca_operator.metrics_server.samples.sample_store import SampleStore
from hca_operator.metrics_server.serving import registration
from hca_operator.metrics_server.serving.authentication import FrontProxy, User, read_front_proxy
from hca_operator.metrics_server.serving.authorization import Authorizer
from hca_operator.metrics_server.serving.bursts import BURST_WINDOW_SECONDS, BurstLoads
from hca_operator.metrics_server.serving.credentials_secret import current_credentials
from hca_operator.metrics_server.serving.server import ExternalMetricsServer
from hca_operator.metrics_server.serving.server_metrics import ServerMetrics
from hca_operator.metrics_server.serving.sources import Sources
from hca_operator.metrics_server.serving.tls import ServingTls
from hca_operator.scaling.capabilities import REGISTRATION
from hca_operator.telemetry.listener import Listener
from hca_operator.telemetry.probes import Check, serve

logger = logging.getLogger(__name__)

REFRESH_SECONDS = 30.0
"""Between two reads of the front-proxy authority of kube-apiserver, the Secret and the APIService."""
UNREADY_REFRESH_SECONDS = 2.0
"""Between them until this server is ready."""
SHUTDOWN_SECONDS = 5.0
"""For which the shutdown waits for answers in progress."""


@dataclass(frozen=True)
class PrometheusSettings:
    """The Prometheus of the install."""

    url: str
    secret: Path | None = None
    """Folder with the files token, or username and password, and ca.crt; each is optional."""
    custom_queries: bool = False
    """Whether the queries of metrics of type Prometheus are sent."""


@dataclass(frozen=True)
class Settings:
    """How the process runs."""

    namespace: str
    name: str
    """Of the Service that leads here, the Secret with the certificate, and the ClusterRole that owns the APIService."""
    port: int = 8443
    """Of the Service as well."""
    telemetry_port: int = 8080
    ingress: IngressPods | None = None
    """The pods whose statistics are read for objects with `monitoring.source: Ingress`; None to read none."""
    prometheus: PrometheusSettings | None = None
    """Where the metrics of pods are read from; None to scrape the pods."""


def _now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - the one clock; everything else is given it


def _jitter() -> float:
    return random.uniform(0.8, 1.2)  # noqa: S311 - spreads load, keeps no secret


class MetricsApi:
    """The HTTPS server, its certificate, the authority that it trusts, and its APIService."""

    def __init__(  # noqa: PLR0913 - what a test replaces
        self,
        kube: KubeClient,
        metrics: ServerMetrics,
        settings: Settings,
        readings: Readings,
        *,
        readings_not_ready: Check = lambda: None,
        signals: Callable[[datetime], Iterable[Manifest]] = lambda _now: (),
        now: Callable[[], datetime] = _now,
    ) -> None:
        """`readings_not_ready`: returns why the readings are not complete yet; None once they are.

        `signals`: the load of all objects with bursts.
        """
        self._kube = kube
        self._metrics = metrics
        self._settings = settings
        self._readings_not_ready = readings_not_ready
        self._now = now
        self._service = registration.ServiceReference(settings.namespace, settings.name, settings.port)
        self._hosts = [f"{settings.name}.{settings.namespace}.svc{suffix}" for suffix in ("", ".cluster.local")]
        self._tls = ServingTls()
        self._front_proxy: FrontProxy | None = None
        self._certificate: bytes | None = None
        self._held_by: str | None = None
        self._errors: dict[str, str] = {}
        rights = Authorizer(kube, asyncio.get_running_loop().time)
        self._server = ExternalMetricsServer(readings, self, rights, metrics, now, signals=signals)

    async def run(self, stop: asyncio.Event, work: Mapping[str, Callable[[], Coroutine[Any, Any, None]]]) -> None:
        """Serve until `stop`, and run the coroutines of `work`, which are named for the log, at the same time."""
        app = self._server.application(alive=lambda: None, ready=self._not_ready)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_SECONDS)
        await runner.setup()
        listener = Listener(runner, self._tls.context)
        port = self._settings.telemetry_port
        own = await serve(self._metrics.registry, port=port, alive=lambda: None, ready=self._not_ready)
        try:
            async with asyncio.TaskGroup() as group:
                every = {"the certificate and the APIService": self._refresh_repeatedly, **work}
                tasks = [group.create_task(endless(name, each)) for name, each in every.items()]
                await listener.start(self._settings.port)
                await stop.wait()
                for task in tasks:
                    task.cancel()
        finally:
            await listener.cleanup()
            await own.cleanup()

    def caller(self, request: web.Request) -> User | None:
        """The authenticated user of a request; None if it is not from kube-apiserver."""
        if self._front_proxy is None:
            return None
        certificate = self._tls.peer(request.get_extra_info("ssl_object"))
        return self._front_proxy.user(certificate, request.headers)

    async def _refresh_repeatedly(self) -> None:
        while True:
            await self._try("the front-proxy authority", self._refresh_front_proxy)
            await self._try("the certificate and the APIService", self._refresh_certificate)
            await asyncio.sleep((UNREADY_REFRESH_SECONDS if self._not_ready() else REFRESH_SECONDS) * _jitter())

    async def _try(self, what: str, refresh: Callable[[], Awaitable[None]]) -> None:
        """Log an error once; the next refresh tries again."""
        try:
            await refresh()
            self._errors.pop(what, None)
        except HcaError as error:
            if self._errors.get(what) != str(error):
                logger.warning("%s: %s", what, error)
            self._errors[what] = str(error)

    async def _refresh_front_proxy(self) -> None:
        found = await read_front_proxy(self._kube)
        if self._front_proxy is None or found.authority != self._front_proxy.authority:
            try:
                self._tls.trust(found.authority)
            except (OSError, ValueError) as error:  # an ssl.SSLError is an OSError
                raise Transient(f"requestheader-client-ca-file holds no certificates: {error}") from error
        self._front_proxy = found

    async def _refresh_certificate(self) -> None:
        place = self._settings
        credentials = await current_credentials(self._kube, place.namespace, place.name, self._hosts, self._now())
        if credentials.certificate != self._certificate:
            self._tls.serve(credentials.certificate, credentials.key)
            self._certificate = credentials.certificate
            self._metrics.observe_certificate(credentials.served().not_valid_after_utc)
        if self._not_ready() is None:
            await self._register(credentials.bundle)

    async def _register(self, bundle: bytes) -> None:
        held_by = (await registration.ensure_registered(self._kube, self._service, self._settings.name, bundle)).held_by
        if held_by is not None and held_by != self._held_by:
            logger.warning(
                "APIService %s belongs to %s: until it is deleted, HorizontalPodAutoscalers get only CPU and memory",
                REGISTRATION, held_by,
            )  # fmt: skip
        self._held_by = held_by
        self._metrics.observe_registration(registered=held_by is None)

    def _not_ready(self) -> str | None:
        if self._front_proxy is None or self._certificate is None:
            return "; ".join(self._errors.values()) or "the front-proxy authority and the certificate are not read yet"
        return self._readings_not_ready()


async def run(settings: Settings) -> None:
    """Connect to the API server and serve until SIGTERM or SIGINT. Raises HcaError."""
    metrics = ServerMetrics()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    kube = await KubeClient.connect(metrics.requests.observe)
    try:
        informers = apis, pods = [api_informer(kube), pod_informer(kube)]
        scrapes = ScrapeMetrics(metrics.registry)
        readings: Readings
        readers: list[Scraper | PrometheusReadings | IngressReader]
        if settings.prometheus is None:
            readings, scraper = _from_pods(apis, pods, scrapes)
            readers = [scraper]
        else:
            readings = _from_prometheus(apis, pods, metrics, settings.prometheus)
            readers = [readings]
        ingress = None
        if settings.ingress is not None:
            envoys = envoy_informer(kube, settings.ingress)
            clock = asyncio.get_running_loop().time
            ingress = IngressReader(apis, envoys, settings.ingress, scrapes, clock=clock, phase=random.random)
            informers.append(envoys)
            readers.append(ingress)

        def readings_not_ready() -> str | None:
            return next(filter(None, (reader.not_ready() for reader in readers)), None)

        sources = Sources(readings, ingress)
        loads = BurstLoads(apis, partial(sources.read, window_seconds=BURST_WINDOW_SECONDS))
        api = MetricsApi(kube, metrics, settings, sources, readings_not_ready=readings_not_ready, signals=loads.signals)
        work: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {
            type(reader).__name__: reader.run for reader in readers
        }
        work |= {f"watch {number}": partial(each.run, EndlessBackoff()) for number, each in enumerate(informers)}
        await api.run(stop, work)
    finally:
        await kube.close()


def _from_pods(apis: SharedInformer, pods: SharedInformer, scrapes: ScrapeMetrics) -> tuple[SampleStore, Scraper]:
    clock = asyncio.get_running_loop().time
    samples = SampleStore(clock)
    return samples, Scraper(apis, pods, samples, scrapes, clock=clock, phase=random.random)


def _from_prometheus(
    apis: SharedInformer, pods: SharedInformer, metrics: ServerMetrics, settings: PrometheusSettings
) -> PrometheusReadings:
    clock = asyncio.get_running_loop().time
    prometheus = Prometheus(settings.url, settings.secret, QueryMetrics(metrics.registry), clock)
    queries = OwnQueries(prometheus, clock=clock, phase=random.random) if settings.custom_queries else None
    return PrometheusReadings(apis, pods, prometheus, queries, clock=clock, now=_now, phase=random.random)
