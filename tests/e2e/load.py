"""An open-loop client: requests leave at their appointed times, whether or not earlier ones were answered.

A closed loop would wait for a stalled server and so hide the very requests that fail (coordinated omission). There are
no retries: what a request meets is what is counted. Latency runs from the appointed time. The client is a process of
its own (`python -m tests.e2e.load`), so that what a test does meanwhile does not delay it, and on aiohttp: httpx looks
at every idle connection for each request, 4 ms of CPU here against 0.6.
"""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import quantiles
from typing import Self

import aiohttp

TIMEOUT = 30.0
SAID = 120
"""Characters of an answer that blames the server which are kept: they tell whether the app or the ingress gave it."""
CLOSED_UNREAD = "503 upstream connect error or disconnect/reset before headers"
"""What Envoy says where a connection ends before an answer. Granian closes one unread that is made in a worker's last
moment (README, Limits): each worker has a queue of its own, which ends with it."""
ENOUGH = 1200.0
"""Seconds after which a client ends that was not stopped."""


@dataclass(frozen=True)
class Sent:
    """One request: when it was due (monotonic seconds), what came of it, and seconds until then.

    The outcome is a status alone, or a status of 500 and more with what was said, or how no answer came.
    """

    due: float
    outcome: str
    seconds: float

    @property
    def failed(self) -> bool:
        """No complete answer, or one that blames the server."""
        return not self.outcome.isdigit()


@dataclass
class Report:
    """What became of the requests."""

    sent: list[Sent] = field(default_factory=list)

    def failures(self) -> list[Sent]:
        """Requests that failed."""
        return [request for request in self.sent if request.failed]

    def between(self, start: float, end: float) -> "Report":
        """The requests that were due in a span of monotonic time."""
        return Report([request for request in self.sent if start <= request.due < end])

    def latencies(self) -> tuple[float, float]:
        """Seconds that half, and that 99 of 100 requests took at most."""
        cuts = quantiles((request.seconds for request in self.sent), n=100)
        return cuts[49], cuts[98]

    def summary(self) -> str:
        """One line for people."""
        if len(self.sent) < 2:
            return f"{len(self.sent)} requests"
        p50, p99 = self.latencies()
        outcomes = sorted({request.outcome for request in self.failures()})
        return (
            f"{len(self.sent)} requests, {len(self.failures())} failed {outcomes or ''}, "
            f"p50 {p50 * 1000:.0f} ms, p99 {p99 * 1000:.0f} ms"
        )


class OpenLoopLoad:
    """GET requests at a fixed rate through a base URL, while the context lasts; the report is there afterwards."""

    def __init__(self, base_url: str, host: str, *, rate: float, path: str) -> None:
        self.report = Report()
        self.rate = rate
        self._command = [sys.executable, "-m", "tests.e2e.load", base_url, host, str(rate), path]

    @contextmanager
    def running(self) -> Iterator[Self]:
        """Load from the start to the end of the block; every answer has come when it is left."""
        with subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as self._client:
            try:
                yield self
            finally:
                answers, _ = self._client.communicate()  # the end of its input stops it
                self.report.sent += [Sent(*json.loads(line)) for line in answers.splitlines()]

    def switch(self, path: str) -> None:
        """Send the next requests to another path."""
        assert self._client.stdin
        self._client.stdin.write(path + "\n")
        self._client.stdin.flush()

    def go_on(self, requests: float) -> None:
        """Let time pass for so many requests: the load itself, not a wait for something to happen."""
        time.sleep(requests / self.rate)


async def send(base_url: str, host: str, rate: float, path: str) -> list[Sent]:
    """Send until the input ends; each line of it is the path of the requests that follow."""
    sent: list[Sent] = []
    paths = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(paths), sys.stdin)
    async with (
        aiohttp.ClientSession(
            base_url,
            headers={"Host": host},
            connector=aiohttp.TCPConnector(limit=0),
            timeout=aiohttp.ClientTimeout(total=TIMEOUT),
        ) as client,
        asyncio.TaskGroup() as requests,
    ):
        client._retry_connection = False  # aiohttp would send a GET again whose connection was closed

        async def request(path: str, due: float) -> None:
            try:
                async with client.get(path) as response:
                    said = (await response.read())[:SAID].decode(errors="replace")
                outcome = f"{response.status} {said}" if response.status >= 500 else str(response.status)
            except (aiohttp.ClientError, TimeoutError) as error:
                outcome = f"{type(error).__name__} {error}".strip()
            sent.append(Sent(due, outcome, time.monotonic() - due))

        order = asyncio.ensure_future(paths.readline())
        start = time.monotonic()
        for count in range(int(rate * ENOUGH)):
            due = start + count / rate
            await asyncio.wait([order], timeout=max(0.0, due - time.monotonic()))
            if order.done():
                if not (line := order.result().decode().strip()):
                    break
                path, order = line, asyncio.ensure_future(paths.readline())
            requests.create_task(request(path, due))
    return sent


if __name__ == "__main__":
    for one in asyncio.run(send(sys.argv[1], sys.argv[2], float(sys.argv[3]), sys.argv[4])):
        print(json.dumps([one.due, one.outcome, one.seconds]))
