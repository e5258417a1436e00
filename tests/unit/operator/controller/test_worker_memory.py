"""What workers expose of their memory, by pods that are honest, broken or hostile."""

import asyncio
from contextlib import suppress

import pytest
from aiohttp import web

from hca_operator.controller.worker_memory import LARGEST_MEMORY_ANSWER_BYTES, resident_bytes
from tests.unit.operator.metrics_server.pods.loopback_pods import MOST_SENT_BYTES, Endless, pod_metrics

LOOPBACK = "127.0.0.1"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('process_resident_memory_bytes{worker="0"} 3.6e+07\nprocess_resident_memory_bytes{worker="1"} 41000000\n',
         [36_000_000, 41_000_000]),
        ("# TYPE process_resident_memory_bytes gauge\nprocess_resident_memory_bytes 5e7", [50_000_000]),
        ('process_resident_memory_bytes{worker="0"} 5e7 1764324000000\n', [50_000_000]),
        ("process_resident_memory_bytes NaN\nprocess_resident_memory_bytes -1\n", []),
        ("process_resident_memory_bytes 9e999\n", []),
        ("process_resident_memory_bytes 1e\n", []),
        ("another_process_resident_memory_bytes 1\nprocess_resident_memory_bytes_total 1\n", []),
        ("x" * (LARGEST_MEMORY_ANSWER_BYTES + 1) + "\nprocess_resident_memory_bytes 1\n", []),
        ('process_resident_memory_bytes{a="' * 30_000, []),
    ],
)  # fmt: skip
async def test_the_memory_of_each_worker_is_read(text: str, found: list[int]) -> None:
    async with pod_metrics(text, LOOPBACK) as port:
        assert list(await resident_bytes(LOOPBACK, port, "/metrics")) == found
        assert await resident_bytes(LOOPBACK, port, "/elsewhere") == ()


async def test_a_pod_that_does_not_listen_has_no_reading() -> None:
    async with pod_metrics("", LOOPBACK) as port:
        pass
    assert await resident_bytes(LOOPBACK, port, "/metrics") == ()
    assert await resident_bytes("::1", port, "/metrics") == ()
    assert await resident_bytes("", port, "/metrics") == ()


async def test_an_answer_that_redirects_is_not_followed() -> None:
    async def elsewhere(_request: web.Request) -> web.Response:
        raise web.HTTPFound("/metrics")

    async with pod_metrics("process_resident_memory_bytes 1\n", LOOPBACK) as port:
        app = web.Application()
        app.router.add_get("/moved", elsewhere)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, LOOPBACK, 0).start()
        assert await resident_bytes(LOOPBACK, runner.addresses[0][1], "/moved") == ()
        await runner.cleanup()
        assert await resident_bytes(LOOPBACK, port, "/metrics") == [1]


async def test_fault_76_answers_before_the_answer_are_bounded() -> None:
    endless = Endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100)
    ended = asyncio.Event()

    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            await endless(writer)
        writer.close()
        ended.set()

    async with await asyncio.start_server(serve, LOOPBACK, 0) as server:
        assert await resident_bytes(LOOPBACK, server.sockets[0].getsockname()[1], "/metrics") == ()
        await ended.wait()
    assert endless.sent < MOST_SENT_BYTES
