"""What an exception becomes: an answer that says so, a log line for a bug, and one error of the worker's budget."""

import logging

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ExceptionHandler

from shop.data.database import DatabaseUnavailableError, UnstorableTextError
from shop.http import request_id
from shop.http.problems import problem
from shop.overload.error_budget import ErrorBudget

_log = logging.getLogger("shop.problems")


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
