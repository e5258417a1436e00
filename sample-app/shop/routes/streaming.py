"""Bodies of any size at constant memory.

A body that is read completely before it is used costs its size for each request in progress: ten uploads of 100 MiB
kill the pod. Here one piece at a time is in memory, in both directions, and the next piece is read or made only after
the previous one was processed (backpressure).

A real upload would send each piece on to an object store. Here it is hashed: a piece of 64 KiB takes too little time to
delay the event loop.
"""

import hashlib
from collections.abc import AsyncIterator

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from shop.http import parameters

MEBIBYTE = 1024 * 1024
_PIECE = bytes(range(256)) * 256


def routes(*, upload_mebibytes: int) -> list[Route]:
    """Return the routes of uploads and downloads."""
    limit = upload_mebibytes * MEBIBYTE

    async def upload(request: Request) -> Response:
        size, digest = 0, hashlib.sha256()
        async for piece in request.stream():
            size += len(piece)
            if size > limit:
                raise HTTPException(413, f"The body must be at most {upload_mebibytes} MiB.")
            digest.update(piece)
        return JSONResponse({"bytes": size, "sha256": digest.hexdigest()}, 201)

    async def download(request: Request) -> Response:
        mebibytes = parameters.whole_number(request, "mebibytes", default=1, minimum=1, maximum=1024)
        size = mebibytes * MEBIBYTE

        async def pieces() -> AsyncIterator[bytes]:
            for _ in range(size // len(_PIECE)):
                yield _PIECE

        headers = {"Content-Length": str(size), "Content-Disposition": 'attachment; filename="download.bin"'}
        return StreamingResponse(pieces(), media_type="application/octet-stream", headers=headers)

    return [Route("/uploads", upload, methods=["POST"]), Route("/downloads", download)]
