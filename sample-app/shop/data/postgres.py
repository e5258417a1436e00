"""PostgreSQL through asyncpg's pool.

Imported only where a database is configured: idle workers elsewhere do not pay for it.
The pool opens connections when they are needed, drops those that the server has closed (that is
the reconnect), and closes what was idle for five minutes.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, nullcontext

import asyncpg  # type: ignore[import-untyped]

from shop.data.database import Connection, DatabaseUnavailableError, Row, UnstorableTextError

# Longer than any query of the shop takes, shorter than clients wait.
_CONNECT_SECONDS = 3.0
_WAIT_SECONDS = 5.0
_QUERY_SECONDS = 10.0

_AWAY = (
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
        """Have a pool, still without connections."""
        self._pool = await asyncpg.create_pool(
            self._url,
            min_size=0,
            max_size=self._connections,
            timeout=_CONNECT_SECONDS,
            command_timeout=_QUERY_SECONDS,
            server_settings={"application_name": "shop"},
        )

    async def close(self) -> None:
        """Close every connection, in order, so that the server need not find out by itself."""
        if self._pool is not None:
            await self._pool.close()

    @asynccontextmanager
    async def borrowed(self, *, transaction: bool) -> AsyncIterator[Connection]:
        """Return a connection of the pool; waits for one no longer than a client would."""
        assert self._pool is not None, "open() comes first"  # noqa: S101
        try:
            async with (
                self._pool.acquire(timeout=_WAIT_SECONDS) as connection,
                connection.transaction() if transaction else nullcontext(),
            ):
                yield _PostgresConnection(connection)
        except _AWAY as error:
            raise DatabaseUnavailableError from error


class _PostgresConnection:
    def __init__(self, connection: asyncpg.pool.PoolConnectionProxy) -> None:
        self._connection = connection

    async def rows(self, sql: str, *arguments: object) -> Sequence[Row]:
        try:
            found: list[Row] = await self._connection.fetch(sql, *arguments)
        except asyncpg.CharacterNotInRepertoireError as error:
            raise UnstorableTextError from error  # U+0000, which SQLite and JSON take
        except asyncpg.InterfaceError as error:
            # asyncpg's word for a connection that died since it was borrowed, but for misuse as well.
            if self._connection.is_closed():
                raise DatabaseUnavailableError from error
            raise
        return found
