import json
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate
from starlette.applications import Starlette
from starlette.routing import Route

import shop
from shop.app import create_app
from shop.configuration.settings import Settings
from tests.unit.sample_app.conftest import Connect

DOCUMENT: dict[str, Any] = json.loads((Path(shop.__file__).parent / "routes" / "openapi.json").read_text())
METHODS = {"get", "put", "post", "delete"}
OPERATIONS = {
    (path, method): operation
    for path, item in DOCUMENT["paths"].items()
    for method, operation in item.items()
    if method in METHODS
}


def resolved(value: Any) -> Any:
    while "$ref" in value:
        name = value["$ref"].removeprefix("#/").split("/")
        value = DOCUMENT
        for part in name:
            value = value[part]
    return value


def bounded_parameters() -> list[tuple[str, str, dict[str, Any]]]:
    found = [
        (path, method, resolved(parameter))
        for (path, method), operation in OPERATIONS.items()
        for parameter in operation.get("parameters", [])
    ]
    return [(path, method, parameter) for path, method, parameter in found if "maximum" in parameter["schema"]]


def test_the_document_is_valid_openapi() -> None:
    validate(DOCUMENT)


def test_every_route_is_described_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    served: list[Route] = []
    init = Starlette.__init__

    def keep_routes(self: Starlette, *args: Any, **options: Any) -> None:
        served.extend(options["routes"])
        init(self, *args, **options)

    monkeypatch.setattr(Starlette, "__init__", keep_routes)
    create_app(Settings(rehearsal_enabled=True))

    assert {(route.path, method.lower()) for route in served for method in route.methods or () if method != "HEAD"} == {
        *OPERATIONS
    }


async def test_the_document_is_served(client: httpx.AsyncClient) -> None:
    response = await client.get("/openapi.json")

    assert response.headers["content-type"] == "application/json"
    assert response.json() == DOCUMENT


@pytest.mark.parametrize(("path", "method", "parameter"), bounded_parameters())
async def test_a_described_bound_is_the_real_one(
    connect: Connect, path: str, method: str, parameter: dict[str, Any]
) -> None:
    name, most = parameter["name"], parameter["schema"]["maximum"]
    async with connect(rehearsal_enabled=True) as client:
        over = await client.request(method, path, params={name: most + 1})
        under = await client.request(method, path, params={name: parameter["schema"]["minimum"] - 1})

    assert (over.status_code, under.status_code) == (400, 400)
    for refusal in (over, under):
        assert f"{name} must be" in refusal.json()["detail"]
        assert f"from {parameter['schema']['minimum']} to {most}" in refusal.json()["detail"]


async def test_answers_are_as_described(connect: Connect) -> None:
    async with connect(rehearsal_enabled=True) as client:
        cart = (await client.post("/carts")).headers["location"]
        await client.put(f"{cart}/items/kettle-1l", json={"quantity": 2})
        requests = [
            ("get", "/products", "/products?limit=3"),
            ("get", "/products", "/products?limit=0"),
            ("get", "/products/{product}", "/products/kettle-1l"),
            ("get", "/products/{product}", "/products/moon"),
            ("get", "/products/{product}/offers", "/products/kettle-1l/offers"),
            ("get", "/popular", "/popular"),
            ("get", "/carts/{cart}", cart),
            ("get", "/carts/{cart}", "/carts/another"),
            ("delete", "/carts/{cart}/items/{product}", f"{cart}/items/moon"),
            ("post", "/carts/{cart}/order", f"{cart}/order"),
            ("post", "/carts/{cart}/order", f"{cart}/order"),
            ("post", "/carts/{cart}/order", "/carts/another/order"),
            ("post", "/carts", "/carts"),
            ("get", "/orders/{order}", "/orders/none"),
            ("post", "/uploads", "/uploads"),
            ("get", "/cpu", "/cpu?milliseconds=1"),
            ("get", "/slow", "/slow?seconds=0"),
            ("post", "/leak", "/leak?mebibytes=1"),
            ("post", "/wedge", "/wedge?seconds=0"),
            ("post", "/fail", "/fail"),
            ("get", "/health", "/health"),
        ]
        for method, path, url in requests:
            response = await client.request(method, url)
            described = resolved(OPERATIONS[path, method]["responses"][str(response.status_code)])
            content = described["content"][response.headers["content-type"]]
            schema = cast(dict[str, Any], content["schema"]) | {"components": DOCUMENT["components"]}
            Draft202012Validator(schema).validate(response.json())
