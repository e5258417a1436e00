import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from shop.data.database import Connection, Database, DatabaseUnavailableError
from shop.data.postgres import Postgres
from shop.data.sqlite import Sqlite
from shop.domain.schema import prepare
from shop.domain.views import Views
from shop.observation.metrics import Metrics


@pytest.fixture(autouse=True)
def written_when_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shop.domain.views._INTERVAL_SECONDS", 1000)


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
