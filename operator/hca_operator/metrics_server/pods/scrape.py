"""One HTTP request for the metrics of one pod."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple, Protocol, TypeVar

import aiohttp
from yarl import URL

from hca_operator.core.errors import HcaError
from hca_operator.core.ports import Key
from hca_operator.kube.pod_http import LARGEST_HEAD_BYTES, Allowance, allowance, pod_session
from hca_operator.metrics_server.inventory.targets import Endpoint, Pod
from hca_operator.metrics_server.polling.turns import Turns
from hca_operator.metrics_server.samples.exposition import Exposition, PodSample, Unreadable

SCRAPE_TIMEOUT_SECONDS = 1.0
"""For a whole answer."""
LARGEST_SCRAPE_BYTES = 4 * 2**20
LONGEST_LINE_BYTES = 2**14

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

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
    """The fields of the spec that set the endpoint, for an error message."""

    @property
    def url(self) -> URL:
        """With the address of the pod, whatever the object says, and the path as it is."""
        path, _, query = self.endpoint.path.partition("?")
        host = f"[{self.pod.address}]" if ":" in self.pod.address else self.pod.address
        port = self.endpoint.port
        return URL.build(scheme="http", host=host, port=port, path=path, query_string=query, encoded=True)

    def __str__(self) -> str:
        return f"{self.endpoint.path.partition('?')[0]} on port {self.endpoint.port}"


class Answer(Protocol[T_co]):
    """Parses an answer, which is fed piece by piece."""

    def feed(self, lines: bytes) -> None:
        """Take in whole lines. Raises Unreadable."""

    def result(self) -> T_co:
        """The result of all lines."""


class ScrapeFailure(HcaError):
    """A pod could not be read. The message says why and what to do.

    `result`: the label of the metric `hca_scrapes_total`. `received`: how many bytes it has sent.
    """

    def __init__(self, result: str, message: str) -> None:
        super().__init__(message)
        self.result = result
        self.received = 0


class PodClient:
    """Sends requests to pods. Answers are parsed one piece at a time, in turn for each namespace and object."""

    def __init__(self, http: aiohttp.ClientSession) -> None:
        self._http = http
        self._parsing = Turns(1)

    async def fetch(self, api: Key, target: Target, answer: Answer[T]) -> T:
        """The result of `answer` for the response of a pod. Every failure raises ScrapeFailure."""
        with allowance() as allowed:
            try:
                return await self._fetch(api, target, answer, allowed)
            except Exception as error:  # no answer of one pod may end the task that reads the others
                failure = _failure(target, error, sent_too_much=allowed.exceeded)
                failure.received = allowed.received
                raise failure from error

    async def _fetch(self, api: Key, target: Target, answer: Answer[T], allowed: Allowance) -> T:
        async with self._http.get(target.url, allow_redirects=False) as response:
            if response.status != 200:
                raise ScrapeFailure(
                    "refused",
                    f"{target} answers {response.status}: set {target.configured_by} to where the metrics are shown",
                )
            await self._read(api, target, allowed.chunks(response), answer)
        return answer.result()

    async def _read(self, api: Key, target: Target, chunks: AsyncIterator[bytes], answer: Answer[T]) -> None:
        size, rest = 0, b""
        async for chunk in chunks:
            size += len(chunk)
            if size > LARGEST_SCRAPE_BYTES:
                raise ScrapeFailure(
                    "unreadable",
                    f"{target} shows more than {LARGEST_SCRAPE_BYTES >> 20} MiB: have it show fewer series",
                )
            lines, end, rest = (rest + chunk).rpartition(b"\n")
            if len(rest) > LONGEST_LINE_BYTES:
                raise ScrapeFailure(
                    "unreadable",
                    f"{target} shows a line of more than {LONGEST_LINE_BYTES >> 10} KiB: have it show shorter labels",
                )
            if end:
                await self._parse(api, answer, lines)
        if rest:
            await self._parse(api, answer, rest)

    async def _parse(self, api: Key, answer: Answer[T], lines: bytes) -> None:
        async with self._parsing.turn(api):
            answer.feed(lines)
            await asyncio.sleep(0)  # between two pieces, also of different pods, other tasks can run


def _failure(target: Target, error: Exception, *, sent_too_much: bool) -> ScrapeFailure:
    """What is reported of an error."""
    if isinstance(error, ScrapeFailure):
        return error
    if sent_too_much:
        return ScrapeFailure(
            "unreadable",
            f"{target} sends more than {LARGEST_HEAD_BYTES >> 10} KiB beside the metrics themselves: have it send few "
            "headers and large chunks",
        )
    if isinstance(error, Unreadable):
        return ScrapeFailure("unreadable", f"{target}: {error}")
    if isinstance(error, TimeoutError):
        return ScrapeFailure(
            "unreachable",
            f"{target} gives no answer within {SCRAPE_TIMEOUT_SECONDS:g} s: have it answer sooner, and check that no "
            "NetworkPolicy blocks it",
        )
    why = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else type(error).__name__
    return ScrapeFailure(
        "unreachable",
        f"{target} cannot be read ({why}): check that the app listens there and no NetworkPolicy blocks it",
    )


@asynccontextmanager
async def pod_client() -> AsyncIterator[PodClient]:
    """A client for pods of any object."""
    async with pod_session(SCRAPE_TIMEOUT_SECONDS, _HEADERS) as http:
        yield PodClient(http)


async def scrape(client: PodClient, api: Key, target: Target) -> PodSample:
    """Scrape a pod of an object. Every failure raises ScrapeFailure."""
    return await client.fetch(api, target, Exposition(target.endpoint.ignored_paths))
