"""One id per request, in the answer and in each log line; the proxy's id if it sent one.

It connects the log lines of one request across proxy, workers and pods. An id with unsafe characters is replaced: the
request itself is still valid.

An id must be unique and need not be secret, so it comes from the random generator of the process: random bytes of the
kernel would cost a system call for each request.
"""

import random
import re
from contextvars import ContextVar

from starlette.types import Scope

_SAFE = re.compile(rb"[A-Za-z0-9._-]{1,128}")
_current: ContextVar[str] = ContextVar("request_id", default="")


def current() -> str:
    """Return the id of the current request, an empty string outside of one."""
    return _current.get()


def begin(scope: Scope) -> str:
    """Choose the id of a new request, make it the current one and return it."""
    chosen = _given(scope) or random.randbytes(16).hex()  # noqa: S311 - see above
    _current.set(chosen)
    return chosen


def _given(scope: Scope) -> str | None:
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            return value.decode("ascii") if _SAFE.fullmatch(value) else None
    return None
