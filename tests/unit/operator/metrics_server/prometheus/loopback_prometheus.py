"""Prometheus as it answers over HTTP, well or badly."""

import asyncio
import json
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Asked:
    """A request, and whether its connection was ended from the other side."""

    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    ended: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass
class Served:
    """A server and what it was asked."""

    port: int
    asked: list[Asked]


def answer(result: object, *, status: int = 200, **more: object) -> Answer:
    """An answer with a result."""
    return text(json.dumps({"status": "success", "data": {"resultType": "vector", "result": result}, **more}), status)


def text(body: str, status: int = 200, *headers: str) -> Answer:
    """An answer with any body."""

    async def send(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        content = body.encode()
        lines = [f"HTTP/1.1 {status} Scripted", f"Content-Length: {len(content)}", "Connection: close", *headers]
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + content)
        await writer.drain()

    return send


async def cut_off(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A body that ends before it is whole."""
    writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{"status": "success", "data": {"resul')
    await writer.drain()


async def reset(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A connection that is reset in the middle of the body."""
    await cut_off(_reader, writer)
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def broken_chunk(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A chunk whose length is no number."""
    writer.write(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"a":\r\nzz\r\n')
    await writer.drain()


async def drip_headers(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A header that never ends."""
    writer.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    await _drip(writer)


async def drip_body(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A body that never ends."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    await _drip(writer)


async def _drip(writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.01)


@asynccontextmanager
async def prometheus(answers: Answer, tls: ssl.SSLContext | None = None) -> AsyncIterator[Served]:
    """A server on the loopback interface that answers everything alike."""
    asked: list[Asked] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
            url = urlsplit(first.split(" ")[1])
            headers = dict(line.split(": ", 1) for line in lines)
            assert not url.query, "an address has room for a few kilobytes"
            form = (await reader.readexactly(int(headers["Content-Length"]))).decode()
            asked.append(request := Asked(url.path, parse_qs(form), headers))
            try:
                await answers(reader, writer)
            except OSError:
                request.ended.set()
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=tls)
    try:
        yield Served(server.sockets[0].getsockname()[1], asked)
    finally:
        server.close()
