"""Where carts are kept, such that any worker of any pod can serve them.

With PostgreSQL, in a table. A change is an UPDATE of the version that was read (optimistic lock):
of two changes at the same moment one is told to read again, and none is lost. No lock is held
while a client thinks.

Without, in the client: a signed cookie. Nothing is stored, nothing is shared but the key, and a
balancer may send each request elsewhere; a cart in a worker's memory, or in a pod's SQLite, is there
for one request in N and gone with the pod. The price: a cookie holds 4 KiB, hence the limits; a
client can come back with an older cookie, so it may hold wishes and never money (prices are looked
up each time); of two changes at the same moment the later answer wins.
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
    """Finds and keeps carts."""

    async def sent(self, request: Request) -> Cart:
        """Return the cart that the path names; HTTPException for the client that has none."""

    async def keep(self, cart: Cart) -> None:
        """Keep a cart that is new or changed."""

    async def forget(self, cart: Cart) -> None:
        """Keep it no longer."""

    def hand_over(self, cart: Cart, request: Request, response: Response) -> None:
        """Give the client what it must send with its next request."""

    def take_back(self, cart: Cart, response: Response) -> None:
        """Let the client drop that."""


class CartTable:
    """Carts in the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def sent(self, request: Request) -> Cart:
        """Return the cart of that id: it is long and random, and who knows it may use it."""
        cart_id = request.path_params["cart"]
        rows = await self._database.rows(
            "SELECT version, quantities FROM carts WHERE id = $1 AND expires_at > $2", cart_id, _now()
        )
        if not rows:
            raise HTTPException(404, f"There is no cart {cart_id!r}, or no more; POST /carts starts one.")
        return Cart(cart_id, rows[0]["version"], json.loads(rows[0]["quantities"]))

    async def keep(self, cart: Cart) -> None:
        """Insert it, or update the version before."""
        quantities, expiry = json.dumps(cart.quantities), _now() + KEPT_SECONDS
        async with self._database.transaction() as connection:
            if cart.version == 0:
                # Each new cart clears away what has expired: no table grows for ever, and no job has to run.
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

    async def forget(self, cart: Cart) -> None:
        """Delete its row."""
        async with self._database.transaction() as connection:
            await connection.rows("DELETE FROM carts WHERE id = $1", cart.id)

    def hand_over(self, cart: Cart, request: Request, response: Response) -> None:
        """Nothing: the path says it all."""

    def take_back(self, cart: Cart, response: Response) -> None:
        """Nothing was given."""


class CartCookies:
    """Carts in their clients."""

    def __init__(self, tokens: CartTokens) -> None:
        self._tokens = tokens

    async def sent(self, request: Request) -> Cart:
        """Return the cart that came with the request."""
        wanted = request.path_params["cart"]
        token = request.cookies.get(_COOKIE)
        if token is None:
            raise HTTPException(404, f"Cart {wanted!r} is kept in a cookie: send the one that POST /carts set.")
        try:
            cart = self._tokens.cart(token)
        except CartUnreadableError as error:
            raise HTTPException(400, f"The cookie {_COOKIE!r} {error}; POST /carts starts anew.") from None
        if cart.id != wanted:
            raise HTTPException(404, f"The cookie {_COOKIE!r} holds another cart than {wanted!r}.")
        return cart

    async def keep(self, cart: Cart) -> None:
        """Nothing: the answer takes it along."""

    async def forget(self, cart: Cart) -> None:
        """Nothing was kept."""

    def hand_over(self, cart: Cart, request: Request, response: Response) -> None:
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

    def take_back(self, cart: Cart, response: Response) -> None:
        """Delete the cookie."""
        response.delete_cookie(_COOKIE, path=path_of(cart), httponly=True, samesite="lax")


def path_of(cart: Cart) -> str:
    """Return where a cart is."""
    return f"/carts/{cart.id}"


def _now() -> int:
    return int(time.time())  # noqa: TID251 - compared with what other pods wrote
