"""Requests that schemathesis makes of the OpenAPI page: no 5xx but those of overload, answers as the page says."""

import base64

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from payloads import payloads
from schemathesis import GenerationMode
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from nbmf import Codec

CHECKS = [content_type_conformance, response_schema_conformance, status_code_conformance]
REQUESTS = [
    ("POST", "/v1/encode", GenerationMode.POSITIVE),
    ("POST", "/v1/encode", GenerationMode.NEGATIVE),
    ("POST", "/v1/decode", GenerationMode.POSITIVE),
    ("POST", "/v1/decode", GenerationMode.NEGATIVE),
    ("GET", "/v1/versions", GenerationMode.POSITIVE),
    ("GET", "/healthz", GenerationMode.POSITIVE),
]
PASSING = (503, 504)
OF_THIS_MACHINE = {"Host": "127.0.0.1"}  # what a service without keys is for

each = pytest.mark.parametrize(
    ("method", "path", "mode"), REQUESTS, ids=[f"{path}-{mode.value}" for _, path, mode in REQUESTS]
)


def check(case):
    """Sends a request; the answer's status."""
    answer = case.call(headers=OF_THIS_MACHINE)
    assert answer.status_code < 500 or answer.status_code in PASSING, answer.text
    case.validate_response(answer, checks=CHECKS)
    return answer.status_code


def fuzz(operation, mode, examples, change=None):
    """Statuses that the requests were answered with."""
    statuses = set()

    @settings(
        max_examples=examples, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(case=operation.as_strategy(generation_mode=mode), data=st.data())
    def run(case, data):
        if change is not None:
            change(case, data)
        statuses.add(check(case))

    run()
    return statuses


@st.composite
def decode_bodies(draw):
    """Blobs of every kind, whole and damaged, alone and in batches: none of which chance would find."""
    blobs = [Codec().encode(payload) for payload in draw(st.lists(payloads, min_size=1, max_size=3))]
    if draw(st.booleans()):
        blobs.append(blobs[0][:-1] + bytes([blobs[0][-1] ^ 1]))
    encoded = [base64.b64encode(blob).decode() for blob in blobs]
    return draw(st.sampled_from([{"blob": encoded[-1]}, {"blobs": encoded}]))


def with_blobs(case, data):
    case.body, case.media_type = data.draw(decode_bodies()), "application/json"


def with_record(case, _data):
    """One that is answered in JSON, which chance may not find."""
    case.body, case.media_type, case.query, case.headers = {"payload": "text"}, "application/json", {}, {}


def open_page(in_process, **replicas):
    app = in_process(access_log=False, **replicas).ingress.__serve_build_asgi_app__()
    return schemathesis.openapi.from_asgi("/openapi.json", app)


@each
def test_in_this_process(in_process, method, path, mode):
    statuses = fuzz(open_page(in_process)[path][method], mode, examples=30)
    if method == "POST":
        assert (200 if mode is GenerationMode.POSITIVE else 400) in statuses


def test_blobs_in_this_process(in_process):
    decode = open_page(in_process)["/v1/decode"]["POST"]
    assert fuzz(decode, GenerationMode.POSITIVE, 60, with_blobs) >= {200, 422}


@pytest.mark.slow
@each
def test_the_running_service(service, method, path, mode):
    page = schemathesis.openapi.from_url(f"{service.url}/openapi.json")
    statuses = fuzz(page[path][method], mode, examples=300)
    if method == "POST":
        assert (200 if mode is GenerationMode.POSITIVE else 400) in statuses
    else:
        assert statuses == {200}


@pytest.mark.slow
def test_blobs_for_the_running_service(service):
    page = schemathesis.openapi.from_url(f"{service.url}/openapi.json")
    assert fuzz(page["/v1/decode"]["POST"], GenerationMode.POSITIVE, 200, with_blobs) >= {200, 422}


def test_a_fault_is_found(in_process):
    async def encode(*_):
        raise RuntimeError

    page = open_page(in_process, encode=encode)
    with pytest.raises(AssertionError, match="internal_error"):
        fuzz(page["/v1/encode"]["POST"], GenerationMode.POSITIVE, examples=20)


def test_an_answer_that_the_page_does_not_tell_is_found(in_process, monkeypatch):
    from serve_app.http import bodies

    fields = bodies.encoded_fields
    monkeypatch.setattr(bodies, "encoded_fields", lambda *args: {**fields(*args), "secret": 1})
    page = open_page(in_process)
    with pytest.raises(FailureGroup, match="secret"):
        fuzz(page["/v1/encode"]["POST"], GenerationMode.POSITIVE, 20, with_record)
