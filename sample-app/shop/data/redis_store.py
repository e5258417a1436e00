"""The cache in Redis: one for all workers of all pods, so a new pod starts with a warm cache.

Imported only if Redis is configured. A cache must never cause an error or a long wait:

- Time limits are far below the time of a query, and one short retry covers a connection that the server has closed.
- Five failures in a row open a circuit breaker. While it is open, Redis is not called, and the memory of the worker is
  the cache.
- Several keys are one MGET. Several values are one pipeline, since MSET has no lifetimes.
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
# The version of the layout: during a rolling update, pods of two releases share one Redis.
_PREFIX = "shop:1:"


class RedisStore:
    """Values in Redis, and in `fallback` while Redis is unavailable."""

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
        """Return the values that Redis has, or those of the fallback."""
        wanted = list(keys)
        try:
            with self._breaker.guarded():
                values = cast(list[bytes | None], await self._redis.mget([_PREFIX + key for key in wanted]))
        except (RedisError, OpenError):
            return await self._fallback.get(keys)
        return {key: value for key, value in zip(wanted, values, strict=True) if value is not None}

    async def set(self, values: Mapping[str, bytes], lifetime: Callable[[], float]) -> None:
        """Store each value with its lifetime, after which Redis removes it."""
        try:
            with self._breaker.guarded():
                async with self._redis.pipeline(transaction=False) as pipeline:
                    for key, value in values.items():
                        pipeline.set(_PREFIX + key, value, px=max(1, round(lifetime() * 1000)))
                    await pipeline.execute()
        except (RedisError, OpenError):
            await self._fallback.set(values, lifetime)
