"""The tables, made where they are missing.

One statement list for both databases. A change of a table in use would come as a further statement
that old pods can live with, since both releases run during a rolling update.
"""

from shop.data.database import Connection, Server
from shop.domain.catalogue import bundled_products, insert_products

_TABLES = (
    """CREATE TABLE IF NOT EXISTS products (
        id TEXT {bytewise} PRIMARY KEY,
        name TEXT NOT NULL,
        category TEXT NOT NULL,
        price_cents INTEGER NOT NULL
    )""",
    "CREATE INDEX IF NOT EXISTS products_by_category ON products (category, id)",
    """CREATE TABLE IF NOT EXISTS product_views (
        product TEXT {bytewise} PRIMARY KEY,
        views BIGINT NOT NULL
    )""",
    """CREATE TABLE IF NOT EXISTS carts (
        id TEXT PRIMARY KEY,
        version INTEGER NOT NULL,
        quantities TEXT NOT NULL,
        expires_at BIGINT NOT NULL
    )""",
    "CREATE INDEX IF NOT EXISTS carts_by_expiry ON carts (expires_at)",
    """CREATE TABLE IF NOT EXISTS orders (
        id TEXT PRIMARY KEY,
        cart TEXT NOT NULL UNIQUE,
        total_cents BIGINT NOT NULL
    )""",
    """CREATE TABLE IF NOT EXISTS order_items (
        order_id TEXT NOT NULL REFERENCES orders (id),
        product TEXT {bytewise} NOT NULL,
        quantity INTEGER NOT NULL,
        price_cents INTEGER NOT NULL,
        PRIMARY KEY (order_id, product)
    )""",
)


async def prepare(connection: Connection, server: Server) -> None:
    """Make what is missing; the products that come with the app are among it."""
    await connection.rows(server.lock_schema)
    for statement in _TABLES:
        await connection.rows(statement.format(bytewise=server.bytewise))
    if not await connection.rows("SELECT id FROM products LIMIT 1"):
        await insert_products(connection, bundled_products())
