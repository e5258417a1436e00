"""Over real connections: who is let in, and for how long, however many others come."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from aiohttp import web

from hca_operator.metrics_server.serving.certificate import CertificateStep, take_step
from hca_operator.metrics_server.serving.tls import ServingTls
from hca_operator.telemetry.listener import Listener
from tests.unit.operator.metrics_server.serving.test_tls import HOST, NOW, Authority

FEW = 4
SHORT_LIFETIME, NEVER = 0.2, 60.0
PATIENCE = 20
REQUEST = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def listening(*, lifetime: float, tls: ssl.SSLContext | None = None) -> AsyncIterator[Listener]:
    async def healthy(_request: web.Request) -> web.Response:
        return web.Response(text="ok")

    app = web.Application()
    app.router.add_get("/healthz", healthy)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0)
    await runner.setup()
    listener = Listener(runner, tls, most=FEW, lifetime_seconds=lifetime)
    await listener.start(0)
    try:
        yield listener
    finally:
        await listener.cleanup()


async def connect(listener: Listener, address: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> Connection:
    return await asyncio.open_connection(
        "127.0.0.1", listener.port, local_addr=(address, 0), ssl=tls, server_hostname=HOST if tls else None
    )


async def ask(connection: Connection) -> bytes:
    reader, writer = connection
    writer.write(REQUEST)
    async with asyncio.timeout(PATIENCE):
        return (await reader.readuntil(b"ok")).split(b"\r\n")[0]


async def ended(connection: Connection) -> bool:
    with suppress(ConnectionError):
        async with asyncio.timeout(PATIENCE):
            return await connection[0].read() == b""
    return True


async def end(*connections: Connection) -> None:
    for _, writer in connections:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


async def test_fault_43_a_new_connection_takes_the_place_of_the_oldest_of_the_address_with_the_most() -> None:
    async with listening(lifetime=NEVER) as listener:
        other = await connect(listener, "127.0.0.2")
        assert await ask(other) == b"HTTP/1.1 200 OK"
        many = [await connect(listener) for _ in range(5 * FEW)]
        for old in many[: -FEW + 1]:
            assert await ended(old)
        assert await ask(other) == b"HTTP/1.1 200 OK", "which was there before all of them"
        assert await ask(many[-1]) == b"HTTP/1.1 200 OK"
        await end(other, *many)


async def test_fault_43_a_connection_without_a_certificate_ends_after_a_while() -> None:
    async with listening(lifetime=SHORT_LIFETIME) as listener:
        silent, talking = await connect(listener), await connect(listener)
        assert await ask(talking) == b"HTTP/1.1 200 OK"
        assert await ended(silent)
        assert await ended(talking)
        await end(silent, talking)


@pytest.mark.parametrize("lifetime", [SHORT_LIFETIME, NEVER])
async def test_fault_43_the_api_server_keeps_its_connections_whichever_clients_come(
    tmp_path: Path, lifetime: float
) -> None:
    serving, authority = ServingTls(), Authority("front-proxy")
    made = take_step(CertificateStep.BEGIN, None, [HOST], NOW)
    serving.serve(made.certificate, made.key)
    serving.trust(authority.certificate.decode())
    (tmp_path / "pair.pem").write_bytes(authority.client("api-server"))
    anonymous = ssl.create_default_context(cadata=made.bundle.decode())
    api_server = ssl.create_default_context(cadata=made.bundle.decode())
    api_server.load_cert_chain(tmp_path / "pair.pem")
    async with listening(lifetime=lifetime, tls=serving.context) as listener:
        kept = await connect(listener, tls=api_server)
        assert await ask(kept) == b"HTTP/1.1 200 OK"
        without_handshake = [await connect(listener) for _ in range(5 * FEW)]
        probe = await connect(listener, "127.0.0.2", tls=anonymous)
        assert await ask(probe) == b"HTTP/1.1 200 OK"
        for silent in without_handshake[: -FEW + 1]:
            assert await ended(silent)
        if lifetime == SHORT_LIFETIME:
            assert await ended(probe)
            assert await ended(without_handshake[-1])
        assert await ask(kept) == b"HTTP/1.1 200 OK"
        await end(kept, probe, *without_handshake)
