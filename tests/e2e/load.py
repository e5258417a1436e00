"""An open-loop client: requests leave at their appointed times, whether or not earlier ones were answered.

A closed loop would wait for a stalled server and so hide the very requests that fail (coordinated omission). There are
no retries: what a request meets is what is counted. Latency runs from the appointed time.
"""

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import quantiles

import httpx

TIMEOUT = 10.0
CONNECTIONS = 64


@dataclass(frozen=True)
class Sent:
    """One request: when it was due (monotonic seconds), what came of it, and seconds until then."""

    due: float
    outcome: str
    seconds: float

    @property
    def failed(self) -> bool:
        """No complete answer, or one that blames the server."""
        return not self.outcome.isdigit() or int(self.outcome) >= 500


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

    def summary(self) -> str:
        """One line for people."""
        if len(self.sent) < 2:
            return f"{len(self.sent)} requests"
        cuts = quantiles((request.seconds for request in self.sent), n=100)
        outcomes = sorted({request.outcome for request in self.failures()})
        return (
            f"{len(self.sent)} requests, {len(self.failures())} failed {outcomes or ''}, "
            f"p50 {cuts[49] * 1000:.0f} ms, p99 {cuts[98] * 1000:.0f} ms"
        )


class OpenLoopLoad:
    """Sends GET requests at a fixed rate through a base URL, in a thread of its own, until it is stopped."""

    def __init__(self, base_url: str, host: str, *, rate: float, path: str) -> None:
        self.path = path
        """Path of the next requests; may be changed while the load runs."""
        self.report = Report()
        self._base_url, self._host, self._rate = base_url, host, rate
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="load", daemon=True)

    @contextmanager
    def running(self) -> Iterator["OpenLoopLoad"]:
        """Load from the start to the end of the block; every answer has come when it is left."""
        self._thread.start()
        try:
            yield self
        finally:
            self._stopping.set()
            self._thread.join()

    async def _run(self) -> None:
        limits = httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS)
        async with (
            httpx.AsyncClient(
                base_url=self._base_url, headers={"Host": self._host}, limits=limits, timeout=TIMEOUT, trust_env=False
            ) as client,
            asyncio.TaskGroup() as requests,
        ):
            start, count = time.monotonic(), 0
            while not self._stopping.is_set():
                due = start + count / self._rate
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                requests.create_task(self._request(client, due))
                count += 1

    async def _request(self, client: httpx.AsyncClient, due: float) -> None:
        try:
            outcome = str((await client.get(self.path)).status_code)
        except httpx.HTTPError as error:
            outcome = f"{type(error).__name__} {error}".strip()
        self.report.sent.append(Sent(due, outcome, time.monotonic() - due))
