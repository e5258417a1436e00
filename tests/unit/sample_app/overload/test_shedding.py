import asyncio
import contextlib
from collections.abc import AsyncIterator

import httpx
import pytest

from shop.overload.vitals import Vitals
from tests.unit.sample_app.conftest import Connect


def refusals(metrics: str) -> dict[str, float]:
    lines = [line for line in metrics.splitlines() if line.startswith("http_requests_shed_total{")]
    return {line.split('"')[1]: float(line.rsplit(" ", 1)[1]) for line in lines}


@contextlib.asynccontextmanager
async def in_progress(client: httpx.AsyncClient, requests: int) -> AsyncIterator[None]:
    """That many requests which take long."""
    tasks = [asyncio.create_task(client.get("/slow?seconds=30")) for _ in range(requests)]
    async with asyncio.timeout(10):
        while f"http_requests_in_flight {requests}.0" not in (await client.get("/metrics")).text:  # noqa: ASYNC110
            await asyncio.sleep(0)
    yield
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_what_is_too_much_is_refused_at_once_and_readiness_stays(connect: Connect) -> None:
    async with connect(max_in_flight=3) as client:
        async with in_progress(client, 3):
            refused = await client.get("/products")
            health, metrics = await client.get("/health"), (await client.get("/metrics")).text
        later = await client.get("/products")

    assert refused.status_code == 503
    assert 1 <= int(refused.headers["retry-after"]) <= 3
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.json()["request_id"] == refused.headers["x-request-id"]
    assert (health.status_code, health.json()["status"]) == (200, "ok")
    assert refusals(metrics) == {"in_flight": 1}
    assert later.status_code == 200


async def test_lag_that_stands_is_shed_and_readiness_stays(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Vitals, "standing_lag", 0.6)
    async with connect(max_lag_milliseconds=500) as client:
        refused, health = await client.get("/products"), await client.get("/health")
        metrics = (await client.get("/metrics")).text
        monkeypatch.setattr(Vitals, "standing_lag", 0.4)
        served = await client.get("/products")

    assert [answer.status_code for answer in (refused, health, served)] == [503, 200, 200]
    assert refusals(metrics) == {"lag": 1}
