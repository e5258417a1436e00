from typing import Any

import httpx
import pytest

from shop.domain.catalogue import Catalogue, Product, bundled_products
from tests.unit.sample_app.conftest import Connect


async def every_page(client: httpx.AsyncClient, url: str | None) -> list[list[str]]:
    pages = []
    while url is not None:
        page = (await client.get(url)).json()
        pages.append([item["id"] for item in page["items"]])
        url = page["next"]
    return pages


@pytest.mark.parametrize("limit", [1, 7, 8, 23, 24, 100])
async def test_the_pages_together_hold_each_product_once_in_order(client: httpx.AsyncClient, limit: int) -> None:
    pages = await every_page(client, f"/products?limit={limit}")

    assert [product for page in pages for product in page] == sorted(product.id for product in bundled_products())
    assert all(len(page) == limit for page in pages[:-1])
    assert pages[-1]  # no empty page at the end, also where the limit divides the number of products


async def test_a_category_is_kept_from_page_to_page(client: httpx.AsyncClient) -> None:
    pages = await every_page(client, "/products?category=books&limit=3")

    assert pages == [["book-gardening", "book-maps", "book-networks"], ["book-queues"]]


async def test_one_product(client: httpx.AsyncClient) -> None:
    response = await client.get("/products/kettle-1l")

    assert response.json() == {
        "id": "kettle-1l",
        "name": "Kettle, 1 litre",
        "category": "kitchen",
        "price_cents": 5400,
    }


async def test_a_page_is_read_from_the_catalogue_once(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    reads = []
    page = Catalogue.page

    async def counted_page(self: Catalogue, **wanted: Any) -> list[Product]:
        reads.append(wanted)
        return await page(self, **wanted)

    monkeypatch.setattr(Catalogue, "page", counted_page)
    async with connect() as client:
        # The same page, however it is asked for.
        for url in ("/products?limit=5&category=home", "/products?category=home&limit=05", "/products?limit=6"):
            await client.get(url)

    assert [wanted["category"] for wanted in reads] == ["home", None]
