"""Asks a pod what its workers hold in memory: `process_resident_memory_bytes` among its metrics, of each worker."""

import asyncio
import math
import re
from collections.abc import AsyncIterator, Sequence

import aiohttp

from hca_operator.kube.pod_http import allowance, pod_session

MEMORY_TIMEOUT_SECONDS = 2.0
LARGEST_MEMORY_ANSWER_BYTES = 2**20
_RESIDENT = re.compile(
    rb"^process_resident_memory_bytes(?:\{[^\n]*\})?[ \t]+([0-9.eE+]{1,32})(?:[ \t]+[0-9.]{1,32})?\s*$", re.MULTILINE
)
"""With a timestamp or without one."""


async def resident_bytes(address: str, port: int, path: str) -> Sequence[int]:
    """The resident memory of each worker of the pod with that address; empty without an answer in time."""
    host = f"[{address}]" if ":" in address else address
    try:
        with allowance() as allowed:
            async with (
                pod_session(MEMORY_TIMEOUT_SECONDS, {}) as session,
                session.get(f"http://{host}:{port}{path}", allow_redirects=False) as answer,
            ):
                return _resident(await _bounded_body(allowed.chunks(answer))) if answer.status == 200 else ()
    except (aiohttp.ClientError, asyncio.IncompleteReadError, TimeoutError, OSError, ValueError):
        return ()


async def _bounded_body(chunks: AsyncIterator[bytes]) -> bytes:
    """The body; a ValueError for one that is too large."""
    body = bytearray()
    async for chunk in chunks:
        body += chunk
        if len(body) > LARGEST_MEMORY_ANSWER_BYTES:
            raise ValueError("too large")
    return bytes(body)


def _resident(body: bytes) -> list[int]:
    values = [float(found) for found in _RESIDENT.findall(body)]
    return [int(value) for value in values if math.isfinite(value)]
