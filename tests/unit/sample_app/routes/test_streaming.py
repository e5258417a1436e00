from collections.abc import AsyncIterator

import httpx
import pytest

from tests.unit.sample_app.conftest import Connect

MEBIBYTE = 1024 * 1024
SIZE = 256


async def test_no_more_of_an_upload_is_taken_than_the_limit(connect: Connect) -> None:
    taken = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal taken
        while True:
            taken += MEBIBYTE
            yield bytes(MEBIBYTE)

    async with connect(upload_mebibytes=3) as client:
        response = await client.post("/uploads", content=endless())

    assert response.status_code == 413
    assert response.json()["detail"] == "The body must be at most 3 MiB."
    assert taken <= 4 * MEBIBYTE


@pytest.mark.parametrize("encoding", ["gzip", "br", "zstd"])
async def test_an_answer_over_a_kibibyte_is_compressed_as_the_client_can(
    client: httpx.AsyncClient, encoding: str
) -> None:
    plain = await client.get("/products?limit=100", headers={"Accept-Encoding": "identity"})
    request = client.build_request("GET", "/products?limit=100", headers={"Accept-Encoding": encoding})
    response = await client.send(request, stream=True)
    compressed = b"".join([piece async for piece in response.aiter_raw()])

    assert len(plain.content) > 1024
    assert response.headers["content-encoding"] == encoding
    assert "accept-encoding" in response.headers["vary"].lower()
    assert len(compressed) < len(plain.content) / 2


async def test_a_small_answer_is_sent_as_it_is(client: httpx.AsyncClient) -> None:
    response = await client.get("/products/kettle-1l", headers={"Accept-Encoding": "gzip, br, zstd"})

    assert "content-encoding" not in response.headers
