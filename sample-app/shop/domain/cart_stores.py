"""Storage of carts, such that any worker of any pod can serve them.

With PostgreSQL, in a table. A change is an UPDATE of the version that was read (optimistic lock): of two changes at the
same time one gets a 409 and must read again, and none is lost. No lock is held between requests.

Without PostgreSQL, in the client: a signed cookie. The server stores nothing, pods share only the key, and a balancer
may send each request to another pod. A cart in the memory of a worker, or in the SQLite file of a pod, would be found
by one request in N and lost with the pod. The limits of a cookie: it holds 4 KiB, hence the bounds of a cart; a client
can send an older cookie again, so it must not contain prices; of two changes at the same time the later answer wins.
"""

import json
import time
from typing import Protocol

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from shop.data.database import Database
from shop.domain.carts import KEPT_SECONDS, Cart, CartTokens, CartUnreadableError

_COOKIE = "cart"


class CartStore(Protocol):
    """Loads and saves carts."""

    async def load(self, request: Request) -> Cart:
        """Return the cart that the path names; raises HTTPException if the client has none."""

    async def save(self, cart: Cart) -> None:
        """Save a new or changed cart; raises HTTPException 409 for a concurrent change."""

    async def delete(self, cart: Cart) -> None:
        """Delete a cart."""

    def add_to_response(self, cart: Cart, request: Request, response: Response) -> None:
        """Add to the response what the client must send with its next request."""

    def remove_from_client(self, cart: Cart, response: Response) -> None:
        """Make the client delete that."""


class CartTable:
    """Carts in a table of the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def load(self, request: Request) -> Cart:
        """Return the cart with the id of the path; the id is long and random, and grants access to the cart."""
        cart_id = request.path_params["cart"]
        rows = await self._database.rows(
            "SELECT version, quantities FROM carts WHERE id = $1 AND expires_at > $2", cart_id, _now()
        )
        if not rows:
            raise HTTPException(404, f"There is no cart {cart_id!r}, or no more; POST /carts starts one.")
        return Cart(cart_id, rows[0]["version"], json.loads(rows[0]["quantities"]))

    async def save(self, cart: Cart) -> None:
        """Insert the cart, or update its previous version."""
        quantities, expiry = json.dumps(cart.quantities), _now() + KEPT_SECONDS
        async with self._database.transaction() as connection:
            if cart.version == 0:
                # Each new cart deletes the expired ones, so the table stays bounded without a job.
                await connection.rows("DELETE FROM carts WHERE expires_at <= $1", _now())
                sql = "INSERT INTO carts (id, version, quantities, expires_at) VALUES ($1, 0, $2, $3)"
                await connection.rows(sql, cart.id, quantities, expiry)
                return
            written = await connection.rows(
                "UPDATE carts SET version = $2, quantities = $3, expires_at = $4"
                " WHERE id = $1 AND version = $2 - 1 RETURNING id",
                cart.id, cart.version, quantities, expiry,
            )  # fmt: skip
        if not written:
            raise HTTPException(409, f"The cart {cart.id!r} was changed by another request meanwhile; send this again.")

    async def delete(self, cart: Cart) -> None:
        """Delete the row of the cart."""
        async with self._database.transaction() as connection:
            await connection.rows("DELETE FROM carts WHERE id = $1", cart.id)

    def add_to_response(self, cart: Cart, request: Request, response: Response) -> None:
        """Do nothing: the id in the path is enough."""

    def remove_from_client(self, cart: Cart, response: Response) -> None:
        """Do nothing: the client has only the id."""


class CartCookies:
    """Carts in signed cookies of their clients."""

    def __init__(self, tokens: CartTokens) -> None:
        self._tokens = tokens

    async def load(self, request: Request) -> Cart:
        """Return the cart of the cookie."""
        cart_id = request.path_params["cart"]
        token = request.cookies.get(_COOKIE)
        if token is None:
            raise HTTPException(404, f"Cart {cart_id!r} is kept in a cookie: send the one that POST /carts set.")
        try:
            cart = self._tokens.cart(token)
        except CartUnreadableError as error:
            raise HTTPException(400, f"The cookie {_COOKIE!r} {error}; POST /carts starts anew.") from None
        if cart.id != cart_id:
            raise HTTPException(404, f"The cookie {_COOKIE!r} holds another cart than {cart_id!r}.")
        return cart

    async def save(self, cart: Cart) -> None:
        """Do nothing: the answer contains the cookie."""

    async def delete(self, cart: Cart) -> None:
        """Do nothing: the server stores nothing."""

    def add_to_response(self, cart: Cart, request: Request, response: Response) -> None:
        """Set the cookie."""
        response.set_cookie(
            _COOKIE,
            self._tokens.token(cart),
            max_age=KEPT_SECONDS,
            path=path_of(cart),
            secure=request.url.scheme == "https",
            httponly=True,
            samesite="lax",
        )

    def remove_from_client(self, cart: Cart, response: Response) -> None:
        """Delete the cookie."""
        response.delete_cookie(_COOKIE, path=path_of(cart), httponly=True, samesite="lax")


def path_of(cart: Cart) -> str:
    """Return the URL path of a cart."""
    return f"/carts/{cart.id}"


def _now() -> int:
    return int(time.time())  # noqa: TID251 - compared with times that other pods wrote
