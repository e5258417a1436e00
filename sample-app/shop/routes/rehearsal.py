"""Fault injection, to watch the platform handle it.

/slow delays an answer, to test that draining waits for it. The other routes exist only with SHOP_REHEARSAL_ENABLED=true
(/leak also with SHOP_LEAK_ENABLED=true):

- /leak never frees memory, to test that the worker is recycled at its limit, and the pod replaced before an OOM kill
- /wedge blocks the event loop, to test heartbeats and the watchdog
- /fail raises an unexpected error, to test the error budget
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
    """Return the routes of faults that are enabled."""
    leaked: list[bytes] = []

    async def be_slow(request: Request) -> Response:
        seconds = parameters.seconds(request, "seconds", default=1, maximum=30)
        await asyncio.sleep(seconds)
        return JSONResponse({"seconds": seconds, "worker": os.getpid()})

    async def leak(request: Request) -> Response:
        mebibytes = parameters.whole_number(request, "mebibytes", default=1, minimum=1, maximum=256)
        # Not zeros: the kernel allocates a page only when it is written.
        leaked.append(b"x" * (mebibytes * _MEBIBYTE))
        held = sum(map(len, leaked)) // _MEBIBYTE
        return JSONResponse({"held_mebibytes": held, "rss_bytes": vitals.resident_memory, "worker": os.getpid()})

    async def wedge(request: Request) -> Response:
        seconds = parameters.seconds(request, "seconds", default=60, maximum=600)
        time.sleep(seconds)  # noqa: ASYNC251 - this is the fault
        return JSONResponse({"seconds": seconds, "worker": os.getpid()})

    async def fail(_request: Request) -> Response:
        raise RuntimeError("a bug on purpose")

    found = [Route("/slow", be_slow)]
    if leak_enabled or rehearsal_enabled:
        found.append(Route("/leak", leak, methods=["GET", "POST"]))
    if rehearsal_enabled:
        found += [Route("/wedge", wedge, methods=["POST"]), Route("/fail", fail, methods=["POST"])]
    return found
