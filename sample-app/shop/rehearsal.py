"""Trouble on purpose, to watch the platform deal with it.

/slow holds a request open, to see that draining waits for it. /leak keeps memory for ever, to see
the worker recycled at its threshold and the pod replaced before the kernel kills it; it is there
only with SHOP_LEAK_ENABLED=true.
"""

import asyncio
import os

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from shop import parameters
from shop.vitals import Vitals

_MEBIBYTE = 1024 * 1024


def routes(vitals: Vitals, *, leak_enabled: bool) -> list[Route]:
    """Return the routes that misbehave."""
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

    slow_route = Route("/slow", be_slow)
    return [slow_route, Route("/leak", leak, methods=["GET", "POST"])] if leak_enabled else [slow_route]
