"""Carts: POST /carts, then PUT and DELETE of items, both idempotent.

A client or balancer whose connection broke can repeat an idempotent request, whether or not the first one arrived.
"""

from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from shop.domain.cart_stores import CartStore, path_of
from shop.domain.carts import MOST_OF_ONE, MOST_PRODUCTS, Cart, CartFullError
from shop.domain.catalogue import Catalogue
from shop.http import parameters
from shop.routes.products import product_or_404


class CartRoutes:
    """The routes of carts; the catalogue has the prices, the store the carts."""

    def __init__(self, catalogue: Catalogue, store: CartStore) -> None:
        self._catalogue = catalogue
        self._store = store
        item = "/carts/{cart}/items/{product}"
        self.routes = [
            Route("/carts", self._create, methods=["POST"]),
            Route("/carts/{cart}", self._show),
            Route("/carts/{cart}", self._delete, methods=["DELETE"]),
            Route(item, self._put_item, methods=["PUT"]),
            Route(item, self._delete_item, methods=["DELETE"]),
        ]

    async def _create(self, request: Request) -> Response:
        cart = Cart()
        await self._store.save(cart)
        response = await self._answer(request, cart, status=201)
        response.headers["Location"] = path_of(cart)
        return response

    async def _show(self, request: Request) -> Response:
        return await self._answer(request, await self._store.load(request))

    async def _delete(self, request: Request) -> Response:
        cart = await self._store.load(request)
        await self._store.delete(cart)
        response = Response(status_code=204)
        self._store.remove_from_client(cart, response)
        return response

    async def _put_item(self, request: Request) -> Response:
        cart = await self._store.load(request)
        quantity = (await parameters.json_object(request)).get("quantity")
        if type(quantity) is not int or not 1 <= quantity <= MOST_OF_ONE:
            raise HTTPException(400, f"quantity must be a whole number from 1 to {MOST_OF_ONE}, not {quantity!r}.")
        product = await product_or_404(self._catalogue, request.path_params["product"])
        try:
            changed = cart.with_product(product.id, quantity)
        except CartFullError:
            raise HTTPException(409, f"A cart holds at most {MOST_PRODUCTS} products; delete one first.") from None
        await self._store.save(changed)
        return await self._answer(request, changed)

    async def _delete_item(self, request: Request) -> Response:
        changed = (await self._store.load(request)).without_product(request.path_params["product"])
        await self._store.save(changed)
        return await self._answer(request, changed)

    async def _answer(self, request: Request, cart: Cart, *, status: int = 200) -> Response:
        response = JSONResponse(await self._content(cart), status)
        self._store.add_to_response(cart, request, response)
        return response

    async def _content(self, cart: Cart) -> dict[str, Any]:
        items: list[dict[str, Any]] = []
        total = 0
        products = await self._catalogue.products(cart.quantities)
        for product_id, quantity in cart.quantities.items():
            # A pod of another release may have added a product that is not in this catalogue.
            if product_id in products:
                price = products[product_id].price_cents
                items.append({"product": product_id, "quantity": quantity, "price_cents": price})
                total += quantity * price
        return {"id": cart.id, "version": cart.version, "items": items, "total_cents": total}
