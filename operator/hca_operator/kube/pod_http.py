"""HTTP requests to pods, which belong to tenants: what a pod sends is bounded before it is parsed."""

import errno
import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar

import aiohttp

CHUNK_BYTES = 2**14
"""Of a body that are handed over at a time."""
LARGEST_HEAD_BYTES = 2**16
"""Received until the head of an answer is complete. Any number of answers with a status of 1xx may precede it, and to
parse those takes most of a processor."""
_AHEAD_BYTES = 2**19
"""Received and not handed over yet: what the buffers of sockets and of aiohttp take."""
_RAW_BYTES_PER_BYTE = 2
"""Of a body: chunked transfer encoding takes six bytes and more for each chunk, of which each has to be parsed."""


class Allowance:
    """How many bytes a connection may receive."""

    def __init__(self) -> None:
        self.left = LARGEST_HEAD_BYTES
        self.received = 0

    def take(self, count: int) -> None:
        """Some bytes were received. Raises OSError when the pod has sent too much."""
        self.received += count
        self.left -= count
        if self.exceeded:
            raise OSError(errno.EMSGSIZE, "the pod has sent too much")

    async def chunks(self, answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
        """The body, piece by piece."""
        self.left += _AHEAD_BYTES
        async for chunk in answer.content.iter_chunked(CHUNK_BYTES):
            self.left += _RAW_BYTES_PER_BYTE * len(chunk)
            yield chunk

    @property
    def exceeded(self) -> bool:
        """Whether the connection was ended because the pod has sent too much."""
        return self.left < 0


_allowance: ContextVar[Allowance] = ContextVar("allowance")


@contextmanager
def allowance() -> Iterator[Allowance]:
    """What the next connection of this task may receive."""
    token = _allowance.set(made := Allowance())
    try:
        yield made
    finally:
        _allowance.reset(token)


class _Socket(socket.socket):
    """Receives no more than its allowance."""

    allowance: Allowance

    def recv(self, size: int, flags: int = 0, /) -> bytes:
        """Receive. Raises OSError when the pod has sent too much."""
        data = super().recv(size, flags)
        self.allowance.take(len(data))
        return data


def _pod_socket(address: aiohttp.AddrInfoType) -> socket.socket:
    """A socket with a small receive buffer, so that a pod that sends fast takes little memory."""
    family, kind, protocol, *_ = address
    made = _Socket(family, kind, protocol)
    made.allowance = _allowance.get()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, CHUNK_BYTES)
    return made


@asynccontextmanager
async def pod_session(timeout_seconds: float, headers: Mapping[str, str]) -> AsyncIterator[aiohttp.ClientSession]:
    """A session for requests that are each made within `allowance()`; `timeout_seconds` is for a whole answer.

    Without keep-alive: a kept connection would always reach the same worker, and delay the end of a pod. Bodies are not
    decompressed, and cookies are not kept.
    """
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, force_close=True, socket_factory=_pod_socket),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=timeout_seconds),
        headers=headers,
        auto_decompress=False,
        read_bufsize=CHUNK_BYTES,
    ) as session:
        yield session
