import httpx
import pytest

from shop.domain.carts import MOST_OF_ONE, MOST_PRODUCTS, Cart, CartFullError, CartTokens
from tests.unit.sample_app.conftest import Connect

KEY = "the key of all pods of one shop"


async def test_a_cart_goes_with_the_client_from_pod_to_pod(connect: Connect) -> None:
    async with connect(secret_key=KEY) as one, connect(secret_key=KEY) as other:
        cart = (await one.post("/carts")).headers["location"]
        other.cookies = one.cookies
        await other.put(f"{cart}/items/kettle-1l", json={"quantity": 2})
        one.cookies = other.cookies
        await one.put(f"{cart}/items/tin-tea", json={"quantity": 1})
        other.cookies = one.cookies
        content = (await other.get(cart)).json()

    assert content["version"] == 2
    assert [(item["product"], item["quantity"]) for item in content["items"]] == [("kettle-1l", 2), ("tin-tea", 1)]
    assert content["total_cents"] == 2 * 5400 + 900


async def test_changes_can_be_sent_again(client: httpx.AsyncClient) -> None:
    cart = (await client.post("/carts")).headers["location"]
    for _ in range(2):
        put = await client.put(f"{cart}/items/kettle-1l", json={"quantity": 3})
    assert [item["quantity"] for item in put.json()["items"]] == [3]
    for _ in range(2):
        deleted = await client.delete(f"{cart}/items/kettle-1l")
        assert deleted.json()["items"] == []


async def test_a_deleted_cart_is_gone_from_the_client(client: httpx.AsyncClient) -> None:
    cart = (await client.post("/carts")).headers["location"]

    assert (await client.delete(cart)).status_code == 204

    response = await client.get(cart)
    assert response.status_code == 404
    assert "send the one that POST /carts set" in response.json()["detail"]


async def test_an_altered_cart_and_one_of_another_shop_are_refused(connect: Connect) -> None:
    async with connect(secret_key=KEY) as client:
        cart = Cart(id="a")
        for token in (CartTokens(KEY).token(cart)[:-2] + "xx", CartTokens("another key").token(cart), "", "a.b.c"):
            response = await client.get("/carts/a", headers={"Cookie": f"cart={token}"})
            assert response.status_code == 400
            assert "is not signed by this shop" in response.json()["detail"]


async def test_a_cart_expires(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shop.domain.carts.KEPT_SECONDS", -1)
    async with connect(secret_key=KEY) as client:
        response = await client.get("/carts/a", headers={"Cookie": f"cart={CartTokens(KEY).token(Cart(id='a'))}"})

    assert response.status_code == 400
    assert "has expired" in response.json()["detail"]


async def test_the_cookie_holds_no_other_cart_than_the_one_asked_for(connect: Connect) -> None:
    async with connect(secret_key=KEY) as client:
        token = CartTokens(KEY).token(Cart(id="mine"))
        response = await client.get("/carts/yours", headers={"Cookie": f"cart={token}"})

    assert response.status_code == 404
    assert "holds another cart than 'yours'" in response.json()["detail"]


async def test_only_products_of_the_shop_go_in(client: httpx.AsyncClient) -> None:
    cart = (await client.post("/carts")).headers["location"]

    response = await client.put(f"{cart}/items/moon", json={"quantity": 1})

    assert response.status_code == 404
    assert "There is no product 'moon'" in response.json()["detail"]


def full_cart() -> Cart:
    cart = Cart()
    for number in range(MOST_PRODUCTS):
        cart = cart.with_product(f"a-product-with-a-long-name-{number}", MOST_OF_ONE)
    return cart


def test_a_full_cart_fits_in_a_cookie() -> None:
    # RFC 6265: browsers keep cookies of 4096 bytes, name and attributes included.
    assert len(CartTokens(KEY).token(full_cart())) < 3900


async def test_a_full_cart_takes_no_more_but_changes(connect: Connect) -> None:
    cart = full_cart()
    with pytest.raises(CartFullError):
        cart.with_product("one-more", 1)
    assert cart.with_product("a-product-with-a-long-name-7", 1).quantities["a-product-with-a-long-name-7"] == 1
    async with connect(secret_key=KEY) as client:
        response = await client.put(
            f"/carts/{cart.id}/items/kettle-1l",
            json={"quantity": 1},
            headers={"Cookie": f"cart={CartTokens(KEY).token(cart)}"},
        )
    assert response.status_code == 409
    assert "at most 50 products" in response.json()["detail"]


@pytest.mark.parametrize(("trusted", "secure"), [(("192.0.2.0/24",), True), ((), False)])
async def test_the_cookie_is_for_https_alone_where_a_trusted_proxy_says_so(
    connect: Connect, trusted: tuple[str, ...], secure: bool
) -> None:
    async with connect(trusted_proxies=trusted) as client:
        response = await client.post(
            "/carts", headers={"X-Forwarded-Proto": "https", "X-Forwarded-For": "198.51.100.1"}
        )

    assert ("Secure" in response.headers["set-cookie"]) is secure
    assert "HttpOnly" in response.headers["set-cookie"]
