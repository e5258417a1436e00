"""Every error is JSON of the same shape (RFC 9457), so that a client needs one way to read them.

The request id is in it: what a user copies out of an error message is what the log is searched for.
"""

from starlette.responses import JSONResponse, Response

from shop.http import request_id


def problem(status: int, detail: str, headers: dict[str, str] | None = None) -> Response:
    """Return an error as an answer."""
    content = {"status": status, "detail": detail, "request_id": request_id.current()}
    return JSONResponse(content, status, headers=headers, media_type="application/problem+json")
