"""What the operator tells about itself: metrics, probes and JSON logs."""

import logging
import sys
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from pythonjsonlogger.json import JsonFormatter

from hca_operator.core.names import KIND, Manifest
from hca_operator.core.timestamps import time_of
from hca_operator.restarts.memory_trend import Trend

Check = Callable[[], str | None]
"""What is wrong, None if nothing is."""
Handler = Callable[[web.Request], Awaitable[web.Response]]


class RequestMetrics:
    """Requests to the API server."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = Counter(
            "hca_api_requests_total", "Requests to the API server by verb, kind and HTTP status (0: no answer).",
            ["verb", "kind", "code"], registry=registry,
        )  # fmt: skip
        self._seconds = Histogram(
            "hca_api_request_seconds", "Duration of a request to the API server.", ["verb"], registry=registry,
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
        )  # fmt: skip

    def observe(self, verb: str, kind: str, status: int, seconds: float) -> None:
        """Count a request."""
        self._requests.labels(verb, kind, status).inc()
        self._seconds.labels(verb).observe(seconds)


class Telemetry:
    """The operator's own metrics."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.reconciles = Counter(
            "hca_reconciles_total", "Reconciles by result: unchanged, written, retried, failed.", ["result"],
            registry=self.registry,
        )  # fmt: skip
        self.reconcile_seconds = Histogram(
            "hca_reconcile_seconds", "Duration of a reconcile.", registry=self.registry,
            buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
        )  # fmt: skip
        self.requests = RequestMetrics(self.registry)
        self.memory_restarts = Counter(
            "hca_memory_restarts_total", "Restarts on memory by reason: PodReplaced, OOMKilled.", ["reason"],
            registry=self.registry,
        )  # fmt: skip
        self._last_memory_restart = Gauge(
            "hca_memory_last_restart_timestamp_seconds", "When memory last ended a pod or a container of an API.",
            ["namespace", "name"], registry=self.registry,
        )  # fmt: skip
        self._memory_growth = Gauge(
            "hca_memory_growth_bytes_per_second", "How fast the fastest pod of an API has grown for five minutes.",
            ["namespace", "name"], registry=self.registry,
        )  # fmt: skip
        self._memory_limit_ahead = Gauge(
            "hca_memory_seconds_to_limit", "When the first pod of an API is at its memory limit, as it grows now.",
            ["namespace", "name"], registry=self.registry,
        )  # fmt: skip
        self._objects = Gauge(
            "hca_conditions", f"Number of {KIND} objects by condition and its status.", ["type", "status"],
            registry=self.registry,
        )  # fmt: skip
        self._conditions: dict[object, frozenset[tuple[str, str]]] = {}

    def watch_queue(self, depth: Callable[[], float], adds: Callable[[], float], retries: Callable[[], float]) -> None:
        """Export the work queue's numbers, read when asked for."""
        for name, help_text, read in (
            ("hca_queue_depth", "Objects that wait to be reconciled.", depth),
            ("hca_queue_adds", "Times that an object was put into the queue.", adds),
            ("hca_queue_retries", "Times that an object was put back after a failure.", retries),
        ):
            Gauge(name, help_text, registry=self.registry).set_function(read)

    def watch_children(self, count: Callable[[], float]) -> None:
        """Export how many children are remembered, read when asked for."""
        Gauge("hca_children", "Children that are remembered.", registry=self.registry).set_function(count)

    def observe_trends(self, trends: Mapping[tuple[str, str], Trend]) -> None:
        """Export how the memory of each API grows, in place of what was exported before."""
        self._memory_growth.clear()
        self._memory_limit_ahead.clear()
        for name, (growth, seconds_to_limit) in trends.items():
            self._memory_growth.labels(*name).set(growth)
            if seconds_to_limit is not None:
                self._memory_limit_ahead.labels(*name).set(seconds_to_limit)

    def observe_memory_restarts(
        self, name: tuple[str, str], status: Manifest | None, restarts: Mapping[str, int]
    ) -> None:
        """Count new restarts of an API by their reason, and tell when the last one was; None when the API is gone."""
        for reason, number in restarts.items():
            self.memory_restarts.labels(reason).inc(number)
        last = time_of((status or {}).get("memoryRestarts"), "lastTime")
        if last is not None:
            self._last_memory_restart.labels(*name).set(last.timestamp())
        elif status is None:
            self._last_memory_restart.remove(*name)

    def observe_conditions(self, key: object, status: Manifest | None) -> None:
        """Count the conditions of an object in place of those that it had, None when it is gone."""
        for pair in self._conditions.pop(key, frozenset()):
            self._objects.labels(*pair).dec()
        if status is not None:
            self._conditions[key] = frozenset((c["type"], c["status"]) for c in status.get("conditions", []))
            for pair in self._conditions[key]:
                self._objects.labels(*pair).inc()


def probe(check: Check) -> Handler:
    """Answers 200 while a check finds nothing wrong, 503 with what is wrong otherwise."""

    async def answer(_request: web.Request) -> web.Response:
        trouble = check()
        status = HTTPStatus.OK if trouble is None else HTTPStatus.SERVICE_UNAVAILABLE
        return web.Response(text=trouble or "ok", status=status)

    return answer


async def serve(registry: CollectorRegistry, *, port: int, alive: Check, ready: Check) -> web.AppRunner:
    """Serve /metrics, /healthz and /readyz on every address; `cleanup()` of the result ends it."""

    async def metrics(_request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.router.add_get("/metrics", metrics)
    app.router.add_get("/healthz", probe(alive))
    app.router.add_get("/readyz", probe(ready))
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, port=port).start()
    return runner


def log_json(level: str) -> None:
    """One JSON object a line on standard output, with the object and its generation where a line is about one."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        JsonFormatter(
            "{asctime}{levelname}{name}{message}",
            style="{",
            rename_fields={"asctime": "time", "levelname": "level", "name": "logger"},
        )
    )
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # kopf tells of each start and end of a watch stream; what matters of it comes as a warning or an error.
    logging.getLogger("kopf").setLevel(logging.WARNING)
    logging.getLogger("aiohttp").setLevel(logging.WARNING)
