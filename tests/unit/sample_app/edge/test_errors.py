import json
import logging
from collections.abc import AsyncIterator

import httpx
import pytest

from shop.domain.catalogue import Catalogue
from tests.unit.sample_app.conftest import Connect


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("/products?limit=0", ("limit", "from 1 to 100", "'0'")),
        ("/products?limit=101", ("limit", "from 1 to 100")),
        ("/products?limit=ten", ("limit", "from 1 to 100", "'ten'")),
        ("/products?limit=%C2%B2", ("limit",)),
        ("/products?limit=" + "9" * 5000, ("limit",)),
        ("/products?category=cars", ("category", "books, home, kitchen, outdoor", "'cars'")),
        ("/cpu?milliseconds=0", ("milliseconds", "from 1 to 1000")),
        ("/cpu?milliseconds=1001", ("milliseconds", "from 1 to 1000")),
        ("/slow?seconds=30.1", ("seconds", "from 0 to 30")),
        ("/slow?seconds=-1", ("seconds", "from 0 to 30")),
        ("/slow?seconds=nan", ("seconds", "from 0 to 30")),
        ("/slow?seconds=soon", ("seconds", "from 0 to 30", "'soon'")),
    ],
)
async def test_a_wrong_parameter_is_named_with_what_is_allowed(
    client: httpx.AsyncClient, url: str, words: tuple[str, ...]
) -> None:
    response = await client.get(url)

    assert response.status_code == 400
    assert response.headers["content-type"] == "application/problem+json"
    assert all(word in response.json()["detail"] for word in words)


@pytest.mark.parametrize("path", ["/nowhere", "/", "/products/", "/leak"])
async def test_an_unknown_path_is_answered_in_json(client: httpx.AsyncClient, path: str) -> None:
    response = await client.get(path)

    assert response.status_code == 404
    assert response.json()["detail"] == f"There is no {path}."


async def test_a_wrong_method_is_answered_with_all_that_the_path_takes(client: httpx.AsyncClient) -> None:
    response = await client.patch("/carts/1")

    assert response.status_code == 405
    assert response.headers["allow"] == "DELETE, GET, HEAD"
    assert response.json()["detail"] == "/carts/1 takes DELETE, GET, HEAD, not PATCH."


async def test_a_bug_gives_no_secret_away_and_is_found_by_the_request_id(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*_args: object, **_wanted: object) -> None:
        raise RuntimeError("password=1234")

    monkeypatch.setattr(Catalogue, "page", broken)
    async with connect() as client:
        with caplog.at_level(logging.ERROR, logger="shop"):
            response = await client.get("/products")

    assert response.status_code == 500
    assert "1234" not in response.text
    (record,) = [record for record in caplog.records if record.name == "shop.problems"]
    assert response.json()["request_id"] == response.headers["x-request-id"] == record.__dict__["request_id"]
    assert "1234" in caplog.text


@pytest.mark.parametrize("body", ["", "{", "[]", '"2"', "\xff"])
async def test_a_body_that_is_no_object_is_refused(client: httpx.AsyncClient, body: str) -> None:
    cart = await client.post("/carts")

    response = await client.put(f"{cart.headers['location']}/items/kettle-1l", content=body.encode("latin-1"))

    assert response.status_code == 400
    assert response.json()["detail"] == "The body must be a JSON object."


async def test_no_more_of_a_body_is_taken_than_the_limit(client: httpx.AsyncClient) -> None:
    cart = await client.post("/carts")
    taken = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal taken
        while True:
            taken += 4096
            yield b" " * 4096

    response = await client.put(f"{cart.headers['location']}/items/kettle-1l", content=endless())

    assert response.status_code == 413
    assert "16384 bytes" in response.json()["detail"]
    assert taken <= 16384 + 4096


@pytest.mark.parametrize("quantity", [0, 100, -1, 1.5, "2", True, None])
async def test_a_wrong_quantity_is_refused(client: httpx.AsyncClient, quantity: object) -> None:
    cart = await client.post("/carts")

    response = await client.put(
        f"{cart.headers['location']}/items/kettle-1l", content=json.dumps({"quantity": quantity})
    )

    assert response.status_code == 400
    assert "quantity must be a whole number from 1 to 99" in response.json()["detail"]
