import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import httpx
import pytest
from starlette.types import ASGIApp

from shop.app import create_app
from shop.configuration.settings import Settings

Connect = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]


@asynccontextmanager
async def started(app: ASGIApp) -> AsyncIterator[None]:
    """The app between its start and its end, as a server does it; httpx does not."""
    to_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    from_app: asyncio.Queue[Any] = asyncio.Queue()
    scope = {"type": "lifespan", "asgi": {}, "state": {}}

    async def live() -> None:
        await app(scope, to_app.get, from_app.put)

    life = asyncio.create_task(live())
    to_app.put_nowait({"type": "lifespan.startup"})
    assert (await from_app.get())["type"] == "lifespan.startup.complete"
    try:
        yield
    finally:
        to_app.put_nowait({"type": "lifespan.shutdown"})
        await life


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Connect:
    """An HTTP client of a pod of its own, in this process, with the given settings."""
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR", raising=False)

    @asynccontextmanager
    async def connected(*, scheme: str = "http", **settings: object) -> AsyncIterator[httpx.AsyncClient]:
        app = create_app(Settings(**{"secret_key": "the key of one pod", **settings}))  # type: ignore[arg-type]
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False, client=("192.0.2.7", 4711))
        async with started(app), httpx.AsyncClient(transport=transport, base_url=f"{scheme}://shop") as client:
            yield client

    return connected


@pytest.fixture
def access_log(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> Callable[[], list[Any]]:
    """What the lines of requests say that are on stdout; all of them are once the app has ended."""
    caplog.set_level(logging.INFO, logger="shop.access")
    return lambda: [json.loads(line) for line in capfd.readouterr().out.splitlines()]


@pytest.fixture
async def client(connect: Connect) -> AsyncIterator[httpx.AsyncClient]:
    async with connect() as client:
        yield client
