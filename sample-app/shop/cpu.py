"""CPU-bound work beside the event loop.

Work done in a coroutine stops every other request of the worker until it is over. In a thread
the loop stays free to answer them, but not for nothing: one process runs Python code in one
thread at a time (the GIL), and the loop gets its turn when the other thread's is up, 5 ms later
by default. So a thread keeps the loop alive and adds no speed. Speed comes from processes, one
per CPU: that is what the workers are. Libraries that let go of the GIL (compression, hashing,
numpy) do run beside the loop in a thread.

One thread per worker: more would not be faster, and each takes turns away from the loop.
"""

import asyncio
import os
import time
from concurrent.futures import ThreadPoolExecutor

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from shop import parameters


def burn(seconds: float) -> None:
    """Use that much CPU time, however long it takes beside others."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        sum(range(1000))


def routes(thread: ThreadPoolExecutor) -> list[Route]:
    """Return the route that costs CPU."""

    async def use_cpu(request: Request) -> Response:
        milliseconds = parameters.whole_number(request, "milliseconds", default=20, minimum=1, maximum=1000)
        await asyncio.get_running_loop().run_in_executor(thread, burn, milliseconds / 1000)
        return JSONResponse({"milliseconds": milliseconds, "worker": os.getpid()})

    return [Route("/cpu", use_cpu)]
