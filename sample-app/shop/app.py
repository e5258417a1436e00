"""The app: the objects of one worker, its routes, its lifespan, and the middleware around it."""

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator, Coroutine, Sequence
from typing import Any

from granian.utils.proxies import wrap_asgi_with_proxy_headers
from starlette.applications import Starlette
from starlette.types import ASGIApp

from shop.configuration.live_settings import LiveSettings
from shop.configuration.settings import DEVELOPMENT_KEY, Settings, SettingsError, settings_from
from shop.dependencies import Dependencies
from shop.domain.catalogue import Catalogue
from shop.domain.orders import Orders
from shop.domain.views import Views
from shop.edge import error_handlers
from shop.edge.middleware import EdgeMiddleware
from shop.observation.access_log import AccessLog
from shop.observation.metrics import worker_metrics
from shop.observation.requests import RequestRecorder
from shop.offload.cpu_pool import CpuPool
from shop.overload.error_budget import ErrorBudget, Recycling
from shop.overload.shedding import Shedding
from shop.overload.vitals import Vitals
from shop.routes import cpu, offers, operations, orders, products, rehearsal, streaming
from shop.routes.carts import CartRoutes
from shop.workers.draining import Drain
from shop.workers.heartbeats import Heartbeats
from shop.workers.siblings import Siblings
from shop.workers.slots import WorkerSlot
from shop.workers.watchdog import Watchdog

_log = logging.getLogger("shop")


def create_app(settings: Settings) -> ASGIApp:
    """Return the app of one worker process."""
    slot = None if settings.shared_directory is None else WorkerSlot(settings.shared_directory)
    metrics = worker_metrics(slot)
    heartbeats = Heartbeats(slot)
    watchdog = Watchdog(settings.wedged_seconds)
    siblings = Siblings(heartbeats, settings.wedged_seconds)
    vitals = Vitals(metrics, heartbeats, watchdog)
    live = LiveSettings(settings, metrics, worker=vitals.worker)
    drain = Drain()
    budget = ErrorBudget(settings.error_budget, metrics)
    recycling = Recycling(budget, metrics, heartbeats, slot, workers=settings.workers, uptime=lambda: vitals.uptime)
    cpu_pool = CpuPool(settings.cpu_processes)
    dependencies = Dependencies(settings, metrics)
    catalogue = Catalogue(dependencies.database, dependencies.cache)
    views = Views(dependencies.database)
    log = AccessLog(dependencies.trace_id)

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        metrics.worker_starts.inc()
        if settings.secret_key == DEVELOPMENT_KEY:
            _log.warning("SHOP_SECRET_KEY is not set: carts can be forged; set it to the same value in every pod")
        with drain.watched(), watchdog.armed(), cpu_pool.closed_at_end():
            async with (
                metrics.written(),
                log.written(),
                dependencies.opened(),
                views.written(),
                _running(vitals.watch()),
                _running(siblings.watch()),
                _running(live.follow()),
                _running(recycling.when_spent()),
            ):
                yield

    shop = Starlette(
        routes=[
            *products.routes(catalogue, dependencies.cache, views),
            *offers.routes(catalogue, dependencies.suppliers),
            *CartRoutes(catalogue, dependencies.carts).routes,
            *orders.routes(Orders(dependencies.database), dependencies.carts, metrics),
            *streaming.routes(upload_mebibytes=settings.upload_mebibytes),
            *cpu.routes(cpu_pool),
            *rehearsal.routes(vitals, leak_enabled=settings.leak_enabled, rehearsal_enabled=settings.rehearsal_enabled),
            *operations.routes(metrics, vitals, heartbeats, drain, recycling, live=live),
        ],
        exception_handlers=error_handlers.handlers(budget),
        lifespan=lifespan,
    )
    shop.router.redirect_slashes = False  # an absolute redirect is wrong behind a proxy that is not trusted
    served = dependencies.traced(
        EdgeMiddleware(
            shop,
            metrics=metrics,
            shedding=Shedding(metrics, vitals, live),
            drain=drain,
            recorder=RequestRecorder(metrics, log),
        )
    )
    # Without trusted proxies, requests need no lookup of their addresses.
    return _behind_proxies(served, settings.trusted_proxies) if settings.trusted_proxies else served


def _behind_proxies(app: ASGIApp, trusted: Sequence[str]) -> ASGIApp:
    wrapped: ASGIApp = wrap_asgi_with_proxy_headers(app, list(trusted))
    return wrapped


@contextlib.asynccontextmanager
async def _running(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def _worker_app() -> ASGIApp:
    if "HCA_SNAPSHOT_DIR" in os.environ:
        # Imported only if it is configured, like every optional library.
        from hca_workers import offer_snapshots  # noqa: PLC0415

        offer_snapshots()
    try:
        return create_app(settings_from(os.environ))
    except SettingsError as error:
        raise SystemExit(f"shop: {error}") from None


app = _worker_app()
