"""The composition root of the metrics API: everything of it is put together here, and nowhere else."""

import asyncio
import logging
import random
import signal
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from aiohttp import web

from hca_operator.core.errors import HcaError, Transient
from hca_operator.core.names import Manifest
from hca_operator.kube.client import KubeClient
from hca_operator.kube.watch import LONGEST_WAIT, ForeverWithJitter
from hca_operator.metrics_server.ingress.reader import IngressPods, IngressReader
from hca_operator.metrics_server.pods.scrape_metrics import ScrapeMetrics
from hca_operator.metrics_server.pods.scraper import Scraper
from hca_operator.metrics_server.prometheus.client import Prometheus
from hca_operator.metrics_server.prometheus.own_queries import OwnQueries
from hca_operator.metrics_server.prometheus.readings import PrometheusReadings
from hca_operator.metrics_server.prometheus.telemetry import PrometheusTelemetry
from hca_operator.metrics_server.samples.signals import Signals
from hca_operator.metrics_server.samples.sources import PodReadings, Sources
from hca_operator.metrics_server.serving import keeper, registration
from hca_operator.metrics_server.serving.authentication import FrontProxy, User, read_front_proxy
from hca_operator.metrics_server.serving.authorization import Authorizer
from hca_operator.metrics_server.serving.bursts import LATELY, BurstLoads
from hca_operator.metrics_server.serving.server import ExternalMetricsServer, Readings
from hca_operator.metrics_server.serving.telemetry import MetricsTelemetry
from hca_operator.metrics_server.serving.tls import ServingTls
from hca_operator.scaling.capabilities import REGISTRATION
from hca_operator.telemetry import Check, serve

logger = logging.getLogger(__name__)

LOOK = 30.0
"""Seconds between two looks at what may change: how the API server is known, the certificate, the APIService."""
RETRY = 2.0
"""Seconds between them until everybody can be answered."""
LAST_ANSWERS = 5.0
"""Seconds for which answers that are under way are waited for at the end."""


@dataclass(frozen=True)
class PrometheusSettings:
    """The Prometheus of the install."""

    url: str
    secret: Path | None = None
    """Folder with the keys token, or username and password, and ca.crt, each where it is needed."""
    custom_queries: bool = False
    """Whether those that objects bring along are asked as well."""


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
    """Whose counts answer for objects with monitoring.source Ingress; None where there are none to read."""
    prometheus: PrometheusSettings | None = None
    """Where what the pods tell is read instead of from the pods."""


def _now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - the one clock; everything else is given it


def _jitter() -> float:
    return random.uniform(0.8, 1.2)  # noqa: S311 - spreads load, keeps no secret


class MetricsApi:
    """The running server, and what keeps it trusted and asked."""

    def __init__(  # noqa: PLR0913 - what a test puts others in for
        self,
        kube: KubeClient,
        telemetry: MetricsTelemetry,
        settings: Settings,
        readings: Readings,
        *,
        lacks: Check = lambda: None,
        signals: Callable[[datetime], Iterable[Manifest]] = lambda _now: (),
        now: Callable[[], datetime] = _now,
    ) -> None:
        """`lacks`: what is missing until the readings are complete, None when nothing is.

        `signals`: the load of all objects that follow bursts.
        """
        self._kube = kube
        self._telemetry = telemetry
        self._settings = settings
        self._readings_lack = lacks
        self._now = now
        self._service = registration.Service(settings.namespace, settings.name, settings.port)
        self._hosts = [f"{settings.name}.{settings.namespace}.svc{suffix}" for suffix in ("", ".cluster.local")]
        self._tls = ServingTls()
        self._front_proxy: FrontProxy | None = None
        self._certificate: bytes | None = None
        self._held_by: str | None = None
        self._troubles: dict[str, str] = {}
        rights = Authorizer(kube, asyncio.get_running_loop().time)
        self._server = ExternalMetricsServer(readings, self, rights, telemetry, now, signals=signals)

    async def run(self, stop: asyncio.Event, *work: Coroutine[Any, Any, None]) -> None:
        """Serve until told to stop, while `work` goes on. Raises where any of it fails, for a fresh process."""
        app = self._server.application(alive=lambda: None, ready=self._not_ready)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=LAST_ANSWERS)
        await runner.setup()
        port = self._settings.telemetry_port
        own = await serve(self._telemetry.registry, port=port, alive=lambda: None, ready=self._not_ready)
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(each) for each in (self._look_again_and_again(), *work)]
                await web.TCPSite(runner, port=self._settings.port, ssl_context=self._tls.context).start()
                await stop.wait()
                for task in tasks:
                    task.cancel()
        finally:
            await runner.cleanup()
            await own.cleanup()

    def caller(self, request: web.Request) -> User | None:
        """Whom a request is made for, None where that is not proven."""
        if self._front_proxy is None:
            return None
        certificate = self._tls.peer(request.get_extra_info("ssl_object"))
        return self._front_proxy.user(certificate, request.headers)

    async def _look_again_and_again(self) -> None:
        while True:
            await self._try("knowing the API server", self._look_at_the_front_proxy)
            await self._try("the certificate and the APIService", self._look_at_the_certificate)
            await asyncio.sleep((RETRY if self._not_ready() else LOOK) * _jitter())

    async def _try(self, what: str, look: Callable[[], Awaitable[None]]) -> None:
        """What fails is told once and tried again at the next look."""
        try:
            await look()
            self._troubles.pop(what, None)
        except HcaError as error:
            if self._troubles.get(what) != str(error):
                logger.warning("%s: %s", what, error)
            self._troubles[what] = str(error)

    async def _look_at_the_front_proxy(self) -> None:
        found = await read_front_proxy(self._kube)
        if self._front_proxy is None or found.authority != self._front_proxy.authority:
            try:
                self._tls.trust(found.authority)
            except (OSError, ValueError) as error:  # an ssl.SSLError is an OSError
                raise Transient(f"requestheader-client-ca-file holds no certificates: {error}") from error
        self._front_proxy = found

    async def _look_at_the_certificate(self) -> None:
        place = self._settings
        credentials = await keeper.look_after(self._kube, place.namespace, place.name, self._hosts, self._now())
        if credentials.certificate != self._certificate:
            self._tls.serve(credentials.certificate, credentials.key)
            self._certificate = credentials.certificate
            self._telemetry.observe_certificate(credentials.served().not_valid_after_utc)
        if self._not_ready() is None:
            await self._register(credentials.bundle)

    async def _register(self, bundle: bytes) -> None:
        held_by = (await registration.register(self._kube, self._service, self._settings.name, bundle)).held_by
        if held_by is not None and held_by != self._held_by:
            logger.warning(
                "APIService %s belongs to %s: until it is deleted, autoscalers know nothing but CPU and memory",
                REGISTRATION, held_by,
            )  # fmt: skip
        self._held_by = held_by
        self._telemetry.observe_registration(registered=held_by is None)

    def _lacking(self) -> str | None:
        """Without what nobody can be answered."""
        if self._front_proxy is None or self._certificate is None:
            return "; ".join(self._troubles.values()) or "the first look is not over"
        return None

    def _not_ready(self) -> str | None:
        return self._lacking() or self._readings_lack()


async def run(settings: Settings) -> None:
    """Connect to the API server and serve until SIGTERM or SIGINT."""
    telemetry = MetricsTelemetry()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    kube = await KubeClient.connect(telemetry.requests.observe)
    try:
        waits = ForeverWithJitter(LONGEST_WAIT)
        scrapes = ScrapeMetrics(telemetry.registry)
        pods: PodReadings
        reader: Scraper | PrometheusReadings
        if settings.prometheus is None:
            pods, reader = _from_pods(kube, scrapes)
        else:
            pods = reader = _from_prometheus(kube, telemetry, settings.prometheus)
        ingress = None
        if settings.ingress is not None:
            clock = asyncio.get_running_loop().time
            ingress = IngressReader(kube, settings.ingress, scrapes, clock=clock, chance=random.random)
        readers = [each for each in (reader, ingress) if each is not None]

        def lacks() -> str | None:
            return next(filter(None, (each.lacks() for each in readers)), None)

        sources = Sources(pods, ingress)
        loads = BurstLoads(kube, partial(sources.read, window=LATELY))
        api = MetricsApi(kube, telemetry, settings, sources, lacks=lacks, signals=loads.signals)
        await api.run(stop, *(work.run(waits) for work in (*readers, loads)))
    finally:
        await kube.close()


def _from_pods(kube: KubeClient, scrapes: ScrapeMetrics) -> tuple[Signals, Scraper]:
    clock = asyncio.get_running_loop().time
    signals = Signals(clock)
    return signals, Scraper(kube, "", signals, scrapes, clock=clock, chance=random.random)


def _from_prometheus(kube: KubeClient, telemetry: MetricsTelemetry, settings: PrometheusSettings) -> PrometheusReadings:
    clock = asyncio.get_running_loop().time
    prometheus = Prometheus(settings.url, settings.secret, PrometheusTelemetry(telemetry.registry), clock)
    queries = OwnQueries(prometheus, clock=clock, chance=random.random) if settings.custom_queries else None
    return PrometheusReadings(kube, "", prometheus, queries, clock=clock, chance=random.random)
