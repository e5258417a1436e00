"""Single HTTP requests to the API server: credentials, time-outs, the leader's fence, and errors by their meaning."""

import asyncio
import io
import json
import math
import re
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, NamedTuple

import aiohttp
from kubernetes.aio import client, config

from hca_operator.core.errors import Conflict, Expired, Forbidden, HcaError, Rejected, TooLarge, Transient
from hca_operator.core.names import Manifest
from hca_operator.kube.resources import accepted_in_lists, accepted_in_watches, path_of

REQUEST_TIMEOUT_SECONDS = 10.0
"""A request that takes longer is tried again later and does not hold a worker."""
WATCH_TIMEOUT_SECONDS = 300
"""After this the API server ends a watch; the next one goes on where it ended."""
WATCH_SILENCE_SECONDS = 90.0
"""A watch without any data for this long counts as dead: bookmarks come about every minute."""
STALE_PATCH = "the server rejected our request due to an error in our request"
"""What the API server says of a JSON Patch that does not fit the object any more, such as one whose test fails or whose
path is gone. An object that is not valid gets other words."""
UNACKNOWLEDGED_SECONDS = 4.0
"""For how long the kernel tries to deliver what it was given. It lies between the leader's fence and the end of its
Lease, so that a write of a leader that was cut off cannot arrive after its successor has begun."""
_UNCOMPRESSED = {"Accept-Encoding": "identity"}
"""To compress and decompress lists takes more time than to send them, and holds the event loop."""
LARGEST_PIECE_BYTES = 256 * 1024
"""A larger body is sent in pieces of the size that aiohttp reads of a file. OpenSSL makes room for all that it is given
at once, and keeps it for as long as the connection lasts."""

_OTHER_IN_YAML = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")

Body = Manifest | Sequence[Manifest] | bytes | None


class WatchEvent(NamedTuple):
    """An event of a watch. The type is ADDED, MODIFIED, DELETED, or BOOKMARK, which has a resource version only."""

    type: str
    object: Manifest


RequestObserver = Callable[[str, str, int, float], None]
"""Called after each request: verb, kind, HTTP status (0: no answer), seconds."""


async def connect() -> client.ApiClient:
    """Connect as the pod's service account, or as the kubeconfig's user outside a cluster."""
    configuration = client.Configuration()
    try:
        config.load_incluster_config(client_configuration=configuration)
    except config.ConfigException:
        await config.load_kube_config(client_configuration=configuration)
    api = client.ApiClient(configuration)
    configuration.client_session_kwargs = session_options(api)
    return api


def session_options(api: client.ApiClient) -> dict[str, Any]:
    """How the aiohttp session of a client is made. `Connection.close` closes its connector."""
    return {
        "connector": aiohttp.TCPConnector(ssl=api.rest_client.ssl_context, socket_factory=_socket),
        "middlewares": [_in_pieces],
        # kopf's connections use no proxy of the environment, either; to ask for one takes two threads for each request.
        "trust_env": False,
    }


class Connection:
    """Sends requests with the credentials of an `ApiClient`."""

    def __init__(
        self, api: client.ApiClient, observe: RequestObserver, writable_seconds: Callable[[], float] | None = None
    ) -> None:
        """`writable_seconds`: for how long this process may still write. No write takes longer, and none starts at 0.

        None: without a limit.
        """
        self._api = api
        self._observe = observe
        self._writable_seconds = writable_seconds

    async def close(self) -> None:
        """Close the connections."""
        await self._api.close()
        await self._api.configuration.client_session_kwargs["connector"].close()

    async def get_path(self, path: str) -> Manifest:
        """The JSON at a path that is no object, such as /version. Raises HcaError."""
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT_SECONDS):
                status, headers, payload = await self._send("GET", path, None, "application/json")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Transient(f"GET {path}: {str(error) or type(error).__name__}") from error
        if status >= 400:
            raise failure(f"GET {path}", status, headers.get("Retry-After"), payload)
        return _answer(f"GET {path}", payload)

    async def request(  # noqa: PLR0913 - one place for what every verb needs
        self,
        verb: str,
        kind: str,
        namespace: str,
        name: str = "",
        *,
        query: dict[str, str] | None = None,
        body: Body = None,
        content_type: str = "application/json",
        absent_is_none: bool = False,
        most_bytes: int | None = None,
    ) -> Manifest | None:
        """The JSON of the answer; None for a 404 if `absent_is_none`. Raises HcaError.

        TooLarge: the answer has more than `most_bytes`, which were not kept.
        """
        timeout = REQUEST_TIMEOUT_SECONDS
        if verb != "GET" and self._writable_seconds is not None:
            timeout = min(timeout, self._writable_seconds())
            if not timeout:
                raise Transient(f"{verb} {kind} {namespace}/{name}: not the leader")
            # The API server gives up as well: it must not carry out later what the operator no longer waits for.
            query = {**(query or {}), "timeout": f"{math.ceil(timeout)}s"}
        path = path_of(kind, namespace, name, query)
        loop = asyncio.get_running_loop()
        started, status = loop.time(), 0
        try:
            async with asyncio.timeout(timeout):
                accepted = "application/json" if name else accepted_in_lists(kind)
                status, headers, payload = await self._send(
                    verb, path, body, content_type, accepted, most_bytes=most_bytes
                )
        except TooLarge as error:
            status = 200  # errors are short
            raise TooLarge(f"{verb} {kind} {namespace}/{name}: {error}") from None
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Transient(f"{verb} {kind} {namespace}/{name}: {str(error) or type(error).__name__}") from error
        finally:
            self._observe(verb, kind, status, loop.time() - started)
        if status == 404 and absent_is_none:
            return None
        if status >= 400:
            raise failure(f"{verb} {kind} {namespace}/{name}", status, headers.get("Retry-After"), payload)
        return _answer(f"{verb} {kind} {namespace}/{name}", payload)

    async def watch(self, kind: str, namespace: str, version: int, **selectors: str) -> AsyncIterator[WatchEvent]:
        """Events after a resource version, until the API server ends the stream.

        Raises Expired if that version is too old to go on from, Transient if the connection breaks or is silent for
        longer than the API server ever is.
        """
        query = {
            "watch": "true",
            "resourceVersion": str(version),
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(WATCH_TIMEOUT_SECONDS),
            **selectors,
        }
        what = f"WATCH {kind} {namespace}"
        timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=REQUEST_TIMEOUT_SECONDS, sock_read=WATCH_SILENCE_SECONDS
        )
        try:
            parameters = await self._api.param_serialize(
                "GET", path_of(kind, namespace, "", query), auth_settings=["BearerToken"],
                header_params={"Accept": accepted_in_watches(kind), **_UNCOMPRESSED},
            )  # fmt: skip
            response = (await self._api.call_api(*parameters, _request_timeout=timeout)).response
            async with response:
                self._observe("WATCH", kind, response.status, 0.0)
                if response.status >= 400:
                    raise failure(what, response.status, response.headers.get("Retry-After"), await response.read())
                async for line in _lines(response.content):
                    yield _watch_event(what, line)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError, RecursionError) as error:
            raise Transient(f"{what}: {str(error) or type(error).__name__}") from error

    async def _send(  # noqa: PLR0913 - as `request`
        self,
        verb: str,
        path: str,
        body: Body,
        content_type: str,
        accepted: str = "application/json",
        *,
        most_bytes: int | None = None,
    ) -> tuple[int, dict[str, str], bytes]:
        parameters = await self._api.param_serialize(
            verb,
            path,
            header_params={"Accept": accepted, "Content-Type": content_type, **_UNCOMPRESSED},
            body=body,
            auth_settings=["BearerToken"],
        )
        response = await self._api.call_api(*parameters, _request_timeout=REQUEST_TIMEOUT_SECONDS)
        return response.status, dict(response.headers), await _body(response.response, most_bytes)


async def _body(response: aiohttp.ClientResponse, most_bytes: int | None) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for part in response.content.iter_any():
        size += len(part)
        if most_bytes is not None and size > most_bytes:
            response.close()
            raise TooLarge(f"more than {most_bytes} bytes")
        parts.append(part)
    return b"".join(parts)


async def _lines(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """The lines of a stream. aiohttp's own end in an error at 4 MiB, which an object in JSON may exceed."""
    parts: list[bytes] = []
    async for piece in content.iter_any():
        first, *others = piece.split(b"\n")
        parts.append(first)
        for start in others:
            yield b"".join(parts)
            parts = [start]
    if rest := b"".join(parts):
        yield rest


def _watch_event(what: str, line: bytes) -> WatchEvent:
    event = _answer(what, line)
    match event:
        case {"type": "ERROR", "object": dict(error)}:
            raise failure(what, int(error.get("code") or 500), None, json.dumps(error).encode())
        case {"type": str(type_), "object": {"metadata": {"resourceVersion": str()}} as found}:
            return WatchEvent(type_, found)
    raise Transient(f"{what}: an event is not one of the Kubernetes API")


def _answer(what: str, payload: bytes) -> Manifest:
    """The JSON object of an answer. Raises Transient: what lies between may answer something else for a while."""
    try:
        answer = json.loads(payload)
    except (ValueError, RecursionError) as error:
        raise Transient(f"{what}: the answer is no JSON: {error}") from None
    if not isinstance(answer, dict):
        raise Transient(f"{what}: the answer is no JSON object")
    return answer


async def _in_pieces(request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    if isinstance(request.body, aiohttp.BytesPayload) and (request.body.size or 0) > LARGEST_PIECE_BYTES:
        await request.update_body(io.BytesIO(await request.body.as_bytes()))
    return await send(request)


def _socket(address: tuple[Any, ...]) -> socket.socket:
    family, kind, protocol, _, _ = address
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(UNACKNOWLEDGED_SECONDS * 1000))
    return made


def yaml_body(manifest: Manifest) -> bytes:
    """JSON that reads the same as YAML, which the body of an apply is.

    YAML has no surrogate pairs, so an emoji must not be escaped; and it breaks lines at, or refuses, a few characters
    that JSON takes as they are.
    """
    text = json.dumps(manifest, ensure_ascii=False)
    return _OTHER_IN_YAML.sub(lambda found: f"\\u{ord(found[0]):04x}", text).encode()


def failure(what: str, status: int, retry_after: str | None, payload: bytes) -> HcaError:
    """The error for an HTTP status of the API server; its type decides whether it is retried.

    404 for a write means that the namespace or the kind is gone, which may pass.
    """
    try:
        answer: Any = json.loads(payload)
        message = str(answer.get("message", "")) if isinstance(answer, dict) else ""
    except (ValueError, RecursionError):
        message = payload[:200].decode(errors="replace")
    text = f"{what}: {message or f'HTTP {status}'}"
    if status == 409 or (status == 422 and message == STALE_PATCH):
        return Conflict(text)
    if status == 410:
        return Expired(text)
    if status in {400, 405, 413, 415, 422}:
        return Rejected(text)
    if status == 403:
        # RBAC says "cannot"; quota, admission and a namespace that is going say "forbidden" for other reasons.
        return Forbidden(text) if " cannot " in message else Rejected(text)
    wished = re.fullmatch("[0-9]{1,5}", retry_after or "", re.ASCII)
    return Transient(text, retry_after=float(wished[0]) if wished else None)
