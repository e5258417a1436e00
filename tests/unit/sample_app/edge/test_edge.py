"""What a request costs, counted and not timed, so that it can't creep up unseen on any machine."""

import asyncio
import logging
import os
import sys
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from prometheus_client import values
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message

from shop.app import create_app
from shop.configuration.settings import Settings
from tests.bench import plain_shop
from tests.unit.sample_app.conftest import started

HOT = ["/products", "/products/kettle-1l"]
# About 50 when this was written, and about 300 with a middleware for each technique, log records and direct metrics.
MOST_CALLS = 60


async def answer(app: ASGIApp, path: str, **headers: str) -> list[Message]:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "path": path,
        "query_string": b"",
        "root_path": "",
        "scheme": "http",
        "server": ("127.0.0.1", 8000),
        "client": ("192.0.2.7", 4711),
        "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()],
    }
    await app(scope, receive, send)
    return sent


async def calls(work: Coroutine[Any, Any, Any]) -> int:
    """How many functions are called, those of C as well; the same number each time, on a fast machine or a slow one."""
    count = 0

    def note(_frame: object, event: str, _argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(note)
    try:
        await work
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize("path", HOT)
async def test_a_hot_request_makes_few_calls_more_than_one_of_an_app_without_techniques(
    path: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="shop.access")

    app = create_app(Settings())
    async with started(app):
        # The first request of each finds no cache.
        bodies = [(await answer(either, path))[1]["body"] for either in (plain_shop.app, app)]
        extra = await calls(answer(app, path)) - await calls(answer(plain_shop.app, path))

    assert bodies[0] == bodies[1], "or something else would be compared"
    assert extra <= MOST_CALLS


@pytest.mark.parametrize("path", HOT)
async def test_a_hot_request_starts_no_task_and_writes_nothing_itself(
    path: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="shop.access")
    app, doing = create_app(Settings()), list[str]()
    async with started(app):
        await answer(app, path)
        loop, write = asyncio.get_running_loop(), os.write

        def note(what: str, do: Callable[..., Any]) -> Callable[..., Any]:
            def noted(*arguments: Any, **named: Any) -> Any:
                if threading.current_thread() is threading.main_thread():
                    doing.append(what)
                return do(*arguments, **named)

            return noted

        monkeypatch.setattr(os, "write", note("write", write))
        monkeypatch.setattr(values.MutexValue, "inc", note("metric", values.MutexValue.inc))
        loop.set_task_factory(note("task", lambda loop, work, **named: asyncio.Task(work, loop=loop, **named)))
        await answer(app, path)
        loop.set_task_factory(None)
        monkeypatch.undo()

    assert doing == []


async def test_an_answer_that_is_sent_again_has_the_id_of_one_request() -> None:
    kept = Response(b"{}")
    app = create_app(Settings())
    shop: Any = app
    shop._app.router.routes.insert(0, Route("/kept", lambda _request: kept))
    async with started(app):
        starts = [(await answer(app, "/kept"))[0] for _ in range(2)]

    ids = [[value for name, value in start["headers"] if name == b"x-request-id"] for start in starts]
    assert [len(found) for found in ids] == [1, 1]
    assert ids[0] != ids[1]


@pytest.mark.parametrize("accepted", ["gzip", "br", "zstd", "identity"])
async def test_whether_it_is_compressed_or_not_each_answer_has_its_id(accepted: str) -> None:
    app = create_app(Settings())
    async with started(app):
        start, *_ = await answer(app, "/openapi.json", accept_encoding=accepted, x_request_id="seven")

    headers = dict(start["headers"])
    assert headers[b"x-request-id"] == b"seven"
    assert headers.get(b"content-encoding", b"identity") == accepted.encode()
    assert headers[b"vary"].lower() == b"accept-encoding"
