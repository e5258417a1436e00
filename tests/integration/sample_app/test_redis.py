import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
from redis.asyncio import Redis

from shop.data.local_store import LocalStore
from shop.data.redis_store import RedisStore
from shop.domain.catalogue import Catalogue
from shop.observation.metrics import Metrics
from shop.overload.breakers import FAILURES, Breaker
from tests.integration.sample_app.real_servers import RealServer, redis
from tests.unit.sample_app.conftest import Connect


@pytest.fixture(scope="module")
def server() -> Iterator[RealServer]:
    with redis() as started:
        yield started


@pytest.fixture
async def administrator(server: RealServer) -> AsyncIterator[Redis]:
    async with Redis.from_url(server.url) as connected:
        await connected.flushall()
        await connected.config_resetstat()
        yield connected


async def calls(administrator: Redis) -> dict[str, int]:
    """How often each command was called."""
    stats = await administrator.info("commandstats")
    return {name.removeprefix("cmdstat_"): figures["calls"] for name, figures in stats.items()}


def sample(metrics: str, name: str) -> float:
    (value,) = [line.rsplit(" ", 1)[1] for line in metrics.splitlines() if line.startswith(name)]
    return float(value)


async def test_what_one_pod_has_loaded_another_need_not(
    connect: Connect, server: RealServer, administrator: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with connect(redis_url=server.url) as one, connect(redis_url=server.url) as other:
        first = await one.get("/products?limit=5")
        monkeypatch.delattr(Catalogue, "page")  # a load would fail now
        second = await other.get("/products?limit=5")
        metrics = (await other.get("/metrics")).text

    assert second.json() == first.json()
    assert sample(metrics, 'cache_lookups_total{result="hit"}') == 1
    assert len(await administrator.keys("shop:1:*")) == 1


async def test_a_cart_is_priced_by_one_question(connect: Connect, server: RealServer, administrator: Redis) -> None:
    async with connect(redis_url=server.url) as client:
        cart = (await client.post("/carts")).headers["location"]
        for product in ("kettle-1l", "tin-tea", "tent-2", "vase-glass"):
            await client.put(f"{cart}/items/{product}", json={"quantity": 1})
        await administrator.config_resetstat()
        content = (await client.get(cart)).json()

    assert len(content["items"]) == 4
    asked = await calls(administrator)
    assert asked["mget"] == 1
    assert "get" not in asked


async def test_entries_expire_by_themselves_and_apart(server: RealServer, administrator: Redis) -> None:
    store = RedisStore(server.url, Breaker("redis", Metrics(None)), fallback=LocalStore(entries=1))
    lifetimes = iter([10.0, 20.0, 30.0])
    await store.set({"a": b"A", "b": b"B", "c": b"C"}, lambda: next(lifetimes))

    assert await store.get(["a", "b", "c", "d"]) == {"a": b"A", "b": b"B", "c": b"C"}
    left = [await administrator.pttl(f"shop:1:{key}") for key in "abc"]
    assert [round(milliseconds / 10_000) for milliseconds in left] == [1, 2, 3]
    await store.close()


async def test_the_shop_serves_without_redis_and_says_so(connect: Connect) -> None:
    async def state() -> float:
        return sample((await client.get("/metrics")).text, 'circuit_breaker_state{dependency="redis"}')

    with redis() as server:
        async with connect(redis_url=server.url) as client:
            assert (await client.get("/products?limit=1")).status_code == 200
            assert await state() == 0
            server.stop()
            urls = [f"/products?limit={number}" for number in range(2, 12)]
            answers = [await client.get(url) for url in urls * 2]
            metrics = (await client.get("/metrics")).text

            assert {answer.status_code for answer in answers} == {200}
            # After five failures it is not asked, and the worker's own memory is the cache.
            assert await state() == 2
            assert sample(metrics, 'cache_lookups_total{result="hit"}') == len(urls)


async def test_redis_is_used_again_when_it_is_back() -> None:
    with redis() as server:
        breaker = Breaker("redis", Metrics(None), seconds=1)
        store = RedisStore(server.url, breaker, fallback=LocalStore(entries=10))
        await store.set({"a": b"A"}, lambda: 60.0)
        server.stop()
        for _ in range(FAILURES):
            assert await store.get(["a"]) == {}
        server.start()
        await store.set({"b": b"B"}, lambda: 60.0)  # into the worker's memory: the breaker is open
        assert await store.get(["b"]) == {"b": b"B"}

        async with asyncio.timeout(10), Redis.from_url(server.url) as administrator:
            while not await administrator.exists("shop:1:c"):
                await store.set({"c": b"C"}, lambda: 60.0)
                await asyncio.sleep(0.05)
            assert not await administrator.exists("shop:1:b")
        await store.close()
