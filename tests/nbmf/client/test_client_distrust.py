"""Both clients against a server that is no service, or an unfriendly one."""

import base64
import gzip
import json

import httpx
import pytest
from clients import BLOB, both, mocked, service

from nbmf import Codec
from nbmf.client import BadAnswer, RequestTooLarge, ServiceError
from nbmf.errors import CorruptBlob
from nbmf.printable import printable

ESCAPES = "\x1b[31mred\x07 \u202eright \x9b2J"


def in_base64(data):
    return base64.b64encode(data).decode()


@both
@pytest.mark.parametrize("sent", [b"hello", b"", b"{}", b"\xb1", bytes([0x80]) * 3])
def test_what_is_no_blob_is_not_given_out(make, sent):
    answers = iter([{"blob": in_base64(sent)}, {"results": [{"blob": in_base64(BLOB)}, {"blob": in_base64(sent)}]}])
    with mocked(make, lambda _: httpx.Response(200, json=next(answers))) as client:
        with pytest.raises(BadAnswer, match="without a blob"):
            client.encode("x")
        good, bad = client.encode_batch(["x", "y"])
    assert good == BLOB
    assert isinstance(bad, BadAnswer)


@both
def test_a_blob_of_a_newer_format_is_given_out(make):
    newer = b"\x9f\x00rest"
    with mocked(make, lambda _: httpx.Response(200, json={"blob": in_base64(newer)})) as client:
        assert client.encode("x") == newer


@both
@pytest.mark.parametrize("packed", [False, True])
def test_no_more_of_an_answer_is_read_than_is_wanted(make, packed):
    content = json.dumps({"blob": "A" * 100_000}).encode()
    headers = {"Content-Encoding": "gzip"} if packed else {}
    with (
        mocked(
            make,
            lambda _: httpx.Response(200, headers=headers, content=gzip.compress(content) if packed else content),
            max_answer_bytes=50_000,
        ) as client,
        pytest.raises(RequestTooLarge, match="more than 50000 bytes; max_answer_bytes allows more"),
    ):
        client.encode("x")


@both
def test_a_batch_whose_answer_is_too_large_is_asked_for_in_parts(make):
    records = [str(number) * 1_000 for number in range(10)] + ["x" * 20_000]
    blobs = [Codec().encode(record) for record in records]
    sizes = []

    def respond(request):
        answer = service(request)
        sizes.append(len(answer.content))
        return answer

    with mocked(make, respond, max_answer_bytes=8_000) as client:
        *decoded, last = client.decode_batch(blobs)
    assert decoded == records[:-1]
    assert isinstance(last, RequestTooLarge)
    assert max(sizes) > 8_000
    assert len(sizes) > 2


@both
def test_what_a_terminal_would_act_on_is_shown(make):
    error = {"code": f"odd{ESCAPES}", "message": ESCAPES, "request_id": ESCAPES}
    version = {"id": "ab", "channels": [], "name": ESCAPES, "error": {"code": "damaged_codec", "message": ESCAPES}}
    answers = iter(
        [
            httpx.Response(400, json={"error": error}),
            httpx.Response(418, content=ESCAPES.encode()),
            httpx.Response(200, json={"error": {"code": "corrupt_blob", "message": ESCAPES}}),
            httpx.Response(200, json={"versions": [version]}),
        ]
    )
    with mocked(make, lambda _: next(answers)) as client:
        for expected in (ServiceError, BadAnswer, CorruptBlob):
            with pytest.raises(expected) as raised:
                client.decode(BLOB)
            assert str(raised.value).isprintable()
            assert "\\x1b[31mred\\x07 \\u202eright \\x9b2J" in str(raised.value)
        (found,) = client.versions()
    assert found.name == found.problem == printable(ESCAPES)
    assert found.name.isprintable()


def test_lines_and_letters_stay():
    assert printable("größer\n明日 \ud800\t") == "größer\n明日 \\ud800\\t"
