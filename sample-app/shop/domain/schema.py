"""The tables, created if they do not exist.

Both databases get the same statements. A change of an existing table has to be a further statement that works with the
previous release as well: pods of both releases run during a rolling update.
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
    """Create the missing tables, and insert the bundled products into an empty catalogue."""
    await connection.rows(server.lock_schema)
    for statement in _TABLES:
        await connection.rows(statement.format(bytewise=server.bytewise))
    if not await connection.rows("SELECT id FROM products LIMIT 1"):
        await insert_products(connection, bundled_products())
