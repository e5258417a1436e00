from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import httpx
import pytest

from shop.app import create_app
from shop.settings import Settings

Connect = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Connect:
    """An HTTP client of a pod of its own, in this process, with the given settings."""
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR", raising=False)

    @asynccontextmanager
    async def connected(*, scheme: str = "http", **settings: object) -> AsyncIterator[httpx.AsyncClient]:
        app = create_app(Settings(**settings))  # type: ignore[arg-type]
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False, client=("192.0.2.7", 4711))
        async with httpx.AsyncClient(transport=transport, base_url=f"{scheme}://shop") as client:
            yield client

    return connected


@pytest.fixture
async def client(connect: Connect) -> AsyncIterator[httpx.AsyncClient]:
    async with connect() as client:
        yield client
