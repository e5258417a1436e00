"""The database: a bounded pool of connections, with timing, one retry of reads, and a way to be unavailable.

- The pool is bounded. PostgreSQL starts a process for each connection: a thousand of them are slower than ten, and the
  server refuses more than its limit. `Settings.pool_size` divides that limit among all workers of all pods.
- The wait for a connection is bounded as well: the client gets a 503 before its own time limit.
- Reads are retried once on a new connection, since a restarted server leaves dead connections in the pool. Writes are
  not: the first attempt may have been committed.
- Slow queries are logged with their text, but without their values, which may be personal data.
- An unavailable database is not an error of this worker: it answers 503 with Retry-After, spends no error budget and
  stays ready. Pods without a database still answer from the cache.

`postgres` and `sqlite` implement `Server`. Both take $1 for the first argument and ON CONFLICT, so every statement is
written once.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Protocol

from shop.observation.metrics import Metrics

Row = Mapping[str, Any]

_log = logging.getLogger("shop.database")


class DatabaseUnavailableError(Exception):
    """The database does not answer, or has no free connection within the time limit."""


class UnstorableTextError(ValueError):
    """The database cannot store this text, so no row can contain it."""


class Connection(Protocol):
    """One connection, for the exclusive use of its borrower."""

    async def rows(self, sql: str, *arguments: object) -> Sequence[Row]:
        """Execute a statement and return its rows."""


class Server(Protocol):
    """A kind of database; its methods raise `DatabaseUnavailableError`."""

    bytewise: str
    """COLLATE clause of a text column that is sorted by bytes, so that every database has the same order."""
    lock_schema: str
    """Statement that locks the schema until the end of the transaction, for one worker of all pods."""

    async def open(self) -> None:
        """Prepare connections; does not fail if the database is unavailable."""

    async def close(self) -> None:
        """Close every connection."""

    def borrowed(self, *, transaction: bool) -> AbstractAsyncContextManager[Connection]:
        """Return a context manager that lends a connection, on request within a transaction."""


class Database:
    """The database of one worker; its first use calls `prepare`, which creates the tables."""

    def __init__(
        self,
        server: Server,
        metrics: Metrics,
        *,
        slow_seconds: float,
        prepare: Callable[[Connection, Server], Awaitable[None]],
    ) -> None:
        self._server = server
        self._metrics = metrics
        self._slow_seconds = slow_seconds
        self._prepare = prepare
        self._prepared = False
        self._preparing = asyncio.Lock()

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Open the database, and close its connections at the end of the block."""
        await self._server.open()
        try:
            yield
        finally:
            await self._server.close()

    async def rows(self, sql: str, *arguments: object) -> Sequence[Row]:
        """Return the rows of a statement that only reads; retried once."""
        try:
            return await self._read(sql, *arguments)
        except DatabaseUnavailableError:
            return await self._read(sql, *arguments)

    async def _read(self, sql: str, *arguments: object) -> Sequence[Row]:
        async with self._borrowed(transaction=False) as connection:
            return await connection.rows(sql, *arguments)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """Run the statements of the block in one transaction: all of them or none."""
        async with self._borrowed(transaction=True) as connection:
            yield connection

    @asynccontextmanager
    async def _borrowed(self, *, transaction: bool) -> AsyncIterator[Connection]:
        # Not at the start of the worker: a pod must start and serve its cache without the database.
        if not self._prepared:
            async with self._preparing:
                if not self._prepared:
                    async with self._server.borrowed(transaction=True) as connection:
                        await self._prepare(connection, self._server)
                    self._prepared = True
        async with self._server.borrowed(transaction=transaction) as connection:
            with self._metrics.database_connections.track_inprogress():
                yield _Timed(connection, self._metrics, self._slow_seconds)


class _Timed:
    def __init__(self, connection: Connection, metrics: Metrics, slow_seconds: float) -> None:
        self._connection = connection
        self._metrics = metrics
        self._slow_seconds = slow_seconds

    async def rows(self, sql: str, *arguments: object) -> Sequence[Row]:
        begin = time.perf_counter()
        try:
            return await self._connection.rows(sql, *arguments)
        finally:
            seconds = time.perf_counter() - begin
            self._metrics.query_duration.observe(seconds)
            if seconds >= self._slow_seconds:
                _log.warning("slow query", extra={"sql": sql, "duration_seconds": round(seconds, 6)})
