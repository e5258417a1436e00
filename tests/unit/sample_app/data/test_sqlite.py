import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import httpx
import pytest

from shop.data.database import DatabaseUnavailableError
from shop.data.sqlite import Sqlite
from tests.unit.sample_app.conftest import Connect


@asynccontextmanager
async def opened(path: Path | str, times: int = 1) -> AsyncIterator[list[Sqlite]]:
    """The same file as that many workers have it, all opened at once."""
    files = [Sqlite(str(path)) for _ in range(times)]
    try:
        await asyncio.gather(*(file.open() for file in files))
        yield files
    finally:
        for file in files:
            await file.close()


async def test_workers_that_start_together_share_one_file(tmp_path: Path) -> None:
    async with opened(tmp_path / "shop.sqlite3", 8) as files:
        async with files[0].borrowed(transaction=True) as connection:
            await connection.rows("CREATE TABLE numbers (number INTEGER)")

        async def write(file: Sqlite, number: int) -> None:
            async with file.borrowed(transaction=True) as connection:
                await connection.rows("INSERT INTO numbers VALUES ($1)", number)

        await asyncio.gather(*(write(files[number % 8], number) for number in range(80)))
        async with files[0].borrowed(transaction=False) as connection:
            (row,) = await connection.rows("SELECT count(*) AS found, sum(number) AS total FROM numbers")

    assert (row["found"], row["total"]) == (80, sum(range(80)))


async def test_a_transaction_that_fails_leaves_nothing_and_the_next_one_works() -> None:
    async with opened(":memory:") as (memory,):
        async with memory.borrowed(transaction=True) as connection:
            await connection.rows("CREATE TABLE numbers (number INTEGER)")

        async def insert_and_fail() -> None:
            async with memory.borrowed(transaction=True) as connection:
                await connection.rows("INSERT INTO numbers VALUES (1)")
                raise RuntimeError

        with pytest.raises(RuntimeError):
            await insert_and_fail()
        async with memory.borrowed(transaction=True) as connection:
            assert list(await connection.rows("SELECT * FROM numbers")) == []


async def test_a_transaction_whose_begin_is_cancelled_is_not_left_open() -> None:
    async with opened(":memory:") as (memory,):

        async def begin() -> None:
            async with memory.borrowed(transaction=True):
                pass

        for turns in range(5):
            beginning = asyncio.create_task(begin())
            for _ in range(turns):
                await asyncio.sleep(0)
            beginning.cancel()
            await asyncio.gather(beginning, return_exceptions=True)
            await begin()


async def test_a_file_that_another_holds_is_away_and_a_wrong_statement_is_a_bug(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shop.data.sqlite._BUSY_MILLISECONDS", 1)
    path = tmp_path / "shop.sqlite3"
    async with opened(path) as (file,):
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(DatabaseUnavailableError):
                async with file.borrowed(transaction=True):
                    pass
        with pytest.raises(sqlite3.OperationalError):
            async with file.borrowed(transaction=False) as connection:
                await connection.rows("SELEKT 1")


async def test_an_order_is_placed_once_and_takes_the_cookie_back(client: httpx.AsyncClient) -> None:
    cart = (await client.post("/carts")).headers["location"]
    empty = await client.post(f"{cart}/order")
    await client.put(f"{cart}/items/kettle-1l", json={"quantity": 2})
    cookies = httpx.Cookies(client.cookies)
    placed = await client.post(f"{cart}/order")
    without_cookie = await client.post(f"{cart}/order")
    client.cookies = cookies
    with_old_cookie = await client.post(f"{cart}/order")

    assert (empty.status_code, placed.status_code) == (409, 201)
    assert (without_cookie.status_code, with_old_cookie.status_code) == (200, 200)
    assert placed.json() == without_cookie.json() == with_old_cookie.json()
    assert (await client.get(placed.headers["location"])).json() == placed.json()
    assert placed.json()["total_cents"] == 2 * 5400


async def test_an_order_that_is_not_there(connect: Connect) -> None:
    async with connect() as client:
        response = await client.get("/orders/none")

    assert response.status_code == 404
    assert response.json()["detail"] == "There is no order 'none'."
