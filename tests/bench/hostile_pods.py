"""Pods that answer for as long and as much as they like, beside one that answers as it should."""

import asyncio
import itertools
import multiprocessing
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager

from dev.control_plane import free_ports

HOST = "127.0.0.1"
MEBIBYTE = 2**20
Write = Callable[[bytes], Awaitable[None]]
Answer = Callable[[Write], Awaitable[None]]
HEAD = b"HTTP/1.1 200 OK\r\nConnection: close\r\n"
_HONEST = b"".join(
    b'http_request_duration_seconds_bucket{route="/%d",le="%s"} 7\n' % (route, bound)
    for route in range(20)
    for bound in (b"0.01", b"0.1", b"0.25", b"0.5", b"1", b"2.5", b"+Inf")
) + (b"http_requests_in_flight 3\n")
_numbers = itertools.count()


async def honest(write: Write) -> None:
    """As a small app answers."""
    await write(HEAD + b"\r\n" + _HONEST)


def _endless(piece: Callable[[], bytes]) -> Answer:
    async def answer(write: Write) -> None:
        await write(HEAD + b"\r\n")
        while True:
            await write(piece())

    return answer


def _label() -> bytes:
    return b'http_requests_total{path="%d%s"} 1\n' % (next(_numbers), b"x" * 4 * MEBIBYTE)


def _paths() -> bytes:
    first = next(_numbers) * 1000
    return b"".join(b'http_requests_total{path="/%d"} 1\n' % number for number in range(first, first + 1000))


async def tiny_chunks(write: Write) -> None:
    """A byte at a time."""
    await write(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
    while True:
        await write(b"1\r\n\n\r\n" * 10000)


async def buckets(write: Write) -> None:
    """Ten thousand of them."""
    lines = b"".join(b'http_request_duration_seconds_bucket{le="%d"} 7\n' % bound for bound in range(9990))
    await write(HEAD + b"\r\n" + lines + b'http_request_duration_seconds_bucket{le="+Inf"} 7\n')


async def many_buckets(write: Write) -> None:
    """As many as are allowed."""
    bounds = [b"%d.%d" % (bound, next(_numbers)) for bound in range(250)]
    lines = b"".join(b'http_request_duration_seconds_bucket{le="%s"} 7\n' % bound for bound in (*bounds, b"+Inf"))
    await write(HEAD + b"\r\n" + lines)


async def slow(write: Write) -> None:
    """Just in time."""
    await asyncio.sleep(0.95)
    await honest(write)


HONEST = "nothing hostile"
HOSTILE: dict[str, tuple[int, Answer]] = {
    HONEST: (0, honest),
    "labels of 4 MiB": (40, _endless(_label)),
    "a line that never ends": (40, _endless(lambda: b"#" * 2**16)),
    "nothing but line ends": (40, _endless(lambda: b"\n" * 2**16)),
    "a path for each request": (40, _endless(_paths)),
    "chunks of one byte": (40, tiny_chunks),
    "10,000 buckets": (40, buckets),
    "250 buckets, others each time": (400, many_buckets),
    "answers after 0.95 s": (400, slow),
}
"""How many pods there are of each kind, and what they answer."""


@contextmanager
def serving(kind: str) -> Iterator[tuple[int, int]]:
    """The ports of honest and of hostile pods, each in a process of their own."""
    ports = free_ports(2)
    processes = [
        multiprocessing.get_context("spawn").Process(target=_serve, args=(name, port), daemon=True)
        for name, port in zip((HONEST, kind), ports, strict=True)
    ]
    for process in processes:
        process.start()
    try:
        yield ports[0], ports[1]
    finally:
        for process in processes:
            process.kill()
            process.join()


def _serve(kind: str, port: int) -> None:
    async def main() -> None:
        server = await asyncio.start_server(handler(HOSTILE[kind][1]), HOST, port, backlog=1024)
        await server.serve_forever()

    asyncio.run(main())


def handler(answer: Answer) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async def write(data: bytes) -> None:
            writer.write(data)
            await writer.drain()

        try:
            await reader.readuntil(b"\r\n\r\n")
            await answer(write)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    return handle


async def lateness(seconds: float, every: float) -> AsyncIterator[float]:
    """By how much the event loop is late, time after time."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while (began := loop.time()) < end:
        await asyncio.sleep(every)
        yield loop.time() - began - every
