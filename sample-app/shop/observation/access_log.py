"""One JSON line on stdout for each request, at the cost of one string.

`logging` creates a record, finds the caller, formats and writes: 70 microseconds for each request on the event loop. It
remains in use for rare messages. The line of a request has to be cheap:

- It is formatted here, where all fields are known: only values that clients choose are encoded.
- A thread writes it: a slow reader of stdout would otherwise block the event loop.
- Many lines are one write, but at most PIPE_BUF bytes, which the kernel writes atomically: the workers share one
  stdout, and longer writes could be mixed with those of another worker.

A line waits for a tenth of a second at most, and a worker that is killed loses those lines. If stdout is not read, the
newest lines are dropped: an unbounded queue would be a memory leak.
"""

import asyncio
import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractAsyncContextManager, suppress
from datetime import UTC, datetime
from functools import lru_cache
from json.encoder import encode_basestring_ascii as _quoted
from select import PIPE_BUF

from starlette.types import Scope

from shop.http import request_id
from shop.offload.write_behind import written_each

_STDOUT = 1
_INTERVAL_SECONDS = 0.1
_MAX_LINES = 10_000

_log = logging.getLogger("shop.access")


class AccessLog:
    """The lines of this worker that are not written yet; none if the logger `shop.access` is above INFO."""

    def __init__(self, trace_id: Callable[[], str | None] | None = None) -> None:
        self._trace_id = trace_id
        self._head = f'{{"level": "INFO", "logger": "{_log.name}", "worker": {os.getpid()}, "message": "request", '
        self._lines: list[str] = []
        self._dropped = 0
        self._writing = threading.Lock()

    def note(self, scope: Scope, route: str, status: int, seconds: float) -> None:
        """Add the line of a finished request."""
        if not _log.isEnabledFor(logging.INFO):
            return
        if len(self._lines) >= _MAX_LINES:
            self._dropped += 1
            return
        trace_id = None if self._trace_id is None else self._trace_id()
        trace = "" if trace_id is None else f'"trace_id": "{trace_id}", '
        client = _quoted(scope["client"][0]) if scope["client"] else "null"
        self._lines.append(
            f'{self._head}"request_id": "{request_id.current()}", "client": {client}, '
            f'"method": {_quoted(scope["method"])}, "path": {_quoted(scope["path"])}, "route": "{route}", '
            f'"status": {status}, "duration_seconds": {seconds:.6f}, '
            f'{trace}"timestamp": "{_timestamp(time.time_ns())}"}}\n'
        )

    def written(self) -> AbstractAsyncContextManager[None]:
        """Return a context manager that writes ten times a second, and the rest at its end."""
        return written_each(_INTERVAL_SECONDS, self._write)

    async def _write(self) -> None:
        lines, self._lines = self._lines, []
        dropped, self._dropped = self._dropped, 0
        if lines:
            await asyncio.to_thread(self._write_lines, lines)
        if dropped:
            _log.warning("%d lines of requests were dropped: stdout was not read", dropped)

    def _write_lines(self, lines: Iterable[str]) -> None:
        # The last lines may come while the previous ones are still being written.
        with self._writing, suppress(OSError):  # stdout is closed, and so is the place to report it
            for chunk in _chunks("".join(lines).encode()):
                _write_all(chunk)


def _write_all(chunk: bytes) -> None:
    while chunk:
        chunk = chunk[os.write(_STDOUT, chunk) :]


def _chunks(text: bytes) -> Iterator[bytes]:
    """Yield chunks of whole lines of at most PIPE_BUF bytes; a longer line is a chunk of its own."""
    start = 0
    while start < len(text):
        end = text.rfind(b"\n", start, start + PIPE_BUF) + 1 or text.find(b"\n", start) + 1
        yield text[start:end]
        start = end


def _timestamp(nanoseconds: int) -> str:
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return f"{_date_and_time(seconds)}.{rest // 1000:06d}+00:00"


@lru_cache(maxsize=1)
def _date_and_time(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
