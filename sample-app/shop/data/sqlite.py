"""SQLite: the shop without a server, on a laptop or in a single pod.

All workers of a pod share one file. In WAL mode readers go on while one writes, and a second
writer waits for its turn instead of failing. SQLite's calls block, so they run in a thread; it is
one connection, used by one request at a time, hence the lock.

Every pod has its own file: that is why carts are not kept here (`cart_stores`).
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import aiosqlite

from shop.data.database import Connection, DatabaseUnavailableError, Row

_BUSY_MILLISECONDS = 5000
_SHARED_WITHIN = 10.0
_AWAY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN}


class Sqlite:
    """One connection to a file, or to memory of its own."""

    bytewise = "COLLATE BINARY"
    lock_schema = "SELECT 1"  # a transaction that may write is the only one anyway

    def __init__(self, path: str) -> None:
        self._path = path
        self._connection: aiosqlite.Connection | None = None
        self._turn = asyncio.Lock()

    async def open(self) -> None:
        """Open the file; transactions are begun by `borrowed` and not behind its back."""
        self._connection = await aiosqlite.connect(self._path, isolation_level=None)
        self._connection.row_factory = sqlite3.Row
        await self._connection.execute(f"PRAGMA busy_timeout = {_BUSY_MILLISECONDS}")
        await self._share()
        await self._connection.execute("PRAGMA synchronous = NORMAL")

    async def _share(self) -> None:
        """Have readers go on while one writes.

        Workers that start together all ask for it, and SQLite refuses all but one of them at once:
        its busy time-out is not for a change of the journal.
        """
        assert self._connection is not None, "open() makes it"  # noqa: S101
        async with asyncio.timeout(_SHARED_WITHIN):
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
        """Return the connection, when it is free."""
        assert self._connection is not None, "open() comes first"  # noqa: S101
        async with self._turn:
            try:
                if not transaction:
                    yield _SqliteConnection(self._connection)
                    return
                try:
                    await self._connection.execute("BEGIN IMMEDIATE")
                    yield _SqliteConnection(self._connection)
                    await self._connection.execute("COMMIT")
                except BaseException:
                    # Where only the wait was cancelled, the thread has begun all the same; else this does nothing.
                    await self._connection.rollback()
                    raise
            except sqlite3.OperationalError as error:
                # The lower byte is the kind; a mistake in a statement is of this class too.
                if error.sqlite_errorcode & 0xFF in _AWAY:
                    raise DatabaseUnavailableError from error
                raise


class _SqliteConnection:
    def __init__(self, connection: aiosqlite.Connection) -> None:
        self._connection = connection

    async def rows(self, sql: str, *arguments: object) -> Sequence[Row]:
        # SQLite takes $1 for the name of an argument.
        named = {str(number): argument for number, argument in enumerate(arguments, start=1)}
        found: list[Row] = await self._connection.execute_fetchall(sql, named)  # type: ignore[assignment]
        return found
