import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from shop.data.postgres import Postgres
from shop.domain.views import Views
from tests.eventually import eventually
from tests.integration.sample_app.real_servers import RealServer, postgres
from tests.integration.sample_app.server import serving
from tests.unit.sample_app.domain.test_views import opened


@pytest.fixture(scope="module")
def server() -> Iterator[RealServer]:
    with postgres() as started:
        yield started


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
