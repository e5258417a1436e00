"""Bounded fan-out: concurrent calls of several suppliers, and an answer from those that reply in time.

- Concurrent: the total time is that of the slowest call, not the sum of all.
- Bounded: a worker has at most 32 calls in progress. A fan-out multiplies load: without a bound, a hundred requests
  become a thousand connections.
- A time limit for each call, and a circuit breaker for each supplier.
- Degraded instead of failed: the answer names the suppliers that are missing.

A supplier is another shop, and the call is its GET /products/{id}. Imported only if suppliers are configured.
"""

import asyncio
from dataclasses import dataclass
from urllib.parse import quote

import httpx

from shop.http import request_id
from shop.observation.metrics import Metrics
from shop.overload.breakers import Breaker, OpenError

_MAX_CALLS = 32
_TIMEOUT_SECONDS = 2.0


@dataclass(frozen=True)
class Offer:
    """The price of one supplier."""

    supplier: str
    price_cents: int


class Suppliers:
    """The other shops, by their URLs."""

    def __init__(self, urls: tuple[str, ...], metrics: Metrics) -> None:
        # Suppliers are named by host and port: a URL may contain a password.
        self._urls = {httpx.URL(url).netloc.decode(): url.rstrip("/") for url in urls}
        self._breakers = {name: Breaker(name, metrics) for name in self._urls}
        self._calls = asyncio.Semaphore(_MAX_CALLS)
        self.client = httpx.AsyncClient(
            timeout=_TIMEOUT_SECONDS,
            limits=httpx.Limits(max_connections=_MAX_CALLS, max_keepalive_connections=_MAX_CALLS),
            trust_env=False,
        )

    async def offers(self, product_id: str) -> tuple[list[Offer], list[str]]:
        """Return the offers for a product, and the names of the suppliers that did not reply."""
        answers = await asyncio.gather(*(self._offer(name, product_id) for name in self._urls))
        missing = [name for name, answer in zip(self._urls, answers, strict=True) if answer is None]
        offers = [Offer(name, price) for name, price in zip(self._urls, answers, strict=True) if price]
        return offers, missing

    async def close(self) -> None:
        """Close the connections."""
        await self.client.aclose()

    async def _offer(self, name: str, product_id: str) -> int | None:
        """Return the price in cents of a supplier: 0 if it does not sell the product, None if it does not reply."""
        url = f"{self._urls[name]}/products/{quote(product_id, safe='')}"
        try:
            async with self._calls:
                with self._breakers[name].guarded():
                    response = await self.client.get(url, headers={"X-Request-ID": request_id.current()})
                    if response.status_code == 404:
                        return 0
                    return int(response.raise_for_status().json()["price_cents"])
        except (httpx.HTTPError, OpenError, ValueError, KeyError, TypeError):
            return None
