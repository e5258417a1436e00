import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from shop.database import Connection, Database, DatabaseUnavailableError
from shop.metrics import Metrics
from shop.postgres import Postgres
from shop.schema import prepare
from shop.sqlite import Sqlite
from shop.views import Views
from tests.unit.sample_app.real_servers import RealServer, postgres
from tests.unit.sample_app.server import eventually, serving

pytestmark = pytest.mark.timeout(func_only=True)  # the first run may install the server


@pytest.fixture(scope="module")
def server() -> Iterator[RealServer]:
    with postgres() as started:
        yield started


@pytest.fixture(autouse=True)
def written_when_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shop.views._SECONDS", 1000)


@asynccontextmanager
async def opened(server: Sqlite | Postgres) -> AsyncIterator[Database]:
    database = Database(server, Metrics(None), slow_seconds=0, prepare=prepare)
    async with database.opened():
        yield database


async def test_many_views_are_one_statement(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="shop.database"):  # where every query is a slow one
        async with opened(Sqlite(":memory:")) as database:
            views = Views(database)
            for _ in range(2):
                async with views.written():
                    for number in range(300):
                        views.note("kettle-1l")
                        views.note(f"another-{number % 3}")
            found = await views.most_viewed(2)

    assert found == [("kettle-1l", 600), ("another-0", 200)]
    written = [line for line in caplog.records if line.__dict__["sql"].startswith("INSERT INTO product_views")]
    assert len(written) == 2


async def test_more_products_than_a_statement_takes_are_several() -> None:
    async with opened(Sqlite(":memory:")) as database:
        views = Views(database)
        async with views.written():
            for number in range(1234):
                views.note(str(number))

        assert len(await views.most_viewed(2000)) == 1234


async def test_views_are_kept_while_the_database_is_away_and_memory_does_not_grow_by_what_is_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    @asynccontextmanager
    async def away(_database: Database) -> AsyncIterator[Connection]:
        raise DatabaseUnavailableError
        yield

    async with opened(Sqlite(":memory:")) as database:
        views = Views(database)
        with monkeypatch.context() as patched:
            patched.setattr(Database, "transaction", away)
            async with views.written():
                views.note("kettle-1l")
        async with views.written():
            views.note("kettle-1l")
        found = await views.most_viewed(10)

    assert found == [("kettle-1l", 2)]
    assert len(views._counted) == 0


async def test_workers_that_write_the_same_rows_do_not_deadlock(server: RealServer) -> None:
    products = [f"product-{number}" for number in range(200)]
    async with opened(Postgres(server.url, connections=8)) as database:
        workers = [Views(database) for _ in range(8)]
        for _ in range(10):
            for number, views in enumerate(workers):
                for product in products if number % 2 else reversed(products):
                    views.note(product)
            await asyncio.gather(*(views._write() for views in workers))

        assert {number for _, number in await workers[0].most_viewed(1000)} == {80}


def test_each_worker_writes_what_it_saw(tmp_path: Path) -> None:
    with serving(tmp_path, workers=2) as running:
        for _ in range(20):
            running.http.get("/products/kettle-1l")
        running.http.get("/products/moon")

        assert eventually(
            lambda: running.http.get("/popular").json() == {"items": [{"product": "kettle-1l", "views": 20}]}
        )
