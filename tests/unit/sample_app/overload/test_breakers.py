import asyncio

import pytest

from shop.observation.metrics import Metrics
from shop.overload.breakers import FAILURES, Breaker, OpenError


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(None)


def state(metrics: Metrics) -> str:
    lines = metrics.exposition().decode().splitlines()
    (value,) = [line.rsplit(" ", 1)[1] for line in lines if line.startswith("circuit_breaker_state{")]
    return {"0.0": "closed", "1.0": "half open", "2.0": "open"}[value]


def fail(breaker: Breaker, times: int) -> None:
    for _ in range(times):
        with pytest.raises(ConnectionError), breaker.guarded():
            raise ConnectionError


def test_it_opens_after_failures_in_a_row_and_then_makes_no_call(metrics: Metrics) -> None:
    breaker = Breaker("stock", metrics)
    fail(breaker, FAILURES - 1)
    with breaker.guarded():
        pass  # one success, and the count begins anew
    fail(breaker, FAILURES - 1)
    assert state(metrics) == "closed"
    fail(breaker, 1)

    assert state(metrics) == "open"
    called = False
    with pytest.raises(OpenError, match="stock"), breaker.guarded():
        called = True
    assert not called


async def test_half_open_a_success_closes_it_and_a_failure_opens_it_again(
    metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr("circuitbreaker.monotonic", lambda: now)
    breaker = Breaker("stock", metrics)
    fail(breaker, FAILURES)

    now += 29
    with pytest.raises(OpenError), breaker.guarded():
        pass
    now += 2
    with breaker.guarded():
        assert state(metrics) == "half open"
    assert state(metrics) == "closed"
    fail(breaker, FAILURES)
    now += 31
    fail(breaker, 1)
    assert state(metrics) == "open"
    now += 31
    with breaker.guarded():
        pass
    assert state(metrics) == "closed"


async def test_calls_under_way_when_it_opens_end_as_they_would(metrics: Metrics) -> None:
    breaker = Breaker("stock", metrics)
    opened = asyncio.Event()

    async def call() -> None:
        with breaker.guarded():
            await opened.wait()
            raise ConnectionError

    calls = [asyncio.create_task(call()) for _ in range(3)]
    await asyncio.sleep(0)
    fail(breaker, FAILURES)
    opened.set()

    assert [type(error) for error in await asyncio.gather(*calls, return_exceptions=True)] == [ConnectionError] * 3
    assert state(metrics) == "open"
