"""One id per request, from the proxy if it gave one, on the answer and on each log line.

It ties the lines of one request together across proxy, workers and pods. An id that could
break a log or a header is replaced rather than refused: the client's request is still good.
"""

import re
import uuid
from contextvars import ContextVar

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_SANE = re.compile(r"[A-Za-z0-9._-]{1,128}")
_current: ContextVar[str] = ContextVar("request_id", default="")


def current() -> str:
    """Return the id of the request being served, empty outside of one."""
    return _current.get()


class RequestId:
    """Middleware; a plain ASGI class, since Starlette's BaseHTTPMiddleware costs a task per request."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve under an id."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        chosen = given if _SANE.fullmatch(given) else uuid.uuid4().hex
        _current.set(chosen)

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["X-Request-ID"] = chosen
            await send(message)

        await self._app(scope, receive, send_with_id)
