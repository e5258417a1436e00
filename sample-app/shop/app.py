"""The app put together: what is made once per worker, the routes, and what wraps them."""

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator, Coroutine, Sequence
from typing import Any

from granian.utils.proxies import wrap_asgi_with_proxy_headers
from starlette.applications import Starlette
from starlette.types import ASGIApp

from shop import cpu, offers, operations, order_routes, problems, products, rehearsal, streaming
from shop.access_log import AccessLog
from shop.cart_routes import CartRoutes
from shop.catalogue import Catalogue
from shop.dependencies import Dependencies
from shop.draining import Drain
from shop.edge import Edge
from shop.error_budget import ErrorBudget, Recycling
from shop.heartbeats import Heartbeats
from shop.live_settings import LiveSettings
from shop.metrics import worker_metrics
from shop.observation import Observation
from shop.orders import Orders
from shop.settings import DEVELOPMENT_KEY, Settings, SettingsError, settings_from
from shop.shedding import Shedding
from shop.siblings import Siblings
from shop.views import Views
from shop.vitals import Vitals
from shop.watchdog import Watchdog
from shop.worker_slots import WorkerSlot

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
    cpu_pool = cpu.CpuPool(settings.cpu_processes)
    outside = Dependencies(settings, metrics)
    catalogue = Catalogue(outside.database, outside.cache)
    views = Views(outside.database)
    log = AccessLog(outside.trace_id)

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        metrics.worker_starts.inc()
        if settings.secret_key == DEVELOPMENT_KEY:
            _log.warning("SHOP_SECRET_KEY is not set: anyone can sign carts; set it to the same value in every pod")
        with drain.watched(), watchdog.awake(), cpu_pool.closed_at_end():
            async with (
                metrics.written(),
                log.written(),
                outside.opened(),
                views.written(),
                _running(vitals.watch()),
                _running(siblings.watch()),
                _running(live.follow()),
                _running(recycling.when_spent()),
            ):
                yield

    shop = Starlette(
        routes=[
            *products.routes(catalogue, outside.cache, views),
            *offers.routes(catalogue, outside.suppliers),
            *CartRoutes(catalogue, outside.carts).routes,
            *order_routes.routes(Orders(outside.database), outside.carts, metrics),
            *streaming.routes(upload_mebibytes=settings.upload_mebibytes),
            *cpu.routes(cpu_pool),
            *rehearsal.routes(vitals, leak_enabled=settings.leak_enabled, rehearsal_enabled=settings.rehearsal_enabled),
            *operations.routes(metrics, vitals, heartbeats, drain, recycling, live=live),
        ],
        exception_handlers=problems.handlers(budget),
        lifespan=lifespan,
    )
    shop.router.redirect_slashes = False  # an absolute redirect is wrong behind a proxy that is not trusted
    served = outside.traced(
        Edge(
            shop,
            metrics=metrics,
            shedding=Shedding(metrics, vitals, live),
            drain=drain,
            observation=Observation(metrics, log),
        )
    )
    # With nobody to believe, there is nothing to look up for each request.
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
        # Not imported where it is not asked for, like everything that somebody has to configure.
        from hca_workers import offer_snapshots  # noqa: PLC0415

        offer_snapshots()
    try:
        return create_app(settings_from(os.environ))
    except SettingsError as error:
        raise SystemExit(f"shop: {error}") from None


app = _worker_app()
