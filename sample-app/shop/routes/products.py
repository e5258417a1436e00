"""Products: pages, single products, the most viewed ones, and an export of all.

The cache stores encoded answers: a hit costs neither a query nor the encoding of JSON.
"""

import json
from collections.abc import AsyncIterator
from dataclasses import asdict
from functools import partial
from urllib.parse import urlencode

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from shop.data.cache import Cache
from shop.domain.catalogue import Catalogue, Product
from shop.domain.views import Views
from shop.http import parameters


async def product_or_404(catalogue: Catalogue, product_id: str) -> Product:
    """Return a product; raises HTTPException 404."""
    found = await catalogue.products([product_id])
    if product_id not in found:
        raise no_product(product_id)
    return found[product_id]


def no_product(product_id: str) -> HTTPException:
    """Return the 404 of an id that is not in the catalogue."""
    return HTTPException(404, f"There is no product {product_id!r}; GET /products lists them.")


def routes(catalogue: Catalogue, answers: Cache, views: Views) -> list[Route]:
    """Return the routes of the catalogue."""

    async def list_products(request: Request) -> Response:
        limit = parameters.whole_number(request, "limit", default=10, minimum=1, maximum=100)
        query = parameters.query(request)
        after, category = query.get("after", ""), query.get("category")
        if category is not None and category not in (known := await catalogue.categories()):
            raise HTTPException(400, f"category must be one of {', '.join(known)}, not {category!r}.")

        # Of parsed values, so that one page has one key however the client writes them. Arbitrary text comes last.
        key = f"page:{limit}:{category or ''}:{after}"
        page = partial(_encoded_page, catalogue, category=category, after=after, limit=limit)
        return Response(await answers.get(key, page), media_type="application/json")

    async def show_product(request: Request) -> Response:
        product_id = request.path_params["product"]
        encoded = (await catalogue.encoded([product_id])).get(product_id)
        if encoded is None:
            raise no_product(product_id)
        views.note(product_id)
        return Response(encoded, media_type="application/json")

    async def list_popular(request: Request) -> Response:
        limit = parameters.whole_number(request, "limit", default=10, minimum=1, maximum=100)
        found = await views.most_viewed(limit)
        return JSONResponse({"items": [{"product": product_id, "views": number} for product_id, number in found]})

    async def export(_request: Request) -> Response:
        async def lines() -> AsyncIterator[bytes]:
            async for page in catalogue.pages():
                yield "".join(f"{json.dumps(asdict(product))}\n" for product in page).encode()

        return StreamingResponse(lines(), media_type="application/x-ndjson")

    return [
        Route("/products", list_products),
        Route("/products/{product}", show_product),
        Route("/popular", list_popular),
        Route("/exports/products", export),
    ]


async def _encoded_page(catalogue: Catalogue, *, category: str | None, after: str, limit: int) -> bytes:
    # One more than requested shows whether there is a next page.
    found = await catalogue.page(category=category, after=after, limit=limit + 1)
    items = found[:limit]
    query = {"limit": limit, "after": items[-1].id} if len(found) > limit else None
    if query is not None and category is not None:
        query["category"] = category
    following = None if query is None else f"/products?{urlencode(query)}"
    return bytes(JSONResponse({"items": [asdict(item) for item in items], "next": following}).body)
