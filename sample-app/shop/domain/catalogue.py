"""The products: read often and changed rarely, so they are read through the cache (cache-aside).

A page begins after the last product of the previous page, not at a row number (keyset pagination). With an index every
page costs the same, and a product that is added meanwhile shifts no page.

Several products are one lookup in the cache (multi-get) and one query for the missing ones. One by one, a cart of fifty
products would cost fifty round trips.
"""

import json
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from shop.data.cache import Cache
from shop.data.database import Connection, Database

_COLUMNS = "id, name, category, price_cents"
_EXPORT_PAGE = 500
# Without spaces, which would only be stored and sent.
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


@dataclass(frozen=True)
class Product:
    """One product; the price is in cents, since floating-point numbers lose some."""

    id: str
    name: str
    category: str
    price_cents: int


class Catalogue:
    """The products of the database, in the order of their ids."""

    def __init__(self, database: Database, cache: Cache) -> None:
        self._database = database
        self._cache = cache

    async def categories(self) -> list[str]:
        """Return the categories, sorted."""

        async def load() -> bytes:
            rows = await self._database.rows("SELECT DISTINCT category FROM products ORDER BY category")
            return json.dumps([row["category"] for row in rows]).encode()

        found: list[str] = json.loads(await self._cache.get("categories", load))
        return found

    async def page(self, *, category: str | None, after: str, limit: int) -> list[Product]:
        """Return up to `limit` products with ids greater than `after`, in the order of their ids."""
        if category is None:
            sql = f"SELECT {_COLUMNS} FROM products WHERE id > $1 ORDER BY id LIMIT $2"  # noqa: S608 - of constants
            rows = await self._database.rows(sql, after, limit)
        else:
            sql = f"SELECT {_COLUMNS} FROM products WHERE category = $1 AND id > $2 ORDER BY id LIMIT $3"  # noqa: S608
            rows = await self._database.rows(sql, category, after, limit)
        return [Product(**row) for row in rows]

    async def products(self, ids: Collection[str]) -> dict[str, Product]:
        """Return the products that exist, by id."""
        found = await self.encoded(ids)
        return {product_id: Product(**json.loads(encoded)) for product_id, encoded in found.items()}

    async def encoded(self, ids: Collection[str]) -> dict[str, bytes]:
        """Return the products that exist, by id, each as JSON."""

        async def load(missing: Collection[str]) -> dict[str, bytes]:
            rows = await products_by_id(self._database, [key.removeprefix("product:") for key in missing])
            return {f"product:{product.id}": _encode(asdict(product)).encode() for product in rows}

        found = await self._cache.get_many([f"product:{product_id}" for product_id in ids], load)
        return {key.removeprefix("product:"): encoded for key, encoded in found.items()}

    async def pages(self) -> AsyncIterator[list[Product]]:
        """Yield all products, page by page; no connection is held between pages, even for a slow client."""
        after = ""
        while page := await self.page(category=None, after=after, limit=_EXPORT_PAGE):
            yield page
            after = page[-1].id


async def products_by_id(source: Database | Connection, ids: Sequence[str]) -> list[Product]:
    """Return products from the database itself: prices of an order must not come from a cache."""
    places = ", ".join(f"${number}" for number in range(1, len(ids) + 1))
    sql = f"SELECT {_COLUMNS} FROM products WHERE id IN ({places})"  # noqa: S608 - places, not values
    return [Product(**row) for row in await source.rows(sql, *ids)]


async def insert_products(connection: Connection, products: Iterable[Product]) -> None:
    """Add missing products in one statement: imports are slow with a round trip for each row."""
    values: list[object] = []
    places = []
    for product in products:
        first = len(values)
        values += [product.id, product.name, product.category, product.price_cents]
        places.append(f"(${first + 1}, ${first + 2}, ${first + 3}, ${first + 4})")
    sql = f"INSERT INTO products ({_COLUMNS}) VALUES {', '.join(places)} ON CONFLICT (id) DO NOTHING"  # noqa: S608
    await connection.rows(sql, *values)


def bundled_products() -> list[Product]:
    """Return the products of products.json."""
    rows: list[Mapping[str, str | int]] = json.loads(
        Path(__file__).with_name("products.json").read_text(encoding="utf-8")
    )
    return [Product(**row) for row in rows]  # type: ignore[arg-type]
