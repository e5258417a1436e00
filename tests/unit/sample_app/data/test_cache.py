import asyncio
import tracemalloc
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping

import pytest

from shop.data.cache import Cache
from shop.data.local_store import LocalStore
from shop.observation.metrics import Metrics


class Source:
    """Counts how often each key is loaded; a load lasts until it is let go."""

    def __init__(self) -> None:
        self.loads: Counter[str] = Counter()
        self.let_go = asyncio.Event()
        self.let_go.set()

    def loader(self, key: str) -> Callable[[], Awaitable[bytes]]:
        async def load() -> bytes:
            self.loads[key] += 1
            await self.let_go.wait()
            if key == "broken":
                raise ConnectionError
            return key.upper().encode()

        return load

    async def load_many(self, keys: Collection[str]) -> Mapping[str, bytes]:
        self.loads[" ".join(keys)] += 1
        return {key: key.upper().encode() for key in keys if key != "absent"}


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def cache(clock: Clock) -> Cache:
    return Cache(LocalStore(entries=100, timer=clock), Metrics(None), seconds=100)


async def test_requests_at_the_same_time_share_one_load(cache: Cache, source: Source) -> None:
    source.let_go.clear()
    waiting = [asyncio.ensure_future(cache.get("a", source.loader("a"))) for _ in range(100)]
    await asyncio.sleep(0)
    waiting[0].cancel()  # the client whose request began the load goes away
    await asyncio.sleep(0)
    source.let_go.set()

    assert await asyncio.gather(*waiting[1:]) == [b"A"] * 99
    assert source.loads["a"] == 1


async def test_a_failed_load_reaches_all_who_wait_and_is_tried_again(cache: Cache, source: Source) -> None:
    source.let_go.clear()
    waiting = [asyncio.ensure_future(cache.get("broken", source.loader("broken"))) for _ in range(3)]
    await asyncio.sleep(0)
    source.let_go.set()

    assert [type(error) for error in await asyncio.gather(*waiting, return_exceptions=True)] == [ConnectionError] * 3
    with pytest.raises(ConnectionError):
        await cache.get("broken", source.loader("broken"))
    assert source.loads["broken"] == 2


async def test_entries_written_together_expire_apart(cache: Cache, source: Source, clock: Clock) -> None:
    keys = [f"k{number}" for number in range(100)]
    reloaded = []
    for clock.now in (0, 79, 100, 121):
        before = source.loads.total()
        for key in keys:
            await cache.get(key, source.loader(key))
        reloaded.append(source.loads.total() - before)

    # All at first, none before 80 % of the lifetime, some but not all at 100 %.
    assert reloaded[:2] == [100, 0]
    assert 10 < reloaded[2] < 90
    # The rest by 120 %.
    assert set(source.loads.values()) == {2}


async def test_it_holds_no_more_than_its_bound_and_keeps_what_is_used(source: Source) -> None:
    cache = Cache(LocalStore(entries=10), Metrics(None), seconds=100)
    for number in range(1000):
        await cache.get("popular", source.loader("popular"))
        await cache.get(str(number), source.loader(str(number)))
    for number in range(991, 1000):
        await cache.get(str(number), source.loader(str(number)))
    await cache.get("0", source.loader("0"))

    assert source.loads["popular"] == 1
    assert all(source.loads[str(number)] == 1 for number in range(991, 1000))
    assert source.loads["0"] == 2


async def test_hits_and_misses_are_counted(source: Source) -> None:
    metrics = Metrics(None)
    cache = Cache(LocalStore(entries=10), metrics, seconds=100)
    for _ in range(3):
        await cache.get("a", source.loader("a"))
    metrics.write_tallies()

    assert b'cache_lookups_total{result="hit"} 2.0' in metrics.exposition()
    assert b'cache_lookups_total{result="miss"} 1.0' in metrics.exposition()


async def test_many_keys_are_one_load_of_what_is_missing(cache: Cache, source: Source) -> None:
    assert await cache.get_many(["a", "b"], source.load_many) == {"a": b"A", "b": b"B"}
    assert await cache.get_many(["b", "c", "absent"], source.load_many) == {"b": b"B", "c": b"C"}
    assert await cache.get_many(["a", "b", "c"], source.load_many) == {"a": b"A", "b": b"B", "c": b"C"}

    assert source.loads == {"a b": 1, "c absent": 1}


async def test_its_memory_stays_flat_however_many_keys_are_asked_for() -> None:
    cache = Cache(LocalStore(entries=100), Metrics(None), seconds=100)

    async def ask(first: int) -> int:
        for number in range(first, first + 500):
            await cache.get(str(number), lambda: asyncio.sleep(0, bytes(1000)))
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        early, late = await ask(0), await ask(500)
    finally:
        tracemalloc.stop()

    # 500 more values of 1,000 bytes; a hundred are kept.
    assert late - early < 100_000
