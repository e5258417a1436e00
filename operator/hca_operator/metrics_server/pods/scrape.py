"""One HTTP request for the metrics of one pod."""

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

TIMEOUT_SECONDS = 1.0
"""For a whole answer."""
LARGEST_BODY_BYTES = 4 * 2**20
LONG_BODY_BYTES = 2**18
"""From here on an answer is parsed in a thread, so that the event loop does not wait for it."""
CHUNK_BYTES = 2**16

T = TypeVar("T")

_HEADERS = {
    "Accept": "text/plain;version=0.0.4,application/openmetrics-text;version=1.0.0;q=0.5,*/*;q=0.1",
    "Accept-Encoding": "identity",
    "User-Agent": "hca-operator",
}


class Target(NamedTuple):
    """A pod and where it exposes its metrics."""

    pod: Pod
    endpoint: Endpoint
    configured_by: str = "monitoring.path and monitoring.port"
    """The fields that lead there, for an error message."""

    @property
    def url(self) -> URL:
        """With the address of the pod, whatever the object says, and the path as it is."""
        path, _, query = self.endpoint.path.partition("?")
        host = f"[{self.pod.address}]" if ":" in self.pod.address else self.pod.address
        port = self.endpoint.port
        return URL.build(scheme="http", host=host, port=port, path=path, query_string=query, encoded=True)

    def __str__(self) -> str:
        return f"{self.endpoint.path.partition('?')[0]} on port {self.endpoint.port}"


class ScrapeFailure(HcaError):
    """A pod could not be read. The message says why and what to do.

    `result`: the label of the metric `hca_scrapes_total`.
    """

    def __init__(self, result: str, message: str) -> None:
        super().__init__(message)
        self.result = result


def scrape_session() -> aiohttp.ClientSession:
    """A session that keeps no connection: one would always lead to the same worker and hold up the end of a pod."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, force_close=True),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=TIMEOUT_SECONDS),
        headers=_HEADERS,
        auto_decompress=False,
    )


async def scrape(session: aiohttp.ClientSession, target: Target) -> PodSample:
    """The sample of a pod. Raises ScrapeFailure, whatever the reason."""
    return await fetch(session, target, partial(pod_sample, ignored_paths=target.endpoint.ignored_paths))


async def fetch(session: aiohttp.ClientSession, target: Target, parse: Callable[[str], T]) -> T:
    """What `parse` returns for the answer of a pod. Raises ScrapeFailure, whatever the reason."""
    try:
        body = await _body(session, target)
        if len(body) > LONG_BODY_BYTES:
            return await asyncio.to_thread(parse, body.decode(errors="replace"))
        return parse(body.decode(errors="replace"))
    except ScrapeFailure:
        raise
    except Unreadable as error:
        raise ScrapeFailure("unreadable", f"{target}: {error}") from error
    except TimeoutError as error:
        raise ScrapeFailure(
            "unreachable",
            f"{target} gives no answer within {TIMEOUT_SECONDS:g} s: have it answer sooner, and let traffic in",
        ) from error
    except Exception as error:  # whatever one pod answers must not end the task that reads the others
        why = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else type(error).__name__
        raise ScrapeFailure(
            "unreachable", f"{target} cannot be read ({why}): have something listen there, and let traffic in"
        ) from error


async def _body(session: aiohttp.ClientSession, target: Target) -> bytes:
    async with session.get(target.url, allow_redirects=False) as response:
        if response.status != 200:
            raise ScrapeFailure(
                "refused",
                f"{target} answers {response.status}: set {target.configured_by} to where the metrics are shown",
            )
        body = bytearray()
        async for chunk in response.content.iter_chunked(CHUNK_BYTES):
            body += chunk
            if len(body) > LARGEST_BODY_BYTES:
                raise ScrapeFailure(
                    "unreadable", f"{target} shows more than {LARGEST_BODY_BYTES >> 20} MiB: have it show fewer series"
                )
        return bytes(body)
