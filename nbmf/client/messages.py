"""Requests as the service reads them, and what its answers hold."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from nbmf import compat, frame
from nbmf.client.errors import BadAnswer, ServiceError, Unavailable, class_of, error_of
from nbmf.client.interface import AnyBlob, Version
from nbmf.effort import Effort
from nbmf.errors import BlobError, NbmfError, UnsupportedFormat
from nbmf.hooks import Default, ObjectHook, with_object_hook
from nbmf.payload import Fidelity, Payload, to_canonical
from nbmf.printable import printable
from nbmf.protocol import REQUEST_ID
from nbmf.vectors.changed import Changed, Coded
from nbmf.wire import BadWire, canonical_to_json, dump, from_base64, from_wire, load


@dataclass(frozen=True, slots=True)
class Request:
    """A request: POST if it has a body."""

    path: str
    body: bytes | None = None
    parameters: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer. The names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def request_id(self) -> str | None:
        """The id by which the service's log knows the request."""
        return self.headers.get(REQUEST_ID.lower())


def effort_parameters(effort: Effort | None, latency_budget_ms: float | None) -> dict[str, str]:
    """Query parameters."""
    given = {"effort": effort, "latency_budget_ms": latency_budget_ms}
    return {name: str(value) for name, value in given.items() if value is not None}


def record_json(payload: Payload, key: str | None, fidelity: Fidelity, default: Default | None = None) -> bytes:
    """A record to encode, as a JSON object. Raises UnsupportedPayload."""
    text = canonical_to_json(*to_canonical(payload, default))
    fields = ({} if key is None else {"key": key}) | ({} if fidelity == "lossless" else {"fidelity": fidelity})
    return text[:-1] + b"," + dump(fields)[1:] if fields else text


def blob_json(blob: AnyBlob) -> bytes:
    """A blob to decode, as a JSON string; a dict blob as the object that it is. Raises TypeError."""
    if isinstance(blob, dict):
        return dump(blob)
    if not isinstance(blob, bytes | bytearray | memoryview):
        raise TypeError(f"a blob is bytes, not {type(blob).__name__}")
    if held := compat.of_json(bytes(blob)):  # as `blob_of` gives it
        return dump(held)
    return b'"' + base64.b64encode(blob) + b'"'


def batch_body(name: str, items: Sequence[bytes]) -> bytes:
    """The body of a batch: `{name: [items]}`."""
    return b'{"' + name.encode() + b'":[' + b",".join(items) + b"]}"


def fields_of(answer: Answer) -> dict[str, Any]:
    """The JSON object of an answer with status 200. Raises BadAnswer."""
    fields = _object(answer)
    if fields is None:
        raise _bad_answer(answer, "it is not a JSON object")
    return fields


def results_of(answer: Answer, count: int) -> list[dict[str, Any]]:
    """The results of a batch of that many."""
    results = fields_of(answer).get("results")
    if type(results) is not list or len(results) != count or not all(type(r) is dict for r in results):
        raise _bad_answer(answer, f"it has not {count} results")
    return results


def blob_of(fields: dict[str, Any], answer: Answer) -> bytes:
    """The blob in a record's result, or the JSON text of a dict blob. Raises the error in it, BadAnswer."""
    _raise_failure(fields, answer)
    try:
        if compat.form_of(fields["blob"]):  # of a service that still writes the stub's
            return dump(fields["blob"])
        blob = from_base64(fields["blob"], "blob")
        with suppress(UnsupportedFormat):  # of a newer service: it can be stored, if not read here
            frame.parse(blob)
    except (KeyError, BadWire, BlobError) as error:
        raise _bad_answer(answer, f"a result without a blob: {error}") from error
    return blob


def coded_of(fields: dict[str, Any], answer: Answer) -> Coded:
    """As `blob_of`, with what fidelity semantic changed."""
    blob, told = blob_of(fields, answer), fields.get("similarity")
    if told is None:
        return Coded(blob)
    try:
        vectors, mean, least = (told[name] for name in ("vectors", "cosine_mean", "cosine_min"))
        if type(vectors) is not int or not vectors > 0 or not -1 <= least <= mean <= 1:
            raise ValueError(f"{vectors!r} vectors, cosines {mean!r} and {least!r}")
        return Coded(blob, Changed(vectors, float(mean), float(least)))
    except (KeyError, TypeError, ValueError) as error:
        raise _bad_answer(answer, f"no similarity: {type(error).__name__}: {printable(str(error))}") from error


def payload_of(fields: dict[str, Any], answer: Answer, object_hook: ObjectHook | None = None) -> Payload:
    """The payload in a blob's result. Raises the error in it, BadAnswer."""
    _raise_failure(fields, answer)
    try:
        payload = from_wire(fields)
    except BadWire as error:
        raise _bad_answer(answer, f"a result without a payload: {error}") from error
    return with_object_hook(payload, object_hook) if object_hook else payload


def versions_of(answer: Answer) -> list[Version]:
    """The versions that an answer lists."""
    fields = fields_of(answer)
    try:
        return [_version(row) for row in fields["versions"]]
    except (KeyError, TypeError, AttributeError) as error:
        raise _bad_answer(answer, f"no list of versions: {type(error).__name__}: {error}") from error


def _version(row: dict[str, Any]) -> Version:
    told = {name: row.get(name) for name in ("name", "created_at", "architecture", "measured")}
    told = {name: printable(text) if isinstance(text, str) else text for name, text in told.items()}
    problem = printable(str(row["error"]["message"])) if row.get("error") else None
    return Version(row["id"], tuple(row["channels"]), **told, problem=problem)


def failure_of(answer: Answer) -> NbmfError:
    """The error that an answer tells; one without the service's JSON, as a proxy's, by its status."""
    detail = (_object(answer) or {}).get("error")
    if type(detail) is dict and {"code", "message"} <= detail.keys():
        request_id = printable(str(detail.get("request_id") or answer.request_id or "")) or None
        return error_of(str(detail["code"]), str(detail["message"]), status=answer.status, request_id=request_id)
    text = printable(answer.content[:200].decode("utf-8", "replace").strip())
    # 500 or 504 of another than the service, as a proxy that lost it, is no fault that it found, nor its time limit.
    cls = Unavailable if answer.status in (500, 504) else class_of(answer.status, BadAnswer)
    return cls(text or "an answer without content", status=answer.status, request_id=answer.request_id)


def _raise_failure(fields: dict[str, Any], answer: Answer) -> None:
    detail = fields.get("error")
    if type(detail) is dict:
        code, message = str(detail.get("code")), str(detail.get("message"))
        raise error_of(code, message, status=None, request_id=answer.request_id)


def _object(answer: Answer) -> dict[str, Any] | None:
    try:
        value = load(answer.content)
    except ValueError:
        return None
    return value if type(value) is dict else None


def _bad_answer(answer: Answer, problem: str) -> ServiceError:
    return BadAnswer(f"the answer is not this service's: {problem}", status=answer.status, request_id=answer.request_id)
