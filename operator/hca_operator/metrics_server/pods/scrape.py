"""One look at the metrics of one pod."""

import asyncio
import os
from collections.abc import Callable
from functools import partial
from typing import NamedTuple, TypeVar

import aiohttp
from yarl import URL

from hca_operator.core.errors import HcaError
from hca_operator.metrics_server.inventory.targets import Endpoint, Pod
from hca_operator.metrics_server.samples.exposition import PodSample, Unreadable, pod_sample

TIMEOUT = 1.0
"""Seconds for a whole answer. A pod that takes longer is not known."""
LARGEST_BODY = 4 * 2**20
LONG_BODY = 2**18
"""Bytes from which on an answer is parsed beside the event loop, so that nobody waits for it."""
CHUNK = 2**16

T = TypeVar("T")

_HEADERS = {
    "Accept": "text/plain;version=0.0.4,application/openmetrics-text;version=1.0.0;q=0.5,*/*;q=0.1",
    "Accept-Encoding": "identity",
    "User-Agent": "hca-operator",
}


class Target(NamedTuple):
    """Whom to ask, and where."""

    pod: Pod
    endpoint: Endpoint
    said_by: str = "monitoring.path and monitoring.port"
    """The fields that lead there, for whoever has to set them right."""

    @property
    def url(self) -> URL:
        """The pod's own address, whatever the object says; the path as it is."""
        path, _, query = self.endpoint.path.partition("?")
        host = f"[{self.pod.address}]" if ":" in self.pod.address else self.pod.address
        port = self.endpoint.port
        return URL.build(scheme="http", host=host, port=port, path=path, query_string=query, encoded=True)

    def __str__(self) -> str:
        return f"{self.endpoint.path.partition('?')[0]} on port {self.endpoint.port}"


class Failure(HcaError):
    """A pod told nothing; the sentence says why and what to do, for whoever looks after the object."""

    def __init__(self, result: str, message: str) -> None:
        super().__init__(message)
        self.result = result


def scrape_session() -> aiohttp.ClientSession:
    """What scrapes share: no connection, for it would always lead to the same worker and hold up a pod's end."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, force_close=True),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=TIMEOUT),
        headers=_HEADERS,
        auto_decompress=False,
    )


async def scrape(session: aiohttp.ClientSession, target: Target) -> PodSample:
    """What a pod tells of itself. Raises Failure where it tells nothing, whatever the reason."""
    return await ask(session, target, partial(pod_sample, aside=target.endpoint.aside))


async def ask(session: aiohttp.ClientSession, target: Target, read: Callable[[str], T]) -> T:
    """What a pod shows, as `read` reads it. Raises Failure where that is nothing, whatever the reason."""
    try:
        body = await _body(session, target)
        if len(body) > LONG_BODY:
            return await asyncio.to_thread(read, body.decode(errors="replace"))
        return read(body.decode(errors="replace"))
    except Failure:
        raise
    except Unreadable as error:
        raise Failure("unreadable", f"{target}: {error}") from error
    except TimeoutError as error:
        raise Failure(
            "unreachable",
            f"{target} gives no answer within {TIMEOUT:g} s: have it answer sooner, and let traffic in",
        ) from error
    except Exception as error:  # nothing that a pod can answer may be anybody else's trouble
        why = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else type(error).__name__
        raise Failure(
            "unreachable", f"{target} cannot be read ({why}): have something listen there, and let traffic in"
        ) from error


async def _body(session: aiohttp.ClientSession, target: Target) -> bytes:
    async with session.get(target.url, allow_redirects=False) as response:
        if response.status != 200:
            raise Failure(
                "refused",
                f"{target} answers {response.status}: set {target.said_by} to where the metrics are shown",
            )
        body = bytearray()
        async for chunk in response.content.iter_chunked(CHUNK):
            body += chunk
            if len(body) > LARGEST_BODY:
                raise Failure(
                    "unreadable", f"{target} shows more than {LARGEST_BODY >> 20} MiB: have it show fewer series"
                )
        return bytes(body)
