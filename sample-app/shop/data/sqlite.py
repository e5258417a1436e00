"""SQLite: a database without a server, for a laptop or a single pod.

All workers of a pod share one file. In WAL mode, reads continue during a write, and a second writer waits instead of
failing. Calls of SQLite block, so they run in a thread. Each worker has one connection, and a lock lends it to one
request at a time.

Every pod has its own file, so carts are not stored here (see `cart_stores`).
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import aiosqlite

from shop.data.database import Connection, DatabaseUnavailableError, Row

_BUSY_MILLISECONDS = 5000
_WAL_TIMEOUT_SECONDS = 10.0
_UNAVAILABLE = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CANTOPEN,
}


class Sqlite:
    """One connection to a file, or to a private database in memory."""

    bytewise = "COLLATE BINARY"
    lock_schema = "SELECT 1"  # BEGIN IMMEDIATE has already locked out other writers

    def __init__(self, path: str) -> None:
        self._path = path
        self._connection: aiosqlite.Connection | None = None
        self._lock = asyncio.Lock()

    async def open(self) -> None:
        """Open the file; isolation_level=None leaves the beginning of transactions to `borrowed`."""
        self._connection = await aiosqlite.connect(self._path, isolation_level=None)
        self._connection.row_factory = sqlite3.Row
        await self._connection.execute(f"PRAGMA busy_timeout = {_BUSY_MILLISECONDS}")
        await self._enable_wal()
        await self._connection.execute("PRAGMA synchronous = NORMAL")

    async def _enable_wal(self) -> None:
        """Switch the journal to WAL, and retry while other workers do the same.

        Workers that start together all switch it. SQLite refuses all but one of them immediately, since its busy
        time-out does not apply to a change of the journal.
        """
        assert self._connection is not None, "open() comes first"  # noqa: S101
        async with asyncio.timeout(_WAL_TIMEOUT_SECONDS):
            while True:
                try:
                    await self._connection.execute("PRAGMA journal_mode = WAL")
                except sqlite3.OperationalError as error:
                    if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                        raise
                    await asyncio.sleep(0.02)
                else:
                    return

    async def close(self) -> None:
        """Close the file and end its thread."""
        if self._connection is not None:
            await self._connection.close()

    @asynccontextmanager
    async def borrowed(self, *, transaction: bool) -> AsyncIterator[Connection]:
        """Lend the connection as soon as it is free."""
        assert self._connection is not None, "open() comes first"  # noqa: S101
        async with self._lock:
            try:
                if not transaction:
                    yield _SqliteConnection(self._connection)
                    return
                try:
                    await self._connection.execute("BEGIN IMMEDIATE")
                    yield _SqliteConnection(self._connection)
                    await self._connection.execute("COMMIT")
                except BaseException:
                    # If only the wait was cancelled, the thread has begun a transaction; else this does nothing.
                    await self._connection.rollback()
                    raise
            except sqlite3.OperationalError as error:
                # The lower byte is the kind of error; a mistake in a statement has the same class.
                if error.sqlite_errorcode & 0xFF in _UNAVAILABLE:
                    raise DatabaseUnavailableError from error
                raise


class _SqliteConnection:
    def __init__(self, connection: aiosqlite.Connection) -> None:
        self._connection = connection

    async def rows(self, sql: str, *arguments: object) -> Sequence[Row]:
        # For SQLite, $1 is the name of an argument.
        named = {str(number): argument for number, argument in enumerate(arguments, start=1)}
        found: list[Row] = await self._connection.execute_fetchall(sql, named)  # type: ignore[assignment]
        return found
