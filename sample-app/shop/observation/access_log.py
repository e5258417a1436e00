"""One JSON line for each request, at the price of one string.

`logging` makes a record, looks for its caller, formats it and writes it: seventy microseconds for each
request, on the event loop. It stays for what is rare. A line for each request has to be cheap:

- It is put together here, where all of its names are known: only what a client can choose is encoded.
- A thread writes it. Somebody who reads stdout too slowly would otherwise stop the event loop.
- Many lines are one write, but only as many as the kernel takes whole: the workers share one stdout,
  and more than PIPE_BUF bytes may be mixed with those of another.

Lines wait for a tenth of a second at most, and a worker that is killed loses those. While nobody
reads stdout at all, the newest are left out: a queue without a bound is a memory leak.
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
_SECONDS = 0.1
_MOST_WAITING = 10_000

_log = logging.getLogger("shop.access")


class AccessLog:
    """The lines of this worker on their way to stdout, as far as the logger `shop.access` lets INFO pass."""

    def __init__(self, trace_id: Callable[[], str | None] | None = None) -> None:
        self._trace_id = trace_id
        self._head = f'{{"level": "INFO", "logger": "{_log.name}", "worker": {os.getpid()}, "message": "request", '
        self._waiting: list[str] = []
        self._left_out = 0
        self._writing = threading.Lock()

    def note(self, scope: Scope, route: str, status: int, seconds: float) -> None:
        """Keep the line of a request that has ended."""
        if not _log.isEnabledFor(logging.INFO):
            return
        if len(self._waiting) >= _MOST_WAITING:
            self._left_out += 1
            return
        trace_id = None if self._trace_id is None else self._trace_id()
        trace = "" if trace_id is None else f'"trace_id": "{trace_id}", '
        client = _quoted(scope["client"][0]) if scope["client"] else "null"
        self._waiting.append(
            f'{self._head}"request_id": "{request_id.current()}", "client": {client}, '
            f'"method": {_quoted(scope["method"])}, "path": {_quoted(scope["path"])}, "route": "{route}", '
            f'"status": {status}, "duration_seconds": {seconds:.6f}, '
            f'{trace}"timestamp": "{_timestamp(time.time_ns())}"}}\n'
        )

    def written(self) -> AbstractAsyncContextManager[None]:
        """Write regularly, and what is left when the worker ends."""
        return written_each(_SECONDS, self._write)

    async def _write(self) -> None:
        lines, self._waiting = self._waiting, []
        left_out, self._left_out = self._left_out, 0
        if lines:
            await asyncio.to_thread(self._write_lines, lines)
        if left_out:
            _log.warning("%d lines of requests are left out: stdout was not read", left_out)

    def _write_lines(self, lines: Iterable[str]) -> None:
        # The last lines may come while those before them are still being written.
        with self._writing, suppress(OSError):  # nobody is left to be told that stdout is gone
            for piece in _pieces("".join(lines).encode()):
                _write_all(piece)


def _write_all(piece: bytes) -> None:
    while piece:
        piece = piece[os.write(_STDOUT, piece) :]


def _pieces(text: bytes) -> Iterator[bytes]:
    """Yield as many lines at a time as can be written as one, and a longer line alone."""
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
