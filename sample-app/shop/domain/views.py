"""Views of each product: counted in memory, written in batches (write-behind).

An UPDATE for each view would be the most frequent statement, and all of them would wait for the row of the most popular
product. So each worker counts in memory and writes the sums once a second, in one statement. A worker that is killed
loses the views of a second: this is no way to count what must not be lost.

Sums are written in the order of the ids: two workers that lock the same rows in different orders are a deadlock.
"""

import itertools
from collections import Counter
from contextlib import AbstractAsyncContextManager

from shop.data.database import Database, DatabaseUnavailableError
from shop.offload.write_behind import written_each

_INTERVAL_SECONDS = 1.0
# Each product has two arguments; PostgreSQL accepts 32,767 in a statement.
_BATCH = 500


class Views:
    """The views that this worker has counted and not yet written."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._counted: Counter[str] = Counter()

    def note(self, product_id: str) -> None:
        """Count a view of an existing product: the ids of clients would let the counter grow without bound."""
        self._counted[product_id] += 1

    async def most_viewed(self, limit: int) -> list[tuple[str, int]]:
        """Return the products with the most views, and their number, as far as they are written."""
        sql = "SELECT product, views FROM product_views ORDER BY views DESC, product LIMIT $1"
        return [(row["product"], row["views"]) for row in await self._database.rows(sql, limit)]

    def written(self) -> AbstractAsyncContextManager[None]:
        """Return a context manager that writes every second, and the rest at its end."""
        return written_each(_INTERVAL_SECONDS, self._write)

    async def _write(self) -> None:
        for product_ids in _batches(sorted(self._counted)):
            sums = {product_id: self._counted[product_id] for product_id in product_ids}
            try:
                async with self._database.transaction() as connection:
                    await connection.rows(_upsert(len(sums)), *itertools.chain.from_iterable(sums.items()))
            except DatabaseUnavailableError:
                return  # the counts stay, and are written next time
            self._counted.subtract(sums)  # views during the write stay
        self._counted = +self._counted


def _batches(product_ids: list[str]) -> list[list[str]]:
    return [product_ids[start : start + _BATCH] for start in range(0, len(product_ids), _BATCH)]


def _upsert(rows: int) -> str:
    places = ", ".join(f"(${number}, ${number + 1})" for number in range(1, 2 * rows, 2))
    return (
        f"INSERT INTO product_views (product, views) VALUES {places}"  # noqa: S608 - places, not values
        " ON CONFLICT (product) DO UPDATE SET views = product_views.views + excluded.views"
    )
