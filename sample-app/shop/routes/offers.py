"""Offers: the prices of other shops for a product."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from shop.domain.catalogue import Catalogue
from shop.routes.products import product_or_404

if TYPE_CHECKING:
    from shop.domain.suppliers import Suppliers


def routes(catalogue: Catalogue, suppliers: Suppliers | None) -> list[Route]:
    """Return the route of offers; without suppliers it answers with an empty list."""

    async def show_offers(request: Request) -> Response:
        product = await product_or_404(catalogue, request.path_params["product"])
        offers, missing = ([], []) if suppliers is None else await suppliers.offers(product.id)
        return JSONResponse({"offers": [asdict(offer) for offer in offers], "missing": missing})

    return [Route("/products/{product}/offers", show_offers)]
