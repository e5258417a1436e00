"""zstd, brotli or gzip, as the client can, for answers that are worth it.

Below a kibibyte an answer fits into one packet however it is written. Most answers of an API say
in their Content-Length that they are: those are sent on as if there was no compression, and only
the others meet the compressor, which holds back the beginning of an answer to change its headers.
"""

from starlette.types import Message, Receive, Scope, Send
from starlette_compress import CompressMiddleware

_FROM = 1024


def is_worthwhile(start: Message) -> bool:
    """Return whether the answer that begins like this may be a kibibyte or more."""
    for name, value in start["headers"]:
        if name == b"content-length":
            return int(value) >= _FROM
    return True


async def compressed(scope: Scope, receive: Receive, send: Send) -> Send:
    """Return what takes the messages of an answer and sends it on as the client can read it."""
    taken: list[Send] = []
    await _compressor({**scope, "shop.taken": taken}, receive, send)
    return taken[0]


async def _take(scope: Scope, _receive: Receive, compress_and_send: Send) -> None:
    scope["shop.taken"].append(compress_and_send)


# The library wraps apps. Here the app runs already, so what it would be given to send with is taken out.
_compressor = CompressMiddleware(_take, minimum_size=_FROM)
