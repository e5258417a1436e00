"""An app that answers with the id of the process that answers, for ASGI and for WSGI."""

import os
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

BODY = str(os.getpid()).encode()


async def asgi(scope: dict[str, Any], _receive: object, send: Callable[[dict[str, Any]], Awaitable[None]]) -> None:
    assert scope["type"] == "http", "the servers are told that there is no lifespan"
    headers = [(b"content-length", str(len(BODY)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": BODY})


def wsgi(_environ: object, start: Callable[[str, list[tuple[str, str]]], object]) -> Iterable[bytes]:
    start("200 OK", [("Content-Length", str(len(BODY)))])
    return [BODY]
