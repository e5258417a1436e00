"""Parameters and bodies of requests, within bounds.

With an unbounded number, name or body, one client can take a whole worker from all others. Every function raises
HTTPException with status 400 or 413, whose detail names the parameter and the values that are allowed.
"""

import json
import math
from collections.abc import Mapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request

BODY_LIMIT = 16 * 1024


def query(request: Request) -> Mapping[str, str]:
    """Return the parameters of the query; skips the parser for the many requests that have none."""
    return request.query_params if request.scope["query_string"] else {}


def whole_number(request: Request, name: str, *, default: int, minimum: int, maximum: int) -> int:
    """Return the query parameter as a number within its bounds."""
    text = query(request).get(name)
    if text is None:
        return default
    # ASCII first: int() also accepts digits of other scripts.
    if not (text.isascii() and text.isdecimal() and len(text) < 10 and minimum <= int(text) <= maximum):
        raise HTTPException(400, f"{name} must be a whole number from {minimum} to {maximum}, not {text!r}.")
    return int(text)


def seconds(request: Request, name: str, *, default: float, maximum: float) -> float:
    """Return the query parameter as a duration from 0 to `maximum`."""
    text = query(request).get(name, str(default))
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= maximum:
        raise HTTPException(400, f"{name} must be a number of seconds from 0 to {maximum:g}, not {text!r}.")
    return value


async def json_object(request: Request) -> dict[str, Any]:
    """Return the JSON object of the body, and hold at most `BODY_LIMIT` bytes of it."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_LIMIT:
            raise HTTPException(413, f"The body must be at most {BODY_LIMIT} bytes.")
    try:
        value = json.loads(body)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise HTTPException(400, "The body must be a JSON object.")
    return value
