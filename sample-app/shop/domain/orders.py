"""A cart becomes an order: once, whole or not at all, however often it is asked.

- One transaction: an order without its items never exists.
- Idempotent by the cart's id, which is unique among orders: a client that did not hear the answer
  sends the request again, and gets the order that is there.
- Prices are read inside the transaction, not from the cache.
- All items are one INSERT: a round trip for each is what makes bulk writes slow.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from shop.data.database import Connection, Database
from shop.domain.carts import Cart
from shop.domain.catalogue import products_by_id


@dataclass(frozen=True)
class OrderItem:
    """The price is what it was at that moment."""

    product: str
    quantity: int
    price_cents: int


@dataclass(frozen=True)
class Order:
    """What was bought."""

    id: str
    total_cents: int
    items: Sequence[OrderItem]


class EmptyOrderError(ValueError):
    """Nothing of the cart can be bought."""


class Orders:
    """The orders of the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def order(self, order_id: str) -> Order | None:
        """Return an order by its id."""
        return await self._found("id", order_id)

    async def of_cart(self, cart_id: str) -> Order | None:
        """Return what became of a cart."""
        return await self._found("cart", cart_id)

    async def place(self, cart: Cart) -> tuple[Order, bool]:
        """Return the order that the cart becomes, and whether it is new."""
        async with self._database.transaction() as connection:
            products = await products_by_id(connection, list(cart.quantities)) if cart.quantities else []
            items = [OrderItem(product.id, cart.quantities[product.id], product.price_cents) for product in products]
            if not items:
                raise EmptyOrderError
            total = sum(item.quantity * item.price_cents for item in items)
            order = Order(uuid.uuid4().hex, total, items)
            sql = "INSERT INTO orders (id, cart, total_cents) VALUES ($1, $2, $3) ON CONFLICT (cart) DO NOTHING"
            if await connection.rows(f"{sql} RETURNING id", order.id, cart.id, total):
                await _insert_items(connection, order)
                await connection.rows("DELETE FROM carts WHERE id = $1", cart.id)
                return order, True
        placed = await self.of_cart(cart.id)
        assert placed is not None, "the conflict was with it"  # noqa: S101
        return placed, False

    async def _found(self, column: str, value: str) -> Order | None:
        sql = (
            "SELECT orders.id, total_cents, product, quantity, price_cents FROM orders"  # noqa: S608 - `column` is ours
            f" JOIN order_items ON order_id = orders.id WHERE orders.{column} = $1 ORDER BY product"
        )
        rows = await self._database.rows(sql, value)
        if not rows:
            return None
        items = [OrderItem(row["product"], row["quantity"], row["price_cents"]) for row in rows]
        return Order(rows[0]["id"], rows[0]["total_cents"], items)


async def _insert_items(connection: Connection, order: Order) -> None:
    values: list[object] = [order.id]
    places = []
    for item in order.items:
        places.append(f"($1, ${len(values) + 1}, ${len(values) + 2}, ${len(values) + 3})")
        values += [item.product, item.quantity, item.price_cents]
    sql = f"INSERT INTO order_items (order_id, product, quantity, price_cents) VALUES {', '.join(places)}"  # noqa: S608
    await connection.rows(sql, *values)
