"""The cache in Redis: one for all workers of all pods, so a new pod starts with a warm one.

Imported only where Redis is configured. A cache may never be the reason for an error or a wait:

- Time limits are far below what the database would take, and one short retry covers a connection
  that the server closed meanwhile.
- Five failures in a row open a circuit breaker. For some seconds Redis is not even asked, and the
  worker's own memory is the cache; then one request tries again.
- Several keys are one MGET; several values are one pipeline, since MSET knows no lifetimes.
"""

from collections.abc import Callable, Collection, Mapping
from typing import cast

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import RedisError

from shop.data.cache import Store
from shop.overload.breakers import Breaker, OpenError

_CONNECTIONS = 10
_SECONDS = 0.25
# The layout of entries has a number: pods of two releases share one Redis in a rolling update.
_PREFIX = "shop:1:"


class RedisStore:
    """Values in Redis, and in `fallback` while Redis is away."""

    def __init__(self, url: str, breaker: Breaker, fallback: Store) -> None:
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=_CONNECTIONS,
            timeout=_SECONDS,
            socket_timeout=_SECONDS,
            socket_connect_timeout=_SECONDS,
            retry=Retry(ExponentialWithJitterBackoff(cap=0.05, base=0.01), retries=1),
        )
        self._redis = Redis.from_pool(pool)
        self._breaker = breaker
        self._fallback = fallback

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()

    async def get(self, keys: Collection[str]) -> dict[str, bytes]:
        """Return those that are there."""
        wanted = list(keys)
        try:
            with self._breaker.guarded():
                values = cast(list[bytes | None], await self._redis.mget([_PREFIX + key for key in wanted]))
        except (RedisError, OpenError):
            return await self._fallback.get(keys)
        return {key: value for key, value in zip(wanted, values, strict=True) if value is not None}

    async def set(self, values: Mapping[str, bytes], lifetime: Callable[[], float]) -> None:
        """Keep each, and leave it to Redis to forget them."""
        try:
            with self._breaker.guarded():
                async with self._redis.pipeline(transaction=False) as pipeline:
                    for key, value in values.items():
                        pipeline.set(_PREFIX + key, value, px=max(1, round(lifetime() * 1000)))
                    await pipeline.execute()
        except (RedisError, OpenError):
            await self._fallback.set(values, lifetime)
