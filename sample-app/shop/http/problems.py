"""Every error is JSON of the same shape (RFC 9457), so that clients parse all errors in one way.

It contains the request id, which a user can report and which finds the log lines of the request.
"""

from starlette.responses import JSONResponse, Response

from shop.http import request_id


def problem(status: int, detail: str, headers: dict[str, str] | None = None) -> Response:
    """Return the answer of an error: application/problem+json."""
    content = {"status": status, "detail": detail, "request_id": request_id.current()}
    return JSONResponse(content, status, headers=headers, media_type="application/problem+json")
