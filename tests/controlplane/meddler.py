"""A proxy between an operator and the API server, through which tests have things go wrong."""

import asyncio
import json
import re
import ssl
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Self

import aiohttp
from aiohttp import web

from dev.control_plane import HOST, ControlPlane
from tests.controlplane.api_server import Manifest
from tests.controlplane.kubeconfig import client_context, redirected

LONGEST_EVENT = 2**22
PLACE = re.compile(
    r"/apis?/(?:[^/]+/)?v[^/]+/(?:namespaces/(?P<namespace>[^/]+)/)?"
    r"(?P<resource>[^/]+)(?:/(?P<name>[^/]+))?(?:/(?P<subresource>.+))?"
)


@dataclass(frozen=True)
class Asked:
    """A request of the operator."""

    verb: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes

    @property
    def resource(self) -> str:
        """What kind of object it is about, in the plural; "" where it is about none."""
        return self._place("resource")

    @property
    def namespace(self) -> str:
        """Where the object is, "" where it is in none or in any."""
        return self._place("namespace")

    @property
    def name(self) -> str:
        """Which object, "" where it is about all."""
        return self._place("name")

    @property
    def writes(self) -> bool:
        """Whether it changes an object; a Lease is not one that a user asked for."""
        return self.verb != "GET" and self.resource != "leases"

    @property
    def watches(self) -> bool:
        """Whether the answer is a stream of events."""
        return self.query.get("watch") in {"1", "true"}

    def _place(self, part: str) -> str:
        found = PLACE.fullmatch(self.path)
        return (found[part] or "") if found else ""


@dataclass(frozen=True)
class Answer:
    """What the operator gets."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    stream: aiohttp.ClientResponse | None = None
    """Where the events of a watch come from, instead of a body."""


@dataclass(frozen=True)
class Event:
    """One event of a watch."""

    resource: str
    type: str
    object: Manifest

    @property
    def name(self) -> str:
        """Name of the object, "" in a bookmark."""
        return str(self.object["metadata"].get("name", ""))


def kept(headers: Mapping[str, str], *names: str) -> dict[str, str]:
    """Those of the headers that matter."""
    return {name: headers[name] for name in names if name in headers}


Ask = Callable[[Asked], Awaitable[Answer]]


class Fault:
    """What goes wrong. As it stands, nothing does."""

    async def answer(self, asked: Asked, ask: Ask) -> Answer:
        """The answer to a request; `ask` has the API server's own."""
        return await ask(asked)

    async def lets_through(self, _event: Event) -> bool:
        """Whether the operator receives an event; the events after it wait until that is decided."""
        return True

    def end(self) -> None:
        """Let go of what is held back."""


class Meddler:
    """Passes everything on, but for the faults of the moment."""

    def __init__(self, control_plane: ControlPlane) -> None:
        self._control_plane = control_plane
        self._faults: list[Fault] = []
        self._streams: set[asyncio.Task[None]] = set()
        self._silent: set[asyncio.Task[None]] = set()
        self._listening = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._listening.wait()
        return self

    def __exit__(self, *_error: object) -> None:
        self._do(self._stop.set)
        self._thread.join()

    def kubeconfig(self) -> Path:
        """How to reach the API server through here."""
        return redirected(self._control_plane.kubeconfig, self._port)

    @contextmanager
    def meddling(self, fault: Fault) -> Iterator[None]:
        """Have a fault for a while."""
        self._do(lambda: self._faults.append(fault))
        try:
            yield
        finally:
            self._do(lambda: self._faults.remove(fault))
            self._do(fault.end)

    def end_streams(self) -> None:
        """Close every watch, as an API server does that goes."""
        self._do(lambda: [stream.cancel() for stream in self._streams])

    def silence_streams(self) -> None:
        """Have every watch of now go on without a word, as after a lost route: no client learns that it is over."""

        def silence() -> None:
            self._silent |= self._streams
            for stream in self._streams:
                stream.cancel()

        self._do(silence)

    def _do(self, act: Callable[[], object]) -> None:
        """Do something in the proxy's own thread, and wait until it is done."""

        async def done() -> None:
            act()

        asyncio.run_coroutine_threadsafe(done(), self._loop).result(timeout=30)

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        app = web.Application(client_max_size=LONGEST_EVENT)
        app.router.add_route("*", "/{path:.*}", self._handle)
        # A client that has gone waits for no answer: a watch ends with its client.
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
        connector = aiohttp.TCPConnector(ssl=client_context(self._control_plane.kubeconfig), limit=0)
        async with aiohttp.ClientSession(
            self._control_plane.url,
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=None),
            read_bufsize=LONGEST_EVENT,
        ) as self._upstream:
            await runner.setup()
            await web.TCPSite(runner, HOST, 0, ssl_context=self._server_context()).start()
            self._port = runner.addresses[0][1]
            self._listening.set()
            await self._stop.wait()
            await runner.cleanup()

    def _server_context(self) -> ssl.SSLContext:
        """TLS as the API server, with its own certificate: the operator cannot tell the two apart."""
        pki = self._control_plane.folder / "pki"
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(pki / "apiserver.crt", pki / "apiserver.key")
        return context

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        headers = kept(request.headers, "Accept", "Content-Type")
        asked = Asked(request.method, request.path, dict(request.query), headers, await request.read())
        ask: Ask = self._forward
        for fault in self._faults:
            ask = partial(fault.answer, ask=ask)
        answer = await ask(asked)
        if answer.stream is None:
            return web.Response(status=answer.status, body=answer.body, headers=answer.headers)
        async with answer.stream:
            return await self._stream(request, asked, answer.stream)

    async def _forward(self, asked: Asked) -> Answer:
        response = await self._upstream.request(
            asked.verb, asked.path, params=asked.query, data=asked.body or None, headers=asked.headers
        )
        if asked.watches and response.ok:
            return Answer(response.status, stream=response)
        async with response:
            kept = {
                name: response.headers[name] for name in ("Content-Type", "Retry-After") if name in response.headers
            }
            return Answer(response.status, await response.read(), kept)

    async def _stream(self, request: web.Request, asked: Asked, upstream: aiohttp.ClientResponse) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        stream = asyncio.create_task(self._stream_events(asked, upstream, response))
        self._streams.add(stream)
        try:
            await asyncio.wait({stream})
            if stream in self._silent:
                await asyncio.Event().wait()
        finally:
            stream.cancel()
            self._streams.discard(stream)
            self._silent.discard(stream)
        return response

    async def _stream_events(
        self, asked: Asked, upstream: aiohttp.ClientResponse, response: web.StreamResponse
    ) -> None:
        with suppress(ConnectionError, aiohttp.ClientError):  # either end may go
            async for line in upstream.content:
                reported = json.loads(line)
                event = Event(asked.resource, reported["type"], reported["object"])
                if all([await fault.lets_through(event) for fault in self._faults]):
                    await response.write(line)
