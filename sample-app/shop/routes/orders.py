"""Orders: POST /carts/{cart}/order, which is idempotent, and GET /orders/{order}."""

from dataclasses import asdict

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from shop.domain.cart_stores import CartStore
from shop.domain.orders import EmptyOrderError, Order, Orders
from shop.observation.metrics import Metrics


def routes(orders: Orders, carts: CartStore, metrics: Metrics) -> list[Route]:
    """Return the routes of orders."""

    async def place_order(request: Request) -> Response:
        try:
            cart = await carts.load(request)
        except HTTPException:
            # A client that did not receive the answer repeats the request: its cart is deleted, and the order exists.
            placed = await orders.of_cart(request.path_params["cart"])
            if placed is None:
                raise
            return _answer(placed)
        try:
            order, is_new = await orders.place(cart)
        except EmptyOrderError:
            raise HTTPException(409, "The cart is empty; put a product into it first.") from None
        metrics.orders.inc(is_new)
        response = _answer(order, status=201 if is_new else 200)
        carts.remove_from_client(cart, response)
        return response

    async def show_order(request: Request) -> Response:
        order_id = request.path_params["order"]
        order = await orders.order(order_id)
        if order is None:
            raise HTTPException(404, f"There is no order {order_id!r}.")
        return _answer(order)

    return [Route("/carts/{cart}/order", place_order, methods=["POST"]), Route("/orders/{order}", show_order)]


def _answer(order: Order, *, status: int = 200) -> Response:
    return JSONResponse(asdict(order), status, headers={"Location": f"/orders/{order.id}"})
