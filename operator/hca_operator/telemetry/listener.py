"""Accepts the connections of an HTTP server, and limits the number and lifetime of those without a client certificate.

Every client that can reach the port can open connections, and each takes up to 75 KiB of memory until it ends. So their
number is limited, and a new connection closes the oldest one of the address that has the most: a probe of the kubelet
always gets a connection. A client whose certificate is trusted is kube-apiserver, which keeps its connections.
"""

import asyncio
import socket
import ssl
from collections import Counter
from contextlib import suppress

from aiohttp import web

MOST = 128
"""Connections without a client certificate at a time."""
LIFETIME_SECONDS = 20.0
"""After which such a connection is closed: a request and its answer take a fraction of a second."""
HANDSHAKE_SECONDS = 5.0
IDLE_CONNECTION_SECONDS = 5.0
"""After which an idle connection without TLS is closed."""
ACCEPT_RETRY_SECONDS = 1.0
"""Pause after a connection could not be accepted, for example because there was no free file descriptor."""
POLL_SECONDS = 0.1
"""Interval at which is checked whether a connection has ended."""


class Listener:
    """Listens on one port of every address, for an aiohttp runner on which `setup()` was called."""

    def __init__(
        self, runner: web.AppRunner, tls: ssl.SSLContext | None = None, *, most: int = MOST,
        lifetime_seconds: float = LIFETIME_SECONDS,
    ) -> None:  # fmt: skip
        self._runner = runner
        self._tls = tls
        self._most = most
        self._lifetime_seconds = lifetime_seconds
        self._socket: socket.socket
        self._accepting: asyncio.Task[None] | None = None
        self._open: dict[asyncio.Task[None], str] = {}
        """The address of each connection without a certificate, by the task that ends it; the oldest first."""

    @property
    def port(self) -> int:
        """The port on which it listens, after `start`."""
        port: int = self._socket.getsockname()[1]
        return port

    async def start(self, port: int) -> None:
        """Start to listen; port 0 takes a free one. Raises OSError if the port is taken."""
        self._socket = _listening(port)
        self._accepting = asyncio.create_task(self._accept())

    async def cleanup(self) -> None:
        """Stop to listen, wait for the answers in progress, and close all connections."""
        if self._accepting is not None:
            self._accepting.cancel()
            with suppress(asyncio.CancelledError):
                await self._accepting
            self._socket.close()
        await self._runner.cleanup()
        for task in [*self._open]:
            task.cancel()

    async def _accept(self) -> None:
        while True:
            try:
                connection, address = await asyncio.get_running_loop().sock_accept(self._socket)
            except OSError:
                await asyncio.sleep(ACCEPT_RETRY_SECONDS)
                continue
            if len(self._open) >= self._most:
                self._end_one()
            task = asyncio.create_task(self._serve(connection))
            self._open[task] = address[0]
            task.add_done_callback(lambda ended: self._open.pop(ended, None))

    def _end_one(self) -> None:
        [(most, _)] = Counter(self._open.values()).most_common(1)
        oldest = next(task for task, address in self._open.items() if address == most)
        del self._open[oldest]
        oldest.cancel()

    async def _serve(self, connection: socket.socket) -> None:
        """Pass a connection to the server; without a client certificate, close it after its lifetime."""
        server = self._runner.server
        assert server is not None, "the runner was set up"  # noqa: S101
        limits = {"ssl_handshake_timeout": HANDSHAKE_SECONDS, "ssl_shutdown_timeout": 1.0} if self._tls else {}
        transport: asyncio.BaseTransport | None = None
        try:
            async with asyncio.timeout(self._lifetime_seconds):
                transport, _ = await asyncio.get_running_loop().connect_accepted_socket(
                    server, connection, ssl=self._tls, **limits
                )
                if _has_certificate(transport):
                    transport = None
                    return
                while not transport.is_closing():  # noqa: ASYNC110 - a transport has no event for it
                    await asyncio.sleep(POLL_SECONDS)
        except (OSError, TimeoutError):  # no handshake, or too late
            pass
        finally:
            if isinstance(transport, asyncio.WriteTransport) and not transport.is_closing():
                transport.abort()


def _has_certificate(transport: asyncio.BaseTransport) -> bool:
    secured: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
    return secured is not None and bool(secured.getpeercert())


def _listening(port: int) -> socket.socket:
    try:
        made = socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
    except (OSError, ValueError):  # no IPv6
        made = socket.create_server(("", port))
    made.setblocking(False)
    return made
