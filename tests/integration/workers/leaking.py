"""An app that leaks, hangs and starts slowly on request, for ASGI and for WSGI; it needs nothing installed.

It runs on a server of its own, never in the tests' process. What is to happen when it is loaded comes
from the environment, and from a file where it is to differ between one worker and the next.
"""

import json
import os
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from hca_workers import health

KEPT: list[bytes] = []

time.sleep(float(os.environ.get("BOOT_SECONDS", "0")))
if Path(os.environ.get("BROKEN_FILE", "/nowhere")).exists():
    raise RuntimeError("this app cannot start any more")
if "BOOT_LEAK" in os.environ:
    KEPT.append(b"x" * (int(os.environ["BOOT_LEAK"]) << 20))


def answer(path: str, query: str) -> object:
    given = dict(parse_qsl(query))
    if path == "/leak":
        KEPT.append(b"x" * (int(given["mebibytes"]) << 20))
    elif path == "/block":
        time.sleep(float(given["seconds"]))
    elif path == "/health":
        return [asdict(worker) for worker in health()]
    return {"worker": os.getpid()}


async def asgi(
    scope: dict[str, Any], receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]
) -> None:
    if scope["type"] == "lifespan":
        for happened in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{happened}.complete"})
        return
    body = json.dumps(answer(scope["path"], scope["query_string"].decode())).encode()
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": 200, "headers": [length]})
    await send({"type": "http.response.body", "body": body})


def wsgi(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
    body = json.dumps(answer(environ["PATH_INFO"], environ["QUERY_STRING"])).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
