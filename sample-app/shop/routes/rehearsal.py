"""Trouble on purpose, to watch the platform deal with it.

/slow holds a request open, to see that draining waits for it. The others are there only where
SHOP_REHEARSAL_ENABLED=true (for /leak alone, SHOP_LEAK_ENABLED=true):

- /leak keeps memory for ever, to see the worker recycled at its threshold and the pod replaced
  before the kernel kills it
- /wedge blocks the event loop, to see the siblings notice and the watchdog bite
- /fail meets a bug, to see the error budget spent and the worker replaced
"""

import asyncio
import os
import time

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from shop.http import parameters
from shop.overload.vitals import Vitals

_MEBIBYTE = 1024 * 1024


def routes(vitals: Vitals, *, leak_enabled: bool, rehearsal_enabled: bool) -> list[Route]:
    """Return the routes that misbehave, as far as they are enabled."""
    leaked: list[bytes] = []

    async def be_slow(request: Request) -> Response:
        seconds = parameters.seconds(request, "seconds", default=1, maximum=30)
        await asyncio.sleep(seconds)
        return JSONResponse({"seconds": seconds, "worker": os.getpid()})

    async def leak(request: Request) -> Response:
        mebibytes = parameters.whole_number(request, "mebibytes", default=1, minimum=1, maximum=256)
        # Not zeros: the kernel gives memory to a page only when something is written to it.
        leaked.append(b"x" * (mebibytes * _MEBIBYTE))
        held = sum(map(len, leaked)) // _MEBIBYTE
        return JSONResponse({"held_mebibytes": held, "rss_bytes": vitals.resident_memory, "worker": os.getpid()})

    async def wedge(request: Request) -> Response:
        seconds = parameters.seconds(request, "seconds", default=60, maximum=600)
        time.sleep(seconds)  # noqa: ASYNC251 - that is the trouble
        return JSONResponse({"seconds": seconds, "worker": os.getpid()})

    async def fail(_request: Request) -> Response:
        raise RuntimeError("a bug on purpose")

    found = [Route("/slow", be_slow)]
    if leak_enabled or rehearsal_enabled:
        found.append(Route("/leak", leak, methods=["GET", "POST"]))
    if rehearsal_enabled:
        found += [Route("/wedge", wedge, methods=["POST"]), Route("/fail", fail, methods=["POST"])]
    return found
