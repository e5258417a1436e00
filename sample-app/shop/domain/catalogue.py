"""The products: read often, changed rarely, so read through the cache (cache-aside).

A page begins after the last product of the one before and not at a row number: with an index its
cost is the same on every page, and a product added meanwhile shifts nothing.

Several products are one question to the cache (multi-get) and one to the database for what the
cache lacks. Asked one by one, a cart of fifty would be fifty round trips.
"""

import json
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from shop.data.cache import Cache
from shop.data.database import Connection, Database

_COLUMNS = "id, name, category, price_cents"
_EXPORT_PAGE = 500
# Without spaces, which would be stored and sent as well.
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


@dataclass(frozen=True)
class Product:
    """Money is in cents: floats lose some."""

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
        """Return what products can be listed by."""

        async def load() -> bytes:
            rows = await self._database.rows("SELECT DISTINCT category FROM products ORDER BY category")
            return json.dumps([row["category"] for row in rows]).encode()

        found: list[str] = json.loads(await self._cache.get("categories", load))
        return found

    async def page(self, *, category: str | None, after: str, limit: int) -> list[Product]:
        """Return up to `limit` products whose ids come after `after`."""
        if category is None:
            sql = f"SELECT {_COLUMNS} FROM products WHERE id > $1 ORDER BY id LIMIT $2"  # noqa: S608 - of constants
            rows = await self._database.rows(sql, after, limit)
        else:
            sql = f"SELECT {_COLUMNS} FROM products WHERE category = $1 AND id > $2 ORDER BY id LIMIT $3"  # noqa: S608
            rows = await self._database.rows(sql, category, after, limit)
        return [Product(**row) for row in rows]

    async def products(self, ids: Collection[str]) -> dict[str, Product]:
        """Return those of the products that exist."""
        found = await self.encoded(ids)
        return {product_id: Product(**json.loads(encoded)) for product_id, encoded in found.items()}

    async def encoded(self, ids: Collection[str]) -> dict[str, bytes]:
        """Return those of the products that exist, as JSON."""

        async def load(missing: Collection[str]) -> dict[str, bytes]:
            rows = await products_by_id(self._database, [key.removeprefix("product:") for key in missing])
            return {f"product:{product.id}": _encode(asdict(product)).encode() for product in rows}

        found = await self._cache.get_many([f"product:{product_id}" for product_id in ids], load)
        return {key.removeprefix("product:"): encoded for key, encoded in found.items()}

    async def pages(self) -> AsyncIterator[list[Product]]:
        """Yield all of them, page by page: between pages no connection is held, however slow the client."""
        after = ""
        while page := await self.page(category=None, after=after, limit=_EXPORT_PAGE):
            yield page
            after = page[-1].id


async def products_by_id(source: Database | Connection, ids: Sequence[str]) -> list[Product]:
    """Return them from the database itself: what is paid is not read from a cache."""
    places = ", ".join(f"${number}" for number in range(1, len(ids) + 1))
    sql = f"SELECT {_COLUMNS} FROM products WHERE id IN ({places})"  # noqa: S608 - places, not values
    return [Product(**row) for row in await source.rows(sql, *ids)]


async def insert_products(connection: Connection, products: Iterable[Product]) -> None:
    """Add what is not there, in one statement: a round trip for each row is what makes imports slow."""
    values: list[object] = []
    places = []
    for product in products:
        first = len(values)
        values += [product.id, product.name, product.category, product.price_cents]
        places.append(f"(${first + 1}, ${first + 2}, ${first + 3}, ${first + 4})")
    sql = f"INSERT INTO products ({_COLUMNS}) VALUES {', '.join(places)} ON CONFLICT (id) DO NOTHING"  # noqa: S608
    await connection.rows(sql, *values)


def bundled_products() -> list[Product]:
    """Return what products.json holds."""
    rows: list[Mapping[str, str | int]] = json.loads(
        Path(__file__).with_name("products.json").read_text(encoding="utf-8")
    )
    return [Product(**row) for row in rows]  # type: ignore[arg-type]
