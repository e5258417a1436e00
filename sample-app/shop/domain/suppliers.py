"""Bounded fan-out: one question to several suppliers at once, answered with what came in time.

- At once: the wait is that for the slowest and not the sum.
- Bounded: at most so many calls of a worker are under way, whatever clients send. A fan-out
  multiplies load; without a bound, a hundred requests become a thousand connections.
- A time limit for each call, and a circuit breaker for each supplier.
- Degraded, not failed: the answer names who is missing, and comes without them.

A supplier is another shop: what is asked is its GET /products/{id}. Imported only where there are any.
"""

import asyncio
from dataclasses import dataclass
from urllib.parse import quote

import httpx

from shop.http import request_id
from shop.observation.metrics import Metrics
from shop.overload.breakers import Breaker, OpenError

_AT_ONCE = 32
_SECONDS = 2.0


@dataclass(frozen=True)
class Offer:
    """What one supplier says."""

    supplier: str
    price_cents: int


class Suppliers:
    """The other shops, by their URLs."""

    def __init__(self, urls: tuple[str, ...], metrics: Metrics) -> None:
        # Called by name: a URL may hold a password.
        self._urls = {httpx.URL(url).netloc.decode(): url.rstrip("/") for url in urls}
        self._breakers = {name: Breaker(name, metrics) for name in self._urls}
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self.client = httpx.AsyncClient(
            timeout=_SECONDS,
            limits=httpx.Limits(max_connections=_AT_ONCE, max_keepalive_connections=_AT_ONCE),
            trust_env=False,
        )

    async def offers(self, product_id: str) -> tuple[list[Offer], list[str]]:
        """Return the offers for a product, and who did not say."""
        answers = await asyncio.gather(*(self._offer(name, product_id) for name in self._urls))
        missing = [name for name, answer in zip(self._urls, answers, strict=True) if answer is None]
        offers = [Offer(name, price) for name, price in zip(self._urls, answers, strict=True) if price]
        return offers, missing

    async def close(self) -> None:
        """Close the connections."""
        await self.client.aclose()

    async def _offer(self, name: str, product_id: str) -> int | None:
        """Return a supplier's price, 0 where it does not have the product, None where it does not say."""
        url = f"{self._urls[name]}/products/{quote(product_id, safe='')}"
        try:
            async with self._turns:
                with self._breakers[name].guarded():
                    response = await self.client.get(url, headers={"X-Request-ID": request_id.current()})
                    if response.status_code == 404:
                        return 0
                    return int(response.raise_for_status().json()["price_cents"])
        except (httpx.HTTPError, OpenError, ValueError, KeyError, TypeError):
            return None
