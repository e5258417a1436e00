"""The external services of one worker, chosen by its settings: database, cache, suppliers, collector of traces.

Their libraries are imported only if they are used: together they would double the memory of a worker that needs none.
"""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from shop.data.cache import Cache
from shop.data.database import Database
from shop.data.local_store import LocalStore
from shop.domain import schema
from shop.domain.cart_stores import CartCookies, CartStore, CartTable
from shop.domain.carts import CartTokens
from shop.overload.breakers import Breaker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from starlette.types import ASGIApp

    from shop.configuration.settings import Settings
    from shop.data.cache import Store
    from shop.data.database import Server
    from shop.domain.suppliers import Suppliers
    from shop.observation.metrics import Metrics
    from shop.observation.tracing import Tracing


class Dependencies:
    """The clients of the external services, or their local replacements."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._closing: list[Callable[[], Awaitable[None]]] = []
        self._tracing = self._new_tracing(settings)
        self.database = Database(
            _database_server(settings),
            metrics,
            slow_seconds=settings.slow_query_milliseconds / 1000,
            prepare=schema.prepare,
        )
        self.cache = Cache(self._new_store(settings, metrics), metrics, seconds=settings.cache_seconds)
        self.carts: CartStore = (
            CartCookies(CartTokens(settings.secret_key)) if settings.database_url is None else CartTable(self.database)
        )
        self.suppliers = self._new_suppliers(settings, metrics)

    def traced(self, app: ASGIApp) -> ASGIApp:
        """Return the app with a span around each request, if traces are configured."""
        return app if self._tracing is None else self._tracing.traced(app)

    @property
    def trace_id(self) -> Callable[[], str | None] | None:
        """Function that returns the id of the current trace; None if traces are not configured."""
        return None if self._tracing is None else self._tracing.trace_id

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Open all clients for the duration of the block, and close their connections at its end."""
        async with AsyncExitStack() as stack:
            if self._tracing is not None:
                await stack.enter_async_context(self._tracing.flushed_at_end())
            await stack.enter_async_context(self.database.opened())
            for close in self._closing:
                stack.push_async_callback(close)
            yield

    def _new_tracing(self, settings: Settings) -> Tracing | None:
        if not settings.tracing:
            return None
        from shop.observation.tracing import Tracing  # noqa: PLC0415

        return Tracing()

    def _new_store(self, settings: Settings, metrics: Metrics) -> Store:
        local = LocalStore(entries=settings.cache_entries)
        if settings.redis_url is None:
            return local
        from shop.data.redis_store import RedisStore  # noqa: PLC0415

        shared = RedisStore(settings.redis_url, Breaker("redis", metrics), fallback=local)
        self._closing.append(shared.close)
        return shared

    def _new_suppliers(self, settings: Settings, metrics: Metrics) -> Suppliers | None:
        if not settings.supplier_urls:
            return None
        from shop.domain.suppliers import Suppliers  # noqa: PLC0415

        suppliers = Suppliers(settings.supplier_urls, metrics)
        self._closing.append(suppliers.close)
        if self._tracing is not None:
            self._tracing.instrument(suppliers.client)
        return suppliers


def _database_server(settings: Settings) -> Server:
    if settings.database_url is not None:
        from shop.data.postgres import Postgres  # noqa: PLC0415

        return Postgres(settings.database_url, connections=settings.pool_size)
    from shop.data.sqlite import Sqlite  # noqa: PLC0415

    shared = settings.shared_directory
    return Sqlite(":memory:" if shared is None else str(shared / "shop.sqlite3"))
