"""One look at a pod, over real connections on the loopback interface."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from itertools import pairwise

import pytest

from hca_operator.core.ports import Key
from hca_operator.kube.pod_http import CHUNK_BYTES
from hca_operator.metrics_server.inventory.targets import Endpoint, Pod
from hca_operator.metrics_server.pods.scrape import (
    LARGEST_SCRAPE_BYTES,
    LONGEST_LINE_BYTES,
    ScrapeFailure,
    Target,
    pod_client,
    scrape,
)
from hca_operator.metrics_server.samples.exposition import PodSample
from tests.unit.operator.metrics_server.pods.loopback_pods import MOST_SENT_BYTES, Endless

Answer = bytes | Callable[[asyncio.StreamWriter], Awaitable[None]]
SHOP = Key("default", "shop")
TEXT = b"http_requests_total 5\n"


def http(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


class LoopbackPod:
    """Answers every request the same, and remembers what it was asked."""

    def __init__(self) -> None:
        self.answer: Answer = http(TEXT)
        self.asked: list[bytes] = []
        self.ended = asyncio.Semaphore(0)
        self._serving: set[asyncio.Task[None]] = set()

    async def start(self, address: str) -> Target:
        self.server = await asyncio.start_server(self._serve, address, 0)
        port = self.server.sockets[0].getsockname()[1]
        return Target(Pod("uid", "shop-1", address), Endpoint(port, "/metrics", frozenset({"/metrics"})))

    async def stop(self) -> None:
        self.server.close()
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        try:
            self.asked.append(await reader.readuntil(b"\r\n\r\n"))
            if isinstance(self.answer, bytes):
                writer.write(self.answer)
            else:
                await self.answer(writer)
            await reader.read()  # until the other side has closed
        except ConnectionError:
            pass
        finally:
            self.ended.release()
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()


@pytest.fixture
async def pod() -> AsyncIterator[LoopbackPod]:
    made = LoopbackPod()
    yield made
    await made.stop()


async def look(target: Target) -> PodSample:
    async with pod_client() as client:
        return await scrape(client, SHOP, target)


async def failure(target: Target) -> ScrapeFailure:
    with pytest.raises(ScrapeFailure) as raised:
        await look(target)
    assert str(raised.value).startswith("/metrics on port ")
    return raised.value


async def test_a_pod_is_asked_for_its_path_as_it_is_and_without_any_credentials(pod: LoopbackPod) -> None:
    target = await pod.start("127.0.0.1")
    path = "/a%2Fb/../m;x?workers=all&q=%20"
    assert await look(target._replace(endpoint=target.endpoint._replace(path=path))) == PodSample(requests=5)
    first, *headers = pod.asked[0].decode().lower().split("\r\n")
    assert first == f"get {path.lower()} http/1.1"
    assert f"host: 127.0.0.1:{target.endpoint.port}" in headers
    assert {header.partition(":")[0] for header in headers if header} == {
        "host", "accept", "accept-encoding", "user-agent", "connection",
    }  # fmt: skip


async def test_no_connection_is_kept(pod: LoopbackPod) -> None:
    target = await pod.start("127.0.0.1")
    async with pod_client() as client:
        for _ in range(3):
            await scrape(client, SHOP, target)
            assert b"connection: close\r\n" in pod.asked[-1].lower()
            await pod.ended.acquire()
    assert len(pod.asked) == 3


def test_an_address_of_ipv6_is_asked_as_well() -> None:
    target = Target(Pod("uid", "shop-1", "fd00::7"), Endpoint(8000, "/metrics", frozenset()))
    assert (str(target.url), target.url.host) == ("http://[fd00::7]:8000/metrics", "fd00::7")


async def test_a_long_answer_is_read(pod: LoopbackPod) -> None:
    target = await pod.start("127.0.0.1")
    pod.answer = http(b"# HELP something else\n" * (CHUNK_BYTES // 5) + TEXT.strip())
    assert await look(target) == PodSample(requests=5)


async def test_fault_43_between_two_pieces_of_long_answers_the_event_loop_has_its_turn(pod: LoopbackPod) -> None:
    target = await pod.start("127.0.0.1")
    pod.answer = http(b"\n" * 2**20)
    parsed: list[int] = []
    after_each_turn: list[int] = []

    class Counting:
        def feed(self, lines: bytes) -> None:
            parsed.append(len(lines))

        def result(self) -> None:
            """Nothing."""

    async def loop_turns() -> None:
        while True:
            await asyncio.sleep(0)
            after_each_turn.append(len(parsed))

    ticking = asyncio.create_task(loop_turns())
    async with pod_client() as client:
        await asyncio.gather(*(client.fetch(SHOP, target, Counting()) for _ in range(3)))
    ticking.cancel()
    assert max(parsed) <= CHUNK_BYTES + LONGEST_LINE_BYTES
    assert sum(parsed) >= 3 * (2**20 - len(parsed))
    assert all(later - sooner <= 1 for sooner, later in pairwise(after_each_turn)), (
        "one piece for each turn, of any answer"
    )


async def test_bytes_that_are_no_text_are_no_trouble(pod: LoopbackPod) -> None:
    target = await pod.start("127.0.0.1")
    pod.answer = http(b'other{a="\xff\xfe"} 1\n' + TEXT)
    assert await look(target) == PodSample(requests=5)


async def test_a_redirect_is_not_followed(pod: LoopbackPod) -> None:
    target, elsewhere = await pod.start("127.0.0.1"), LoopbackPod()
    other = await elsewhere.start("127.0.0.1")
    pod.answer = http(b"", "302 Found", f"Location: {other.url}", "Set-Cookie: a=b")
    reported = await failure(target)
    assert (reported.result, elsewhere.asked) == ("refused", [])
    assert "answers 302: set monitoring.path and monitoring.port" in str(reported)
    await elsewhere.stop()


COMMENT = b"#" * 1023 + b"\n"
"""A line of 1 KiB: four million short ones take a busy machine longer than a scrape may."""


async def drip(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while True:
        writer.write(b"#")
        await writer.drain()
        await asyncio.sleep(0.05)


async def hang(_writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def flood(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"10000\r\n" + COMMENT * 64 + b"\r\n")
        await writer.drain()


@pytest.mark.parametrize(
    ("head", "piece"),
    [
        (b"", b"HTTP/1.1 103 Early Hints\r\n\r\n" * 100),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n\n\r\n" * 1000),
    ],
    ids=["early hints", "continue", "small chunks"],
)
async def test_fault_76_what_is_no_part_of_the_metrics_is_bounded_before_it_is_parsed(
    pod: LoopbackPod, head: bytes, piece: bytes
) -> None:
    target = await pod.start("127.0.0.1")
    pod.answer = endless = Endless(head, piece)
    reported = await failure(target)
    assert reported.result == "unreadable"
    assert "sends more than 64 KiB beside the metrics themselves: have it" in str(reported)
    assert endless.sent < MOST_SENT_BYTES


@pytest.mark.parametrize(
    ("answer", "result", "says"),
    [
        (http(b"", "404 Not Found"), "refused", "answers 404: set monitoring.path"),
        (http(TEXT, "206 Partial Content"), "refused", "answers 206"),
        (http(b"", "204 No Content"), "refused", "answers 204"),
        (drip, "unreachable", "gives no answer within 1 s"),
        (hang, "unreachable", "gives no answer within 1 s"),
        (flood, "unreadable", "shows more than 4 MiB"),
        (http(COMMENT * (LARGEST_SCRAPE_BYTES // 1024 + 1)), "unreadable", "shows more than 4 MiB"),
        (
            http(b"#" * (LONGEST_LINE_BYTES + 2 * CHUNK_BYTES)),
            "unreadable",
            "shows a line of more than 16 KiB: have it",
        ),
        (http(b"\nhttp_requests_total five\n"), "unreadable", "line 2 of its metrics must be"),
        (b"SSH-2.0-OpenSSH_9.2p1\r\n", "unreachable", "cannot be read"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\nContent-Length: 20\r\n\r\n", "unreachable", "cannot be read"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n", "unreachable", "cannot be read"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "unreachable", "cannot be read"),
    ],
)
async def test_whatever_else_a_pod_answers_is_reported_with_what_to_do(
    pod: LoopbackPod, answer: Answer, result: str, says: str
) -> None:
    target = await pod.start("127.0.0.1")
    pod.answer = answer
    reported = await failure(target)
    assert reported.result == result
    assert says in str(reported)
    assert (reported.received > 2**20) is (says == "shows more than 4 MiB")
    assert "127.0.0.1" not in str(reported), "the sentence is the same for all pods"


async def test_what_was_packed_unasked_is_not_unpacked(pod: LoopbackPod) -> None:
    target = await pod.start("127.0.0.1")
    pod.answer = http(gzip.compress(b"http_requests_total 5\n" * 1000), "200 OK", "Content-Encoding: gzip")
    assert await look(target) == PodSample()


async def test_a_port_on_which_no_server_listens_is_named(pod: LoopbackPod) -> None:
    target = await pod.start("127.0.0.1")
    pod.server.close()
    reported = await failure(target)
    assert reported.result == "unreachable"
    assert str(reported) == (
        f"/metrics on port {target.endpoint.port} cannot be read (Connection refused): "
        "check that the app listens there and no NetworkPolicy blocks it"
    )
