"""PostgreSQL through asyncpg's pool.

Imported only if PostgreSQL is configured, since the library costs memory. The pool opens connections on demand, drops
those that the server has closed (this is the reconnect), and closes those that were idle for five minutes.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, nullcontext

import asyncpg  # type: ignore[import-untyped]

from shop.data.database import Connection, DatabaseUnavailableError, Row, UnstorableTextError

# Longer than any query of the shop, shorter than the time limit of clients.
_CONNECT_SECONDS = 3.0
_WAIT_SECONDS = 5.0
_QUERY_SECONDS = 10.0

_UNAVAILABLE = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.exceptions.OperatorInterventionError,  # shutting down, starting up
    asyncpg.exceptions.InsufficientResourcesError,  # too many connections
)


class Postgres:
    """A pool of at most `connections` connections."""

    bytewise = 'COLLATE "C"'
    lock_schema = "SELECT pg_advisory_xact_lock(4711)"

    def __init__(self, url: str, *, connections: int) -> None:
        self._url = url
        self._connections = connections
        self._pool: asyncpg.Pool | None = None

    async def open(self) -> None:
        """Create the pool, without connections yet."""
        self._pool = await asyncpg.create_pool(
            self._url,
            min_size=0,
            max_size=self._connections,
            timeout=_CONNECT_SECONDS,
            command_timeout=_QUERY_SECONDS,
            server_settings={"application_name": "shop"},
        )

    async def close(self) -> None:
        """Close every connection cleanly: the server would otherwise keep them until a time-out."""
        if self._pool is not None:
            await self._pool.close()

    @asynccontextmanager
    async def borrowed(self, *, transaction: bool) -> AsyncIterator[Connection]:
        """Lend a connection of the pool; waits at most five seconds for it."""
        assert self._pool is not None, "open() comes first"  # noqa: S101
        try:
            async with (
                self._pool.acquire(timeout=_WAIT_SECONDS) as connection,
                connection.transaction() if transaction else nullcontext(),
            ):
                yield _PostgresConnection(connection)
        except _UNAVAILABLE as error:
            raise DatabaseUnavailableError from error


class _PostgresConnection:
    def __init__(self, connection: asyncpg.pool.PoolConnectionProxy) -> None:
        self._connection = connection

    async def rows(self, sql: str, *arguments: object) -> Sequence[Row]:
        try:
            found: list[Row] = await self._connection.fetch(sql, *arguments)
        except asyncpg.CharacterNotInRepertoireError as error:
            raise UnstorableTextError from error  # U+0000, which SQLite and JSON accept
        except asyncpg.InterfaceError as error:
            # asyncpg raises this for a connection that died since it was lent, but also for a mistake of the caller.
            if self._connection.is_closed():
                raise DatabaseUnavailableError from error
            raise
        return found
