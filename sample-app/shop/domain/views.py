"""How often each product was looked at: counted in memory, written in batches (write-behind).

An UPDATE for each view would be the shop's busiest statement, and all of them would wait for the
one row of the popular product. So a worker adds up what it sees and writes the sums once a second,
in one statement. A worker that is killed loses a second's views; what may not be lost is not
counted like this.

Sums are written in the order of the ids: two workers that lock the same rows in different orders
wait for each other for ever (a deadlock).
"""

import itertools
from collections import Counter
from contextlib import AbstractAsyncContextManager

from shop.data.database import Database, DatabaseUnavailableError
from shop.offload.write_behind import written_each

_SECONDS = 1.0
# Two arguments each; PostgreSQL takes 32,767 in a statement.
_BATCH = 500


class Views:
    """The counts of this worker, on their way to those of all."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._counted: Counter[str] = Counter()

    def note(self, product_id: str) -> None:
        """Count a view of a product that exists: with ids that clients make up it would grow without end."""
        self._counted[product_id] += 1

    async def most_viewed(self, limit: int) -> list[tuple[str, int]]:
        """Return the products that were looked at most, as far as it is written."""
        sql = "SELECT product, views FROM product_views ORDER BY views DESC, product LIMIT $1"
        return [(row["product"], row["views"]) for row in await self._database.rows(sql, limit)]

    def written(self) -> AbstractAsyncContextManager[None]:
        """Write regularly, and what is left when the worker ends."""
        return written_each(_SECONDS, self._write)

    async def _write(self) -> None:
        for product_ids in _batches(sorted(self._counted)):
            sums = {product_id: self._counted[product_id] for product_id in product_ids}
            try:
                async with self._database.transaction() as connection:
                    await connection.rows(_upsert(len(sums)), *itertools.chain.from_iterable(sums.items()))
            except DatabaseUnavailableError:
                return  # they stay counted, and are written with those to come
            self._counted.subtract(sums)  # what was counted meanwhile stays
        self._counted = +self._counted


def _batches(product_ids: list[str]) -> list[list[str]]:
    return [product_ids[start : start + _BATCH] for start in range(0, len(product_ids), _BATCH)]


def _upsert(rows: int) -> str:
    places = ", ".join(f"(${number}, ${number + 1})" for number in range(1, 2 * rows, 2))
    return (
        f"INSERT INTO product_views (product, views) VALUES {places}"  # noqa: S608 - places, not values
        " ON CONFLICT (product) DO UPDATE SET views = product_views.views + excluded.views"
    )
