"""The app put together: what is made once per worker, the routes, and what wraps them."""

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor

from granian.utils.proxies import wrap_asgi_with_proxy_headers
from starlette.applications import Starlette
from starlette.types import ASGIApp

from shop import cpu, operations, problems, products, rehearsal
from shop.cache import Cache
from shop.cart_routes import CartRoutes
from shop.carts import CartTokens
from shop.draining import Drain
from shop.metrics import worker_metrics
from shop.observation import Observation
from shop.request_id import RequestId
from shop.settings import DEVELOPMENT_KEY, Settings, SettingsError, settings_from
from shop.vitals import Vitals

_log = logging.getLogger("shop")


def create_app(settings: Settings) -> ASGIApp:
    """Return the app of one worker process."""
    metrics = worker_metrics()
    vitals = Vitals(metrics)
    drain = Drain()
    cpu_thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="cpu")
    catalogue = products.bundled_catalogue()
    answers: Cache[str, bytes] = Cache(metrics, entries=settings.cache_entries, seconds=settings.cache_seconds)

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        metrics.worker_starts.inc()
        if settings.secret_key == DEVELOPMENT_KEY:
            _log.warning("SHOP_SECRET_KEY is not set: anyone can sign carts; set it to the same value in every pod")
        watch = asyncio.create_task(vitals.watch())
        with drain.watched(), cpu_thread:
            yield
        watch.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watch

    shop = Starlette(
        routes=[
            *products.routes(catalogue, answers),
            *CartRoutes(catalogue, CartTokens(settings.secret_key)).routes,
            *cpu.routes(cpu_thread),
            *rehearsal.routes(vitals, leak_enabled=settings.leak_enabled),
            *operations.routes(metrics, vitals, drain),
        ],
        exception_handlers=problems.HANDLERS,
        lifespan=lifespan,
    )
    shop.router.redirect_slashes = False  # an absolute redirect is wrong behind a proxy that is not trusted
    # Around Starlette and not among its middleware, so that its own answers to errors pass here too.
    observed = RequestId(Observation(shop, metrics))
    wrapped: ASGIApp = wrap_asgi_with_proxy_headers(observed, list(settings.trusted_proxies))
    return wrapped


def _worker_app() -> ASGIApp:
    try:
        return create_app(settings_from(os.environ))
    except SettingsError as error:
        raise SystemExit(f"shop: {error}") from None


app = _worker_app()
