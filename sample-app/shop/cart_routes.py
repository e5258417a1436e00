"""The cart's resource: POST /carts, then its items by PUT and DELETE, both idempotent.

An idempotent request can be sent again by a client or a balancer that saw a connection die
without asking whether the first try arrived.
"""

from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from shop import parameters
from shop.carts import KEPT_SECONDS, MOST_OF_ONE, MOST_PRODUCTS, Cart, CartFullError, CartTokens, CartUnreadableError
from shop.products import Catalogue

_COOKIE = "cart"


class CartRoutes:
    """The routes of carts, over the catalogue that prices them and the tokens that hold them."""

    def __init__(self, catalogue: Catalogue, tokens: CartTokens) -> None:
        self._catalogue = catalogue
        self._tokens = tokens
        item = "/carts/{cart}/items/{product}"
        self.routes = [
            Route("/carts", self._create, methods=["POST"]),
            Route("/carts/{cart}", self._show),
            Route("/carts/{cart}", self._forget, methods=["DELETE"]),
            Route(item, self._put_item, methods=["PUT"]),
            Route(item, self._delete_item, methods=["DELETE"]),
        ]

    async def _create(self, request: Request) -> Response:
        cart = Cart()
        response = await self._answer(request, cart, status=201)
        response.headers["Location"] = _path(cart)
        return response

    async def _show(self, request: Request) -> Response:
        return await self._answer(request, self._sent_cart(request))

    async def _forget(self, request: Request) -> Response:
        response = Response(status_code=204)
        response.delete_cookie(_COOKIE, path=_path(self._sent_cart(request)), httponly=True, samesite="lax")
        return response

    async def _put_item(self, request: Request) -> Response:
        cart = self._sent_cart(request)
        quantity = (await parameters.json_object(request)).get("quantity")
        if type(quantity) is not int or not 1 <= quantity <= MOST_OF_ONE:
            raise HTTPException(400, f"quantity must be a whole number from 1 to {MOST_OF_ONE}, not {quantity!r}.")
        product_id = request.path_params["product"]
        if await self._catalogue.product(product_id) is None:
            raise HTTPException(404, f"There is no product {product_id!r}; GET /products lists them.")
        try:
            changed = cart.with_product(product_id, quantity)
        except CartFullError:
            raise HTTPException(409, f"A cart holds at most {MOST_PRODUCTS} products; delete one first.") from None
        return await self._answer(request, changed)

    async def _delete_item(self, request: Request) -> Response:
        changed = self._sent_cart(request).without_product(request.path_params["product"])
        return await self._answer(request, changed)

    def _sent_cart(self, request: Request) -> Cart:
        wanted = request.path_params["cart"]
        token = request.cookies.get(_COOKIE)
        if token is None:
            raise HTTPException(404, f"Cart {wanted!r} is kept in a cookie: send the one that POST /carts set.")
        try:
            cart = self._tokens.cart(token)
        except CartUnreadableError as error:
            raise HTTPException(400, f"The cookie {_COOKIE!r} {error}; POST /carts starts anew.") from None
        if cart.id != wanted:
            raise HTTPException(404, f"The cookie {_COOKIE!r} holds another cart than {wanted!r}.")
        return cart

    async def _answer(self, request: Request, cart: Cart, *, status: int = 200) -> Response:
        response = JSONResponse(await self._content(cart), status)
        response.set_cookie(
            _COOKIE,
            self._tokens.token(cart),
            max_age=KEPT_SECONDS,
            path=_path(cart),
            secure=request.url.scheme == "https",
            httponly=True,
            samesite="lax",
        )
        return response

    async def _content(self, cart: Cart) -> dict[str, Any]:
        items: list[dict[str, Any]] = []
        total = 0
        for product_id, quantity in cart.quantities.items():
            product = await self._catalogue.product(product_id)
            # Another release's pod may have sold what this one's catalogue lacks.
            if product is not None:
                items.append({"product": product_id, "quantity": quantity, "price_cents": product.price_cents})
                total += quantity * product.price_cents
        return {"id": cart.id, "version": cart.version, "items": items, "total_cents": total}


def _path(cart: Cart) -> str:
    return f"/carts/{cart.id}"
