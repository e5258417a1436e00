"""Compression with zstd, brotli or gzip, as the client accepts, of answers from one kibibyte on.

A smaller answer fits into one packet even without compression. Most answers of an API are smaller, as their
Content-Length says: those bypass the compressor, which has to delay the beginning of an answer to change its headers.
"""

from starlette.types import Message, Receive, Scope, Send
from starlette_compress import CompressMiddleware

_FROM = 1024


def is_worthwhile(start: Message) -> bool:
    """Return whether the answer with this first message may have a kibibyte or more."""
    for name, value in start["headers"]:
        if name == b"content-length":
            return int(value) >= _FROM
    return True


async def compressed(scope: Scope, receive: Receive, send: Send) -> Send:
    """Return a `send` that compresses the messages of an answer, if the client accepts it, and passes them on."""
    captured: list[Send] = []
    await _compressor({**scope, "shop.captured": captured}, receive, send)
    return captured[0]


async def _capture(scope: Scope, _receive: Receive, compress_and_send: Send) -> None:
    scope["shop.captured"].append(compress_and_send)


# The library wraps an app. Here the app runs already, so a small app captures the `send` that it would be given.
_compressor = CompressMiddleware(_capture, minimum_size=_FROM)
