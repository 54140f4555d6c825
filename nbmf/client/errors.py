"""Errors of calls to a service.

NbmfError
├── (nbmf.errors)             what the service says of a payload, a blob or a version, by its `code`
├── ClientConfigError         (also ValueError)       the client was made with wrong options
└── ServiceError                                      the service, or the way to it: status, code, request_id
    ├── BadRequest            400, 404, 405, 415      the service does not understand; a newer client than service?
    ├── Unauthorized          401                     no API key, or none of the service's
    ├── Forbidden             403                     the key has not the role
    ├── RequestTooLarge       413                     the body or the batch is over the service's limits, or the answer
    │                                                 over the client's
    ├── DeadlineExceeded      504   (also TimeoutError)     the call's time is over, here or there
    ├── Unavailable           429, 502, 503           overloaded, or a part of it is down (500, 504: something before
    │   │                                             it says so); after all retries
    │   └── ConnectionLost          (also ConnectionError)  no connection, or it broke
    ├── ServiceFault          500                     a fault of the service; its log says more
    └── BadAnswer                                     not what the service answers: is the URL right?
"""

from __future__ import annotations

from collections.abc import Iterator

from nbmf import errors
from nbmf.errors import NbmfError
from nbmf.printable import printable
from nbmf.protocol import STATUS_OF_CODE


class ClientConfigError(NbmfError, ValueError):
    """The client was made with wrong options."""

    code = "client_config_error"


class ServiceError(NbmfError):
    """A call to a service failed. `status` is None where there was no answer."""

    code = "service_error"

    def __init__(
        self, message: str, *, status: int | None = None, code: str | None = None, request_id: str | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.request_id = request_id
        if code is not None:
            self.code = code

    def __str__(self) -> str:
        origin = [f"HTTP {self.status}" if self.status else "", f"request {self.request_id}" if self.request_id else ""]
        known = ", ".join(filter(None, origin))
        return f"{self.args[0]} ({known})" if known else str(self.args[0])


class BadRequest(ServiceError):
    """The service does not understand the request."""

    code = "bad_request"


class Unauthorized(ServiceError):
    """No API key was sent, or none of the service's."""

    code = "unauthorized"


class Forbidden(ServiceError):
    """The API key has not the role that the request needs."""

    code = "forbidden"


class RequestTooLarge(ServiceError):
    """The body, or the batch, is over the service's limits, or the answer over the client's."""

    code = "body_too_large"


class DeadlineExceeded(ServiceError, TimeoutError):
    """The call's time is over."""

    code = "deadline_exceeded"


class Unavailable(ServiceError):
    """The service is overloaded, or a part of it is down."""

    code = "unavailable"


class ConnectionLost(Unavailable, ConnectionError):
    """The service cannot be reached, or the connection broke before its answer was complete."""

    code = "connection_lost"


class ServiceFault(ServiceError):
    """A fault of the service, which its log tells."""

    code = "internal_error"


class BadAnswer(ServiceError):
    """An answer that the service does not give: something else is at this URL."""

    code = "bad_answer"


_BY_STATUS: dict[int, type[ServiceError]] = {
    401: Unauthorized,
    403: Forbidden,
    408: DeadlineExceeded,
    413: RequestTooLarge,
    429: Unavailable,
    500: ServiceFault,
    502: Unavailable,
    503: Unavailable,
    504: DeadlineExceeded,
}


def class_of(status: int | None, otherwise: type[ServiceError]) -> type[ServiceError]:
    """The class of errors with this HTTP status."""
    return otherwise if status is None else _BY_STATUS.get(status, otherwise)


def error_of(code: str, message: str, *, status: int | None, request_id: str | None) -> NbmfError:
    """The error that a service's code and message tell: of nbmf.errors where the code is one of theirs.

    Of one record of a batch there is no status of its own. What a terminal would act on is shown as escapes.
    """
    message, code = printable(message), printable(code)
    named = _BY_CODE.get(code)
    if named is not None:
        error = named.from_message(message)
        error.request_id = request_id
        return error
    cls = _SERVICE_BY_CODE.get(code) or class_of(status, ServiceError if status is None else BadRequest)
    return cls(message, status=status, code=code, request_id=request_id)


def _tree(root: type[NbmfError]) -> Iterator[type[NbmfError]]:
    yield root
    for cls in root.__subclasses__():
        yield from _tree(cls)


_BY_CODE = {cls.code: cls for cls in _tree(NbmfError) if cls.__module__ == errors.__name__ and cls is not NbmfError}
_SERVICE_BY_CODE: dict[str, type[ServiceError]] = {
    **{code: _BY_STATUS[status] for code, status in STATUS_OF_CODE.items() if status in (413, 429)},
    **{cls.code: cls for cls in _tree(ServiceError) if issubclass(cls, ServiceError) and cls is not ServiceError},
}
