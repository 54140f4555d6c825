"""Answers to requests that failed: `{"error": {"code", "message", "request_id"}}` and the headers that go with it."""

from __future__ import annotations

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from cluster.config import problems
from nbmf.errors import NbmfError
from nbmf.protocol import RETRY_AFTER_S
from serve_app.observe.calls import call_of
from serve_app.work.results import Failure, RequestFailed, fault_of

_HEADERS = {
    401: {"WWW-Authenticate": 'Bearer realm="nbmf"'},
    429: {"Retry-After": str(RETRY_AFTER_S)},
    503: {"Retry-After": str(RETRY_AFTER_S)},
}


def failed(request: Request, failure: Failure, status: int | None = None) -> Response:
    """The answer to a request that failed; its status is the failure's unless another is given."""
    call = call_of(request)
    call.code = failure.code
    status = status or failure.status
    # ASCII: a message may quote a lone surrogate.
    message = failure.message.encode("utf-8", "backslashreplace").decode()
    content = {"error": {"code": failure.code, "message": message, "request_id": call.request_id}}
    return JSONResponse(content, status, _HEADERS.get(status))


def fault(request: Request, error: Exception) -> Response:
    """The answer after an error that nobody foresaw, which goes to the log."""
    return failed(request, fault_of(call_of(request).request_id, error))


def add_handlers(api: FastAPI) -> None:
    """Errors of routes become answers."""
    api.add_exception_handler(RequestFailed, _on_failure)
    api.add_exception_handler(NbmfError, _on_error)
    api.add_exception_handler(RequestValidationError, _on_bad_parameters)
    api.add_exception_handler(HTTPException, _on_no_route)


async def _on_failure(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestFailed)  # noqa: S101
    return failed(request, error.failure)


async def _on_error(request: Request, error: Exception) -> Response:
    return failed(request, Failure(getattr(error, "code", "bad_request"), str(error)))


async def _on_no_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101
    code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "bad_request")
    answer = failed(request, Failure(code, str(error.detail)), error.status_code)
    answer.headers.update(error.headers or {})
    return answer


async def _on_bad_parameters(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101
    return failed(request, Failure("bad_request", problems(error.errors(), "request")))
