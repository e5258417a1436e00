"""An app that takes four seconds to start, and keeps 128 KiB of each request; it says when it is ready."""

import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

KEPT: list[bytes] = []

time.sleep(4)
(Path(os.environ["READY"]) / str(os.getpid())).touch()


async def app(
    scope: dict[str, Any], receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]
) -> None:
    if scope["type"] == "lifespan":
        for happened in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{happened}.complete"})
    else:
        KEPT.append(b"x" * 2**17)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})
