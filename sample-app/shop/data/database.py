"""The database as the rest of the shop sees it: a few connections, shared, timed, and sometimes gone.

- Bounded: a worker borrows connections from a pool and gives them back. PostgreSQL starts a process
  for each connection; a thousand of them are slower than ten, and the server refuses more than its
  limit. `Settings.pool_size` divides that limit among all workers of all pods.
- A wait for a connection is bounded too: the client hears 503 while it still listens.
- Reads are tried once more on a new connection, since a restarted server leaves dead ones in the
  pool. Writes are not: nobody knows whether the first try arrived.
- Queries that take long are logged with their text and never with their values, which are people's.
- A database that is away is not an error of this worker: 503 with Retry-After, no error budget
  spent, and readiness stays, since pods without a database serve the cache better than no pods.

`postgres` and `sqlite` are the two servers behind it. Both know $1 for the first argument and
ON CONFLICT, so every statement is written once.
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
    """The database does not answer, or has no connection left for us."""


class UnstorableTextError(ValueError):
    """A text that the database cannot hold, so that nothing in it can be meant."""


class Connection(Protocol):
    """What one borrower has to itself."""

    async def rows(self, sql: str, *arguments: object) -> Sequence[Row]:
        """Return what a statement returns."""


class Server(Protocol):
    """A kind of database; raises `DatabaseUnavailableError` where it is out of reach."""

    bytewise: str
    """What makes a text column sort the same everywhere."""
    lock_schema: str
    """The statement that lets one worker of all pods change the schema at a time."""

    async def open(self) -> None:
        """Get ready; a database that is away is no reason to fail."""

    async def close(self) -> None:
        """Give every connection back to the server."""

    def borrowed(self, *, transaction: bool) -> AbstractAsyncContextManager[Connection]:
        """Return a connection for a while, as one transaction if asked."""


class Database:
    """The tables, made by whoever comes first."""

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
        """Have it while the worker lives; its end closes the connections, which the server would otherwise keep."""
        await self._server.open()
        try:
            yield
        finally:
            await self._server.close()

    async def rows(self, sql: str, *arguments: object) -> Sequence[Row]:
        """Return what a read finds."""
        try:
            return await self._read(sql, *arguments)
        except DatabaseUnavailableError:
            return await self._read(sql, *arguments)

    async def _read(self, sql: str, *arguments: object) -> Sequence[Row]:
        async with self._borrowed(transaction=False) as connection:
            return await connection.rows(sql, *arguments)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """Everything in the block or nothing of it."""
        async with self._borrowed(transaction=True) as connection:
            yield connection

    @asynccontextmanager
    async def _borrowed(self, *, transaction: bool) -> AsyncIterator[Connection]:
        # Not at the start of the worker: a pod must start, and serve what it can, without its database.
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
