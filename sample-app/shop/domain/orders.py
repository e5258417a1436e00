"""A cart becomes an order: exactly once, completely or not at all.

- One transaction: an order without its items never exists.
- Idempotent by the id of the cart, which is unique among orders: a client that did not receive the answer repeats the
  request, and gets the existing order.
- Prices are read inside the transaction, not from the cache.
- All items are one INSERT: bulk writes are slow with a round trip for each row.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from shop.data.database import Connection, Database
from shop.domain.carts import Cart
from shop.domain.catalogue import products_by_id


@dataclass(frozen=True)
class OrderItem:
    """One product of an order, with the price at the time of the order."""

    product: str
    quantity: int
    price_cents: int


@dataclass(frozen=True)
class Order:
    """An order; `total_cents` is the sum of its items."""

    id: str
    total_cents: int
    items: Sequence[OrderItem]


class EmptyOrderError(ValueError):
    """No product of the cart exists."""


class Orders:
    """The orders of the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def order(self, order_id: str) -> Order | None:
        """Return the order with this id, None if there is none."""
        return await self._found("id", order_id)

    async def of_cart(self, cart_id: str) -> Order | None:
        """Return the order of this cart, None if it was not ordered."""
        return await self._found("cart", cart_id)

    async def place(self, cart: Cart) -> tuple[Order, bool]:
        """Return the order of the cart, and whether it is new; raises `EmptyOrderError`."""
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
