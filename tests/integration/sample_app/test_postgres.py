import asyncio
import logging
import uuid
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import asyncpg  # type: ignore[import-untyped]
import httpx
import pytest

from shop.configuration.settings import Settings
from shop.domain.catalogue import Catalogue, Product
from shop.domain.orders import Orders
from shop.routes import products
from tests.eventually import eventually
from tests.integration.sample_app.real_servers import RealServer, postgres
from tests.integration.sample_app.server import serving
from tests.unit.sample_app.conftest import Connect


@pytest.fixture(scope="module")
def server() -> Iterator[RealServer]:
    with postgres() as started:
        yield started


@pytest.fixture
async def database_url(server: RealServer) -> str:
    """A database of the test's own."""
    name = f"test_{uuid.uuid4().hex}"
    await ask(server.url, f"CREATE DATABASE {name}")
    return server.url.removesuffix("postgres") + name


async def ask(url: str, sql: str, *arguments: object) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(url)
    try:
        return list(await connection.fetch(sql, *arguments))
    finally:
        await connection.close()


async def connections(url: str) -> int:
    sql = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'shop' AND datname = $1"
    return int((await ask(url, sql, url.rsplit("/", 1)[1]))[0][0])


async def test_pages_are_as_with_sqlite(connect: Connect, database_url: str, client: httpx.AsyncClient) -> None:
    async with connect(database_url=database_url) as with_postgres:
        for url in ("/products?limit=100", "/products?limit=3&after=book-maps", "/products?category=home&limit=2"):
            assert (await with_postgres.get(url)).json() == (await client.get(url)).json()
        exported = (await with_postgres.get("/exports/products")).text

    assert exported == (await client.get("/exports/products")).text
    assert len(exported.splitlines()) == 24


async def test_pods_that_start_together_make_the_tables_once(connect: Connect, database_url: str) -> None:
    async with AsyncExitStack() as stack:
        pods = [await stack.enter_async_context(connect(database_url=database_url)) for _ in range(5)]
        answers = await asyncio.gather(*(pod.get("/products?limit=100") for pod in pods))

    assert [len(answer.json()["items"]) for answer in answers] == [24] * 5


async def test_a_cart_is_the_same_in_every_pod_and_no_change_is_lost(connect: Connect, database_url: str) -> None:
    async with connect(database_url=database_url) as one, connect(database_url=database_url) as other:
        cart = (await one.post("/carts")).headers["location"]
        products = ["kettle-1l", "tin-tea", "tent-2", "vase-glass"]

        async def put(pod: httpx.AsyncClient, product: str) -> int:
            status = 409
            while status == 409:  # changed meanwhile: send it again
                status = (await pod.put(f"{cart}/items/{product}", json={"quantity": 1})).status_code
            return status

        statuses = await asyncio.gather(*(put(pod, name) for pod, name in zip([one, other] * 2, products, strict=True)))
        content = (await one.get(cart)).json()

    assert statuses == [200] * 4
    assert content["version"] == 4
    assert sorted(item["product"] for item in content["items"]) == sorted(products)


async def test_a_change_of_an_older_version_is_refused(
    connect: Connect, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with connect(database_url=database_url) as client:
        cart = (await client.post("/carts")).headers["location"]
        both_have_read = asyncio.Barrier(2)

        async def product(catalogue: Catalogue, product_id: str) -> Product:
            await both_have_read.wait()
            return await products.product_or_404(catalogue, product_id)

        monkeypatch.setattr("shop.routes.carts.product_or_404", product)
        answers = await asyncio.gather(
            *(client.put(f"{cart}/items/{name}", json={"quantity": 1}) for name in ("kettle-1l", "tin-tea"))
        )

    assert sorted(answer.status_code for answer in answers) == [200, 409]


@pytest.mark.parametrize("url", ["/products/a%00b", "/products?after=%00", "/carts/%00", "/orders/%00"])
async def test_a_text_that_postgresql_cannot_hold_is_the_clients_error(
    connect: Connect, database_url: str, url: str
) -> None:
    async with connect(database_url=database_url) as client:
        response = await client.get(url)
        metrics = (await client.get("/metrics")).text

    assert response.status_code == 400
    assert "U+0000" in response.json()["detail"]
    assert "unexpected_errors_total 0.0" in metrics


async def test_carts_that_have_expired_do_not_stay_in_the_table(connect: Connect, database_url: str) -> None:
    async with connect(database_url=database_url) as client:
        old = (await client.post("/carts")).headers["location"]
        await ask(database_url, "UPDATE carts SET expires_at = 1")
        assert (await client.get(old)).status_code == 404
        await client.post("/carts")

        assert (await ask(database_url, "SELECT count(*) FROM carts"))[0][0] == 1


async def test_a_cart_becomes_one_order_however_often_it_is_asked(connect: Connect, database_url: str) -> None:
    async with connect(database_url=database_url) as client:
        cart = (await client.post("/carts")).headers["location"]
        await client.put(f"{cart}/items/kettle-1l", json={"quantity": 2})
        await client.put(f"{cart}/items/tin-tea", json={"quantity": 1})
        answers = await asyncio.gather(*(client.post(f"{cart}/order") for _ in range(5)))
        again = await client.post(f"{cart}/order")
        gone = await client.get(cart)

        assert {answer.json()["id"] for answer in [*answers, again]} == {again.json()["id"]}
        assert again.json()["total_cents"] == 2 * 5400 + 900
        assert [answer.status_code for answer in answers].count(201) == 1
        assert gone.status_code == 404
        assert (await ask(database_url, "SELECT count(*) FROM order_items"))[0][0] == 2


async def test_a_failed_order_leaves_nothing_behind(
    connect: Connect, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_arguments: object) -> None:
        raise RuntimeError

    async with connect(database_url=database_url) as client:
        cart = (await client.post("/carts")).headers["location"]
        await client.put(f"{cart}/items/kettle-1l", json={"quantity": 2})
        with monkeypatch.context() as patched:
            patched.setattr("shop.domain.orders._insert_items", broken)
            assert (await client.post(f"{cart}/order")).status_code == 500

        assert (await ask(database_url, "SELECT count(*) FROM orders"))[0][0] == 0
        assert (await client.post(f"{cart}/order")).status_code == 201


async def test_a_burst_of_requests_uses_no_more_connections_than_the_pool_has(
    connect: Connect, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"database_url": database_url, "database_connections": 12, "max_pods": 2, "workers": 1}
    assert Settings(**settings).pool_size == 3  # type: ignore[arg-type]

    async def slow_order(self: Orders, _order_id: str) -> None:
        await self._database.rows("SELECT pg_sleep(0.1)")  # long enough for all to ask for a connection

    monkeypatch.setattr(Orders, "order", slow_order)
    async with connect(**settings) as client:
        burst = asyncio.gather(*(client.get(f"/orders/{number}") for number in range(20)), return_exceptions=True)
        seen, in_use = [], []
        while not burst.done():
            seen.append(await connections(database_url))
            metrics = (await client.get("/metrics")).text.splitlines()
            in_use += [float(line.split()[1]) for line in metrics if line.startswith("database_connections_in_use")]

    assert max(seen) == 3
    assert max(in_use) == 3


async def test_a_slow_query_is_logged_without_its_values(
    connect: Connect, database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="shop.database"):
        async with connect(database_url=database_url, slow_query_milliseconds=1) as client:
            await ask(
                database_url,
                "CREATE FUNCTION slowly() RETURNS trigger LANGUAGE plpgsql AS"
                " 'BEGIN PERFORM pg_sleep(0.05); RETURN NEW; END'",
            )
            cart = (await client.post("/carts")).headers["location"]
            await ask(
                database_url,
                "CREATE TRIGGER slow BEFORE UPDATE ON carts FOR EACH ROW EXECUTE FUNCTION slowly()",
            )
            caplog.clear()
            await client.put(f"{cart}/items/kettle-1l", json={"quantity": 77})

    slow = [record.__dict__ for record in caplog.records if record.__dict__.get("sql", "").startswith("UPDATE carts")]
    assert len(slow) == 1
    assert slow[0]["duration_seconds"] >= 0.05
    assert "kettle" not in str(slow[0])


async def test_the_shop_starts_without_its_database_and_recovers_with_it(connect: Connect) -> None:
    with postgres() as server:
        server.stop()
        async with connect(database_url=server.url, cache_seconds=1) as client:
            away = await client.post("/carts")
            assert (await client.get("/health")).status_code == 200
            server.start()
            first = await client.post("/carts")
            server.stop()
            server.start()
            # Its connections are dead now: a read does not notice.
            read = await client.get(first.headers["location"])
            metrics = (await client.get("/metrics")).text

    assert away.status_code == 503
    assert away.headers["retry-after"] == "2"
    assert away.json()["detail"] == "The database does not answer; try again soon."
    assert (first.status_code, read.status_code) == (201, 200)
    assert "unexpected_errors_total 0.0" in metrics


async def test_a_request_that_is_under_way_at_sigterm_still_has_its_database(database_url: str, tmp_path: Path) -> None:
    holder = await asyncpg.connect(database_url)
    try:
        with serving(tmp_path, workers=1, SHOP_DATABASE_URL=database_url) as running:
            cart = running.http.post("/carts").headers["location"]
            async with holder.transaction():
                await holder.execute("LOCK TABLE carts IN ACCESS EXCLUSIVE MODE")
                put = asyncio.create_task(
                    asyncio.to_thread(running.http.put, f"{cart}/items/kettle-1l", json={"quantity": 1})
                )
                waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
                async with asyncio.timeout(30):
                    while not await holder.fetchval(waiting):  # noqa: ASYNC110 - another process has no event
                        await asyncio.sleep(0.05)
                running.process.terminate()
                await asyncio.to_thread(eventually, lambda: not running.answering_workers())
            # It has read its cart only now; what it writes takes another connection.
            response = await put
            assert running.process.wait(20) == 0
    finally:
        await holder.close()

    assert response.status_code == 200
    assert response.headers["connection"] == "close"
    assert response.json()["version"] == 1


async def test_sigterm_gives_every_connection_back(server: RealServer, database_url: str, tmp_path: Path) -> None:
    with serving(tmp_path, workers=2, SHOP_DATABASE_URL=database_url) as running:
        eventually(lambda: running.http.post("/carts").status_code == 201)
        assert await connections(database_url) > 0
        running.process.terminate()
        assert running.process.wait(20) == 0

        assert await connections(database_url) == 0
        assert "unexpected EOF" not in server.log, "the server found out by itself"
