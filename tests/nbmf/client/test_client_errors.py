"""A service's codes become the classes that the codec itself raises, or the client's own."""

import pickle

import pytest
from helpers import keys
from hypothesis import given
from hypothesis import strategies as st

from nbmf import client, errors
from nbmf.client.errors import error_of
from nbmf.json_path import path_text

CODEC_ERRORS = [
    errors.PayloadTooLarge("payload of 9 bytes; max_payload_bytes is 8"),
    errors.NotABlob("first byte 0x00"),
    errors.UnsupportedFormat("format 9"),
    errors.CorruptBlob("cut"),
    errors.ChecksumMismatch("other"),
    errors.OutputTooLarge("much"),
    errors.DamagedCodec("file"),
    errors.UnsupportedPayload("$.a[3]", "cannot represent set"),
    errors.UnsupportedPayload('$["a: b"].c', "x: y\nz"),
    errors.UnknownCodec("ab12", ["loaded versions (none)", "/some/folder"]),
    errors.UnknownCodec("ab12", []),
]


@pytest.mark.parametrize("error", CODEC_ERRORS, ids=lambda e: type(e).__name__)
def test_an_error_of_the_codec_is_that_error(error):
    received = error_of(error.code, str(error), status=422, request_id="r1")
    assert type(received) is type(error)
    assert str(received) == str(error)
    assert received.request_id == "r1"
    assert {**vars(received), "request_id": None} == {**vars(error), "request_id": None}
    again = pickle.loads(pickle.dumps(received))
    assert (type(again), str(again), again.request_id) == (type(error), str(error), "r1")


def test_every_code_of_nbmf_errors_is_known():
    known = {type(error_of(cls.code, "m", status=422, request_id=None)) for cls in vars(errors).values() if _is(cls)}
    assert known == {cls for cls in vars(errors).values() if _is(cls)}


def _is(value):
    return isinstance(value, type) and issubclass(value, errors.NbmfError) and value is not errors.NbmfError


@given(st.lists(keys | st.integers(0, 99), max_size=5), st.text())
def test_the_path_of_an_unsupported_payload_comes_back(path, problem):
    error = errors.UnsupportedPayload(path_text(path), problem)
    received = errors.UnsupportedPayload.from_message(str(error))
    assert (received.path, received.problem) == (error.path, error.problem)


def test_messages_in_other_words_are_kept():
    assert "gone" in str(errors.UnknownCodec.from_message("gone"))
    assert errors.UnsupportedPayload.from_message("odd").problem == "odd"


@pytest.mark.parametrize(
    ("status", "code", "cls"),
    [
        (400, "bad_request", client.BadRequest),
        (401, "unauthorized", client.Unauthorized),
        (403, "forbidden", client.Forbidden),
        (404, "not_found", client.BadRequest),
        (405, "method_not_allowed", client.BadRequest),
        (413, "body_too_large", client.RequestTooLarge),
        (413, "batch_too_large", client.RequestTooLarge),
        (415, "unsupported_media_type", client.BadRequest),
        (418, "new_code", client.BadRequest),
        (429, "overloaded", client.Unavailable),
        (500, "internal_error", client.ServiceFault),
        (503, "unavailable", client.Unavailable),
        (503, "registry_error", client.Unavailable),
        (504, "deadline_exceeded", client.DeadlineExceeded),
        (None, "new_code", client.ServiceError),
        (None, "internal_error", client.ServiceFault),
        (None, "overloaded", client.Unavailable),
    ],
)
def test_errors_of_the_service(status, code, cls):
    error = error_of(code, "why", status=status, request_id="r1")
    assert type(error) is cls
    assert (error.status, error.code, error.request_id) == (status, code, "r1")
    assert str(error) == (f"why (HTTP {status}, request r1)" if status else "why (request r1)")
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), vars(again)) == (cls, str(error), vars(error))


def test_builtin_classes():
    assert issubclass(client.DeadlineExceeded, TimeoutError)
    assert issubclass(client.ConnectionLost, ConnectionError)
