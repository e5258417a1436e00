import os
import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.unit.sample_app.conftest import Connect

Lines = Callable[[], list[Any]]


async def test_labels_are_from_a_closed_set(client: httpx.AsyncClient) -> None:
    await client.get("/products/kettle-1l")
    await client.get("/products/cup-enamel")
    await client.get("/products/moon")
    await client.get("/wp-login.php")
    await client.request("BREW", "/products")

    lines = (await client.get("/metrics")).text.splitlines()
    assert sorted(line for line in lines if line.startswith("http_requests_total")) == [
        'http_requests_total{method="GET",route="/products/{product}",status="200"} 2.0',
        'http_requests_total{method="GET",route="/products/{product}",status="404"} 1.0',
        'http_requests_total{method="GET",route="unmatched",status="404"} 1.0',
        'http_requests_total{method="other",route="/products",status="405"} 1.0',
    ]
    assert 'http_request_duration_seconds_count{method="GET",route="/products/{product}"} 3.0' in lines
    assert "http_requests_in_flight 0.0" in lines, "a scrape is no demand"


async def test_each_request_leaves_one_line(connect: Connect, access_log: Lines) -> None:
    async with connect() as client:
        response = await client.get("/products/moon?a=b", headers={"X-Request-ID": "from-the-proxy.7"})

    assert response.headers["x-request-id"] == "from-the-proxy.7"
    (line,) = access_log()
    assert 0 < line.pop("duration_seconds") < 5
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00", line.pop("timestamp"))
    assert line == {
        "level": "INFO",
        "logger": "shop.access",
        "worker": os.getpid(),
        "message": "request",
        "request_id": "from-the-proxy.7",
        "client": "192.0.2.7",
        "method": "GET",
        "path": "/products/moon",
        "route": "/products/{product}",
        "status": 404,
    }


async def test_what_clients_write_cannot_break_a_line(connect: Connect, access_log: Lines) -> None:
    async with connect() as client:
        await client.get('/a"}%0A{%C3%A9\\')

    assert [line["path"] for line in access_log()] == ['/a"}\n{é\\']


@pytest.mark.parametrize("given", ["", "a b", "x" * 129, 'a"}', "a\tb"])
async def test_a_request_id_that_could_break_a_log_is_replaced(client: httpx.AsyncClient, given: str) -> None:
    first, second = [
        (await client.get("/health", headers={"X-Request-ID": given})).headers["x-request-id"] for _ in range(2)
    ]

    assert given not in (first, second)
    assert first != second
    assert first.isalnum()


@pytest.mark.parametrize(
    ("trusted", "client_address"),
    [
        ((), "192.0.2.7"),
        (("10.0.0.0/8",), "192.0.2.7"),
        (("192.0.2.0/24",), "198.51.100.1"),
    ],
)
async def test_forwarded_addresses_are_believed_from_trusted_proxies_alone(
    connect: Connect, access_log: Lines, trusted: tuple[str, ...], client_address: str
) -> None:
    # The first was written by the client, the last by the proxy.
    forwarded = {"X-Forwarded-For": "203.0.113.9, 198.51.100.1"}
    async with connect(trusted_proxies=trusted) as client:
        await client.get("/health", headers=forwarded)

    assert [line["client"] for line in access_log()] == [client_address]
