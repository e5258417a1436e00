import asyncio
from collections.abc import AsyncIterator, Callable

import httpx
import pytest

from shop.domain.suppliers import Offer, Suppliers
from shop.observation.metrics import Metrics
from shop.overload.breakers import FAILURES

Answer = Callable[[httpx.Request], httpx.Response]


class Network:
    """The suppliers' side, by host; counts who is asked, and how many at once."""

    def __init__(self) -> None:
        self.asked: list[httpx.Request] = []
        self.at_once = 0
        self.most_at_once = 0
        self.answers: dict[str, Answer] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await asyncio.sleep(0)
            return self.answers[request.url.host](request)
        finally:
            self.at_once -= 1


def price(cents: int) -> Answer:
    return lambda _request: httpx.Response(200, json={"price_cents": cents})


def silent(_request: httpx.Request) -> httpx.Response:
    raise httpx.ReadTimeout("")


@pytest.fixture
def network() -> Network:
    return Network()


@pytest.fixture
async def suppliers(network: Network, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Suppliers]:
    monkeypatch.setattr(
        httpx.AsyncHTTPTransport, "handle_async_request", lambda _self, request: network.handle_async_request(request)
    )
    made = Suppliers(("http://a.example", "http://b.example/shop/", "http://c.example"), Metrics(None))
    yield made
    await made.close()


async def test_the_answer_has_what_came_and_names_what_did_not(suppliers: Suppliers, network: Network) -> None:
    network.answers = {"a.example": price(100), "b.example": silent, "c.example": lambda _: httpx.Response(500)}

    assert await suppliers.offers("kettle 1l") == ([Offer("a.example", 100)], ["b.example", "c.example"])
    assert [str(request.url) for request in network.asked] == [
        "http://a.example/products/kettle%201l",
        "http://b.example/shop/products/kettle%201l",
        "http://c.example/products/kettle%201l",
    ]


async def test_who_does_not_have_the_product_has_answered(suppliers: Suppliers, network: Network) -> None:
    network.answers = {name: lambda _: httpx.Response(404) for name in ("a.example", "b.example", "c.example")}
    for _ in range(FAILURES + 1):
        assert await suppliers.offers("moon") == ([], [])

    assert len(network.asked) == 3 * (FAILURES + 1)


async def test_who_answers_nonsense_is_missing(suppliers: Suppliers, network: Network) -> None:
    network.answers = {
        "a.example": lambda _: httpx.Response(200, text="<html>"),
        "b.example": lambda _: httpx.Response(200, json=[]),
        "c.example": price(7),
    }

    assert await suppliers.offers("a") == ([Offer("c.example", 7)], ["a.example", "b.example"])


async def test_who_is_down_is_not_asked_for_a_while(suppliers: Suppliers, network: Network) -> None:
    network.answers = {"a.example": price(100), "b.example": silent, "c.example": price(300)}
    answers = [await suppliers.offers("a") for _ in range(FAILURES + 3)]

    assert all(answer == ([Offer("a.example", 100), Offer("c.example", 300)], ["b.example"]) for answer in answers)
    assert len([request for request in network.asked if request.url.host == "b.example"]) == FAILURES


async def test_a_burst_does_not_multiply(suppliers: Suppliers, network: Network) -> None:
    network.answers = dict.fromkeys(("a.example", "b.example", "c.example"), price(1))
    await asyncio.gather(*(suppliers.offers("a") for _ in range(50)))

    assert len(network.asked) == 150
    assert network.most_at_once == 32
