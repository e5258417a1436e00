"""One id per request, from the proxy if it gave one, on the answer and on each log line.

It ties the lines of one request together across proxy, workers and pods. An id that could
break a log or a header is replaced rather than refused: the client's request is still good.

An id has to be unlike any other and need not be a secret, so it comes from the generator in memory:
the kernel's random bytes would be a system call for each request.
"""

import random
import re
from contextvars import ContextVar

from starlette.types import Scope

_SANE = re.compile(rb"[A-Za-z0-9._-]{1,128}")
_current: ContextVar[str] = ContextVar("request_id", default="")


def current() -> str:
    """Return the id of the request being served, empty outside of one."""
    return _current.get()


def begin(scope: Scope) -> str:
    """Return the id of a request that begins, and have it be the current one."""
    chosen = _given(scope) or random.randbytes(16).hex()  # noqa: S311 - see above
    _current.set(chosen)
    return chosen


def _given(scope: Scope) -> str | None:
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            return value.decode("ascii") if _SANE.fullmatch(value) else None
    return None
