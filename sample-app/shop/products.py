"""The product list: read often, changed rarely, so cached, in pages.

A page begins after the last product of the one before (`after=<id>`) and not at a row number:
with an index its cost is the same on every page, and a product added meanwhile shifts nothing.
What is cached is the encoded answer, so that a hit costs neither a query nor the JSON.
"""

import bisect
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlencode

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from shop import parameters
from shop.cache import Cache


@dataclass(frozen=True)
class Product:
    """Money is in cents: floats lose some."""

    id: str
    name: str
    category: str
    price_cents: int


class Catalogue:
    """The products that come with the app, in the order of their ids."""

    def __init__(self, products: Sequence[Product]) -> None:
        self._products = sorted(products, key=lambda product: product.id)
        self._by_id = {product.id: product for product in products}
        self.categories = sorted({product.category for product in products})

    async def product(self, product_id: str) -> Product | None:
        """Return one product, if there is such."""
        return self._by_id.get(product_id)

    async def page(self, *, category: str | None, after: str, limit: int) -> list[Product]:
        """Return up to `limit` products whose ids come after `after`."""
        start = bisect.bisect_right(self._products, after, key=lambda product: product.id)
        rest = self._products[start:]
        return [product for product in rest if category in (None, product.category)][:limit]


def bundled_catalogue() -> Catalogue:
    """Return what products.json holds."""
    rows = json.loads(Path(__file__).with_name("products.json").read_text(encoding="utf-8"))
    return Catalogue([Product(**row) for row in rows])


def routes(catalogue: Catalogue, answers: Cache[str, bytes]) -> list[Route]:
    """Return the routes that read the catalogue."""

    async def list_products(request: Request) -> Response:
        limit = parameters.whole_number(request, "limit", default=10, minimum=1, maximum=100)
        after = request.query_params.get("after", "")
        category = request.query_params.get("category")
        if category is not None and category not in catalogue.categories:
            raise HTTPException(400, f"category must be one of {', '.join(catalogue.categories)}, not {category!r}.")

        async def encoded_page() -> bytes:
            # One more than asked tells whether there is a next page.
            found = await catalogue.page(category=category, after=after, limit=limit + 1)
            items = found[:limit]
            query = {"limit": limit, "after": items[-1].id} if len(found) > limit else None
            if query is not None and category is not None:
                query["category"] = category
            following = None if query is None else f"/products?{urlencode(query)}"
            return bytes(JSONResponse({"items": [asdict(item) for item in items], "next": following}).body)

        # From the checked values, so that one page has one key however the client writes it.
        key = json.dumps(["page", category, after, limit])
        return Response(await answers.get(key, encoded_page), media_type="application/json")

    async def show_product(request: Request) -> Response:
        product_id = request.path_params["product"]

        async def encoded_product() -> bytes:
            product = await catalogue.product(product_id)
            if product is None:
                raise HTTPException(404, f"There is no product {product_id!r}; GET /products lists them.")
            return bytes(JSONResponse(asdict(product)).body)

        key = json.dumps(["product", product_id])
        return Response(await answers.get(key, encoded_product), media_type="application/json")

    return [Route("/products", list_products), Route("/products/{product}", show_product)]
