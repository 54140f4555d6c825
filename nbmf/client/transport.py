"""What both clients have in common: options, requests, and what errors of httpx are to a caller."""

from __future__ import annotations

import os
import ssl

import httpx

from nbmf import protocol
from nbmf.client.calls import Calls, Send
from nbmf.client.errors import (
    BadAnswer,
    ClientConfigError,
    ConnectionLost,
    DeadlineExceeded,
    RequestTooLarge,
    ServiceError,
)
from nbmf.client.messages import Answer
from nbmf.client.retries import RetryPolicy
from nbmf.version import __version__

URL_VARIABLE, API_KEY_VARIABLE = "NBMF_URL", "NBMF_API_KEY"
_JSON = "application/json"


class HttpService:
    """A service, with the options for calling it."""

    def __init__(
        self,
        url: str | None,
        api_key: str | None,
        timeout_s: float,
        connect_timeout_s: float,
        retries: RetryPolicy | None,
        max_batch_records: int,
        max_batch_bytes: int,
        max_answer_bytes: int,
    ) -> None:
        self.calls = Calls(timeout_s, retries or RetryPolicy(), max_batch_records, max_batch_bytes)
        if not connect_timeout_s > 0:
            raise ClientConfigError(f"connect_timeout_s is a positive number, not {connect_timeout_s!r}")
        if not max_answer_bytes > 0:
            raise ClientConfigError(f"max_answer_bytes is a positive number, not {max_answer_bytes!r}")
        self.max_answer_bytes = max_answer_bytes
        self._connect_timeout_s = connect_timeout_s
        self.url = _checked_url(url or os.environ.get(URL_VARIABLE, ""))
        self.headers = {"User-Agent": f"nbmf/{__version__}", "Accept": _JSON}
        key = api_key or os.environ.get(API_KEY_VARIABLE)
        if key:
            if self.url.userinfo:
                raise ClientConfigError(
                    "the URL's user name would take the place of the API key: leave one of them out"
                )
            if not (key.isascii() and key.isprintable()) or " " in key:
                raise ClientConfigError("the API key has characters that no header can hold")
            self.headers["Authorization"] = f"Bearer {key}"

    def request(self, http: httpx.Client | httpx.AsyncClient, step: Send) -> httpx.Request:
        """The request of a step."""
        headers = {protocol.REQUEST_ID: step.request_id, protocol.TIMEOUT_MS: str(max(1, int(step.timeout_s * 1000)))}
        request = step.request
        if request.body is not None:
            headers["Content-Type"] = _JSON
        return http.build_request(
            "GET" if request.body is None else "POST",
            request.path,
            params=request.parameters or None,
            content=request.body,
            headers=headers,
            timeout=httpx.Timeout(step.timeout_s, connect=min(step.timeout_s, self._connect_timeout_s)),
        )

    def answer_too_large(self, step: Send) -> RequestTooLarge:
        """For an answer of which more came than is read; of a batch, a smaller part is asked for next."""
        return RequestTooLarge(
            f"the answer has more than {self.max_answer_bytes} bytes; max_answer_bytes allows more",
            request_id=step.request_id,
        )

    def failure(self, error: httpx.HTTPError, step: Send) -> ServiceError:
        """What an error of the transport is to the caller."""
        told = f"{_shown(self.url)}: {str(error) or type(error).__name__}"
        failure: ServiceError
        if isinstance(error, httpx.TimeoutException) and not isinstance(error, httpx.ConnectTimeout):
            failure = time_over(step)
        elif _is_of_another(error):
            failure = BadAnswer(told, request_id=step.request_id)
        elif isinstance(error, httpx.TransportError) and not isinstance(
            error, httpx.UnsupportedProtocol | httpx.LocalProtocolError
        ):
            failure = ConnectionLost(told, request_id=step.request_id)
        else:
            failure = BadAnswer(told, request_id=step.request_id)
        failure.__cause__ = error
        return failure


def _is_of_another(error: BaseException | None) -> bool:
    """Whether the server could not prove, by a certificate, that it is the one that was asked for."""
    while error is not None and not isinstance(error, ssl.SSLCertVerificationError):
        error = error.__cause__ or error.__context__
    return error is not None


def time_over(step: Send) -> DeadlineExceeded:
    """The error of a request that was not answered in time."""
    return DeadlineExceeded("no answer within the call's time; give it more with timeout_s", request_id=step.request_id)


def answer_of(response: httpx.Response, content: bytes) -> Answer:
    """The answer that was received."""
    return Answer(response.status_code, response.headers, content)


def _checked_url(url: str) -> httpx.URL:
    if not url:
        raise ClientConfigError(f"no service is named: give its URL, or set {URL_VARIABLE}")
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise ClientConfigError(f"the URL of the service is none: {error}") from error
    if parsed.scheme not in ("http", "https") or not parsed.host or parsed.query or parsed.fragment:
        raise ClientConfigError(f"{_shown(parsed)} is no URL of a service; one is http://localhost:8000")
    return parsed


def _shown(url: httpx.URL) -> str:
    """Without a user's name and password."""
    return str(url.copy_with(userinfo=b""))
