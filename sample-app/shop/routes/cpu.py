"""GET /cpu: a request with CPU-bound work."""

import os
from concurrent.futures.process import BrokenProcessPool

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from shop.http import parameters
from shop.http.problems import problem
from shop.offload.cpu_pool import CpuPool


def routes(pool: CpuPool) -> list[Route]:
    """Return the route of CPU-bound work."""

    async def use_cpu(request: Request) -> Response:
        milliseconds = parameters.whole_number(request, "milliseconds", default=20, minimum=1, maximum=1000)
        try:
            process = await pool.burn(milliseconds / 1000)
        except BrokenProcessPool:
            return problem(503, "The process that did this work was killed; try again.", {"Retry-After": "1"})
        return JSONResponse({"milliseconds": milliseconds, "worker": os.getpid(), "process": process})

    return [Route("/cpu", use_cpu)]
