"""Exceptions of routes as answers; an unexpected one is also logged and spends the error budget of the worker."""

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


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - it is registered for this class
    headers = dict(error.headers or {})
    if "route" not in request.scope:
        detail = f"There is no {request.url.path}."
    elif error.status_code == 405:
        # Starlette knows the methods of the route that matched first; the path may have several routes.
        same_path = [route for route in request.app.routes if route.path == request.scope["route"].path]
        headers["Allow"] = ", ".join(sorted({method for route in same_path for method in route.methods}))
        detail = f"{request.url.path} takes {headers['Allow']}, not {request.method}."
    else:
        detail = error.detail
    return problem(error.status_code, detail, headers)


async def _unavailable(_request: Request, error: Exception) -> Response:
    _log.warning("the database is unavailable: %s", error.__cause__, extra={"request_id": request_id.current()})
    return problem(503, "The database does not answer; try again soon.", {"Retry-After": "2"})


async def _unstorable(_request: Request, _error: Exception) -> Response:
    return problem(400, "The request holds the character U+0000, which no name and no id has.")


async def _disconnected(_request: Request, _error: Exception) -> Response:
    # The client closed its connection before its request was complete, and gets no answer. nginx logs 499 as well.
    return Response(status_code=499)


def handlers(budget: ErrorBudget) -> dict[int | type[Exception], ExceptionHandler]:
    """Return the handler of each class of exceptions."""

    async def failed(request: Request, error: Exception) -> Response:
        budget.note()
        path = request.url.path
        _log.error("unhandled error on %s", path, exc_info=error, extra={"request_id": request_id.current()})
        return problem(500, "The shop failed to answer; the log has the reason under this request id.")

    # All are async: Starlette runs other handlers in a thread.
    return {
        HTTPException: _http_error,
        ClientDisconnect: _disconnected,
        DatabaseUnavailableError: _unavailable,
        UnstorableTextError: _unstorable,
        Exception: failed,
    }
