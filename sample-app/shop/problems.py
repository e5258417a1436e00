"""Every error is JSON of the same shape (RFC 9457), so that a client needs one way to read them.

The request id is in it: what a user copies out of an error message is what the log is searched for.
"""

import logging

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.types import ExceptionHandler

from shop import request_id
from shop.database import DatabaseUnavailableError, UnstorableTextError
from shop.error_budget import ErrorBudget

_log = logging.getLogger("shop.problems")


def problem(status: int, detail: str, headers: dict[str, str] | None = None) -> Response:
    """Return an error as an answer."""
    content = {"status": status, "detail": detail, "request_id": request_id.current()}
    return JSONResponse(content, status, headers=headers, media_type="application/problem+json")


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - what it is registered for
    headers = dict(error.headers or {})
    if "route" not in request.scope:
        detail = f"There is no {request.url.path}."
    elif error.status_code == 405:
        # Starlette tells the methods of one route; a path may have several.
        same_path = [route for route in request.app.routes if route.path == request.scope["route"].path]
        headers["Allow"] = ", ".join(sorted({method for route in same_path for method in route.methods}))
        detail = f"{request.url.path} takes {headers['Allow']}, not {request.method}."
    else:
        detail = error.detail
    return problem(error.status_code, detail, headers)


async def _unavailable(_request: Request, error: Exception) -> Response:
    _log.warning("the database is away: %s", error.__cause__, extra={"request_id": request_id.current()})
    return problem(503, "The database does not answer; try again soon.", {"Retry-After": "2"})


async def _unstorable(_request: Request, _error: Exception) -> Response:
    return problem(400, "The request holds the character U+0000, which no name and no id has.")


async def _hung_up(_request: Request, _error: Exception) -> Response:
    # The client ended its connection before its request was complete. Nobody hears this; nginx counts it as 499, too.
    return Response(status_code=499)


def handlers(budget: ErrorBudget) -> dict[int | type[Exception], ExceptionHandler]:
    """Return what answers each kind of error."""

    async def failed(request: Request, error: Exception) -> Response:
        budget.note()
        path = request.url.path
        _log.error("unhandled error on %s", path, exc_info=error, extra={"request_id": request_id.current()})
        return problem(500, "The shop failed to answer; the log has the reason under this request id.")

    # Async, or Starlette would run them in a thread.
    return {
        HTTPException: _refused,
        ClientDisconnect: _hung_up,
        DatabaseUnavailableError: _unavailable,
        UnstorableTextError: _unstorable,
        Exception: failed,
    }
