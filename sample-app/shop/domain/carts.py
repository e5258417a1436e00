"""A cart, and its signed form for cookies."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from itsdangerous import BadData, SignatureExpired, URLSafeTimedSerializer

MOST_PRODUCTS = 50
MOST_OF_ONE = 99
KEPT_SECONDS = 7 * 24 * 3600


class CartFullError(ValueError):
    """The cart has the largest number of products already."""


class CartUnreadableError(ValueError):
    """The token is expired, altered or signed with another key."""


@dataclass(frozen=True)
class Cart:
    """Quantities by product id; the version grows with each change."""

    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    version: int = 0
    quantities: Mapping[str, int] = field(default_factory=dict)

    def with_product(self, product_id: str, quantity: int) -> "Cart":
        """Return the cart with this quantity of the product; repeating it changes nothing but the version."""
        quantities = {**self.quantities, product_id: quantity}
        if len(quantities) > MOST_PRODUCTS:
            raise CartFullError
        return replace(self, version=self.version + 1, quantities=quantities)

    def without_product(self, product_id: str) -> "Cart":
        """Return the cart without the product."""
        quantities = {key: value for key, value in self.quantities.items() if key != product_id}
        return replace(self, version=self.version + 1, quantities=quantities)


class CartTokens:
    """Carts as signed text: only holders of the key can create it, and any client can read it."""

    def __init__(self, secret_key: str) -> None:
        # The version of the layout: during a rolling update, pods of two releases read each other's cookies.
        self._serializer = URLSafeTimedSerializer(secret_key, salt="cart-1")

    def token(self, cart: Cart) -> str:
        """Return the cart, signed."""
        return str(self._serializer.dumps([cart.id, cart.version, dict(cart.quantities)]))

    def cart(self, token: str) -> Cart:
        """Return the cart of a token of any pod; raises `CartUnreadableError`, also for an expired token."""
        try:
            cart_id, version, quantities = self._serializer.loads(token, max_age=KEPT_SECONDS)
        except SignatureExpired:
            raise CartUnreadableError("has expired") from None
        except BadData:
            raise CartUnreadableError("is not signed by this shop") from None
        return Cart(cart_id, version, quantities)
