"""The least that answers as the sample app's catalogue does: what Starlette and the server cost by themselves."""

import json
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

PRODUCTS = json.loads((Path(__file__).parents[2] / "sample-app/shop/domain/products.json").read_text())
BY_ID = {product["id"]: product for product in PRODUCTS}


async def list_products(_request: Request) -> Response:
    """The first page, encoded once, as the sample app's cache has it."""
    return Response(PAGE, media_type="application/json")


async def show_product(request: Request) -> Response:
    """One product, encoded for each request."""
    return JSONResponse(BY_ID[request.path_params["product"]])


PAGE = JSONResponse({"items": PRODUCTS[:10], "next": f"/products?limit=10&after={PRODUCTS[9]['id']}"}).body
app = Starlette(routes=[Route("/products", list_products), Route("/products/{product}", show_product)])
