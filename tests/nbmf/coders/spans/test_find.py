"""Which runs are cut out, and that what is cut out comes back the same."""

import base64
import json
import random
import textwrap

import numpy as np
import pytest
from helpers import texts
from hypothesis import given, settings
from hypothesis import strategies as st

from nbmf.codec import WITHOUT_VERSION
from nbmf.coders import spans
from nbmf.payload import Kind, to_canonical

RNG = random.Random(5)
NOISE = RNG.randbytes(75)
STANDARD = base64.b64encode(NOISE).decode()
URL_SAFE = base64.urlsafe_b64encode(NOISE).decode()
PROSE = base64.b64encode(b"The customer asked twice for a seat by the window, and for no calls before nine.").decode()


def _remains(value):
    """What remains of a value, as text, after a round trip through a body; None if nothing is cut out."""
    kind, canonical = to_canonical(value)
    cut = spans.cut(kind, canonical)
    assert spans.remaining(kind, canonical) == (cut.remaining if cut else canonical)
    if cut is None:
        return None
    parsed = spans.parse(cut.body(0, cut.remaining), len(canonical))
    assert (parsed.inner, parsed.inner_body, parsed.remaining_bytes) == (0, cut.remaining, len(cut.remaining))
    assert parsed.join(cut.remaining) == canonical
    return cut.remaining.decode("utf-8", "surrogatepass")


def _lines(octets, characters, end="\n"):
    return end.join(textwrap.wrap(base64.b64encode(octets).decode(), characters))


def _floats(n, dtype="<f4", scale=0.05):
    return (np.random.default_rng(n).normal(size=n) * scale).astype(dtype).tolist()


@pytest.mark.parametrize(
    ("value", "remains"),
    [
        ({"signature": STANDARD}, '{"signature":""}'),
        ({"signature": URL_SAFE}, '{"signature":""}'),
        ({"signature": base64.b64encode(NOISE + b"a").decode()}, '{"signature":""}'),
        ({"signature": base64.urlsafe_b64encode(NOISE + b"ab").decode().rstrip("=")}, '{"signature":""}'),
        ({"url": "data:image/png;base64," + STANDARD}, '{"url":"data:image/png;base64,"}'),
        (f"see {STANDARD}, please", "see , please"),
        (f"sha512-{STANDARD}", "sha512-"),
        ({"a": [STANDARD, {"b": URL_SAFE}]}, '{"a":["",{"b":""}]}'),
        ({"inner": json.dumps({"data": STANDARD})}, r'{"inner":"{\"data\": \"\"}"}'),
        ({"mime": _lines(NOISE * 4, 76) + "\n"}, r'{"mime":"\n"}'),
        ({"mime": _lines(NOISE * 4, 64, "\r\n")}, '{"mime":""}'),
        ("pem\n" + _lines(NOISE * 5, 64) + "\n-----END", "pem\n\n-----END"),
        ("pem\r\n" + _lines(NOISE * 5 + b"x", 76, "\r\n") + "\r\n", "pem\r\n\r\n"),
        ({"content": PROSE}, '{"content":"' + base64.b64decode(PROSE).decode() + '"}'),
        ({"dump": (NOISE * 2).hex()}, '{"dump":""}'),
        ({"dump": (NOISE * 2).hex().upper()}, '{"dump":""}'),
        ({"embedding": _floats(8)}, '{"embedding":[]}'),
        ({"embedding": _floats(100, "<f8")}, '{"embedding":[]}'),
        ({"rows": [_floats(9), _floats(10, "<f8")]}, '{"rows":[[],[]]}'),
        ("Embedding: " + str(_floats(12)), "Embedding: []"),
        ({"text": json.dumps(_floats(12), indent=2)}, r'{"text":"[\n  \n]"}'),
        ({"prices": [12.99, 8.5, 101.25, 7.0, 3.75, 12.5, 99.95, 1.15]}, '{"prices":[]}'),
        ({"mixed": [*_floats(9), 0, *_floats(9)]}, '{"mixed":[,0,]}'),
    ],
)
def test_runs_that_are_cut_out(value, remains):
    assert _remains(value) == remains


@pytest.mark.parametrize(
    "value",
    [
        "short: " + STANDARD[:36],
        {"path": "src/main/java/com/example/application/configuration/properties/loader"},
        {"name": "imagenet_mobilenet_v2_100_224_feature_vector_classification"},
        {"id": "deployment-5fd8635b-fe7a-4dda-ada7-efa88558b67e"},
        {"sha256": RNG.randbytes(32).hex()},
        {"rule": "-" * 70},
        {"digits": "1234567890" * 20},
        {"few": _floats(7)},
        {"integers": list(range(100))},
        {"texts": "1.50,2.50,3.50,4.50,5.50,6.50,7.50,8.50"},
        "1.5 2.5 3.5 4.5 5.5 6.5 7.5 8.5 9.5 10.5",
        [],
        "",
        None,
    ],
)
def test_runs_that_are_left(value):
    assert _remains(value) is None


def test_bits_behind_the_last_octet_are_kept():
    """Base64 that no encoder writes: its last characters stay as they are."""
    run = STANDARD + "QUJ"
    assert _remains({"s": run}) == '{"s":"QUJ"}'
    assert _remains({"s": run + "="}) == '{"s":"QUJ="}'


def test_only_text_and_json():
    for kind in (Kind.BYTES, Kind.ARRAY):
        assert spans.cut(kind, STANDARD.encode()) is None


BASE64 = st.builds(
    lambda octets, url, strip, cut: (
        (base64.urlsafe_b64encode if url else base64.b64encode)(octets).decode().rstrip("=" if strip else "")[cut:]
    ),
    st.binary(min_size=30, max_size=200),
    st.booleans(),
    st.booleans(),
    st.integers(0, 3),
)
LINES = st.builds(
    _lines, st.binary(min_size=60, max_size=300), st.sampled_from([60, 64, 76]), st.sampled_from(["\n", "\r\n", "\\n"])
)
FLOATS = st.lists(st.floats(), min_size=7, max_size=30).map(str)
SINGLES = st.lists(st.floats(width=32), min_size=7, max_size=30).map(json.dumps)
NEAR = st.text("Aa1+/=-_\\\n", min_size=30, max_size=120)
PIECES = st.one_of(texts, BASE64, LINES, FLOATS, SINGLES, NEAR, st.binary(min_size=40, max_size=80).map(bytes.hex))


@settings(max_examples=400)
@given(st.lists(PIECES, max_size=6), st.sampled_from(["", " ", "\n", '"', "\\"]))
def test_whatever_is_cut_out_comes_back(pieces, between):
    text = between.join(pieces)
    for value in (text, {"a": pieces, "b": text}, [{"role": "user", "content": text}], json.dumps({"c": text})):
        _remains(value)


@pytest.mark.parametrize(
    "text",
    [
        "1" * 300_000,
        "1.5," * 100_000,
        "1.5,2.5,3.5 " * 30_000,
        "0.1234567890123456," * 20_000 + "x",
        "A" * 300_000,
        "aB3+-" * 60_000,
        "\\n" * 150_000,
        (STANDARD[:39] + "~") * 8_000,
    ],
)
def test_text_that_nearly_is_takes_no_quadratic_time(text):
    """Each of these would take minutes if a search began anew at each character."""
    _remains(text)


def test_decimals_of_a_narrow_range_stay_in_planes():
    """As coordinates: no stream of floats knows as well that they lie close to one another."""
    rng = random.Random(1)
    values = [round(52.5 + rng.random() / 100, 6) for _ in range(30)]
    assert len(WITHOUT_VERSION.encode(values)) <= 85


def test_vectors_in_six_decimals_have_a_stream():
    rng = random.Random(2)
    values = [round(rng.gauss(0, 0.05), 6) for _ in range(384)]
    assert len(WITHOUT_VERSION.encode(values)) <= 885
