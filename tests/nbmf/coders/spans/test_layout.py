"""Bodies of spans by hand, and those of somebody who means harm."""

import random
import tracemalloc

import pytest

from nbmf import Codec, frame, varint
from nbmf.coders import spans
from nbmf.coders.spans import layout
from nbmf.errors import CorruptBlob, NbmfError, UnsupportedFormat
from nbmf.payload import Kind

V = varint.to_bytes


def _span(gap, length, kind, more=b""):
    return V(gap) + V(length << 5 | kind) + more


def _body(*spans_, sections=b"", inner=0, remains=b""):
    return bytes([inner]) + V(len(spans_)) + b"".join(spans_) + sections + remains


def _read(body, size):
    parsed = spans.parse(body, size)
    return parsed.join(parsed.inner_body)


RAW = b"\x00"  # the method of one plane


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (_body(_span(1, 3, 0), sections=RAW + b"\x00\x10\x83", remains=b"<>"), b"<ABCD>"),
        (_body(_span(1, 1, 2), sections=RAW + b"\xff", remains=b"<>"), b"</w==>"),
        (_body(_span(0, 1, 3), sections=RAW + b"\xff"), b"_w=="),
        (_body(_span(0, 6, 4, V(4 << 2 | 1)), sections=RAW + b"AAAAAA"), b"QUFB\r\nQUFB"),
        (_body(_span(0, 6, 4, V(6 << 2 | 2)), sections=RAW + b"AAAAAA"), b"QUFBQU\\nFB"),
        (_body(_span(1, 3, 8), remains=b"<AAA>"), b"<QUFB>"),
        (_body(_span(0, 2, 16), _span(1, 1, 17), sections=RAW + b"\xab\xcd\xef", remains=b"-"), b"abcd-EF"),
        (_body(_span(0, 2, 20, b"\x00"), sections=b"\xff" + b"\x00\x00\xc0\x3f"), b"1.5,1.5"),
        (_body(_span(1, 1, 21, b"\x01"), sections=RAW + b"\xcd\xcc\xcc\x3d", remains=b"[]"), b"[0.1]"),
        (_body(_span(0, 2, 22, V(2) + b";"), sections=b"\xff\xff" + bytes(6) + b"\xf8\x3f"), b"1.5;1.5"),
        (_body(_span(0, 3, 23, V(3) + b" ," + V(2)), sections=b"\xfc\x01\xfa\x03" + bytes(3)), b"-0.0 ,1.25 ,-0.01"),
    ],
)
def test_bodies_by_hand(body, text):
    assert _read(body, len(text)) == text
    for wrong in (len(text) - 1, len(text) + 1, 0, 2**40):
        with pytest.raises(CorruptBlob):
            _read(body, wrong)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x00",
        _body(),
        b"\x00" + V(2**50),
        _body(_span(0, 0, 0), remains=b"x"),
        _body(_span(0, 2**40, 0)),
        _body(_span(0, 2**40, 20, b"\x00")),
        _body(_span(2**40, 1, 0), sections=RAW + b"A"),
        _body(_span(0, 3, 18), sections=RAW + b"AAA"),
        _body(_span(0, 3, 24), sections=RAW + b"AAA"),
        _body(_span(0, 3, 4, V(2)), sections=RAW + b"AAA"),
        _body(_span(0, 1, 20, V(66) + b"," * 65), sections=RAW + bytes(4)),
        _body(_span(0, 1, 20, V(9) + b",")),
        _body(_span(0, 1, 23, b"\x00" + V(0)), sections=RAW + bytes(4)),
        _body(_span(0, 1, 23, b"\x00" + V(10)), sections=RAW + bytes(4)),
        _body(_span(0, 1, 20, b"\x00"), sections=RAW + b"\x00\x00\x80\x7f"),
        _body(_span(0, 3, 0), sections=b"\x04AAA"),
        _body(_span(0, 3, 0), sections=RAW + b"AA"),
        _body(_span(0, 3, 0), sections=b"\x01" + V(200) + b"A"),
        _body(_span(0, 3, 0), sections=b"\x02" + V(2) + b"\xff\xff"),
        _body(_span(5, 3, 8), remains=b"AAA"),
    ],
)
def test_bodies_that_are_none(body):
    for size in (0, 4, 40, 1000):
        with pytest.raises(CorruptBlob):
            _read(body, size)


def _blob(body, size, coder=7, kind=Kind.TEXT, pack=frame.pack):
    return pack(kind, coder, "lossless", b"" if coder == 7 else b"ab", b"", bytes(size), body)


@pytest.mark.parametrize("pack", [frame.pack, frame.pack_full])
def test_the_inner_coder_must_fit(pack):
    sections = RAW + b"AAA"
    for inner in (2, 4, 5, 6, 7, 8):
        with pytest.raises(CorruptBlob, match="what remains beside spans"):
            Codec().decode(_blob(_body(_span(0, 3, 0), sections=sections, inner=inner), 4, pack=pack))
    with pytest.raises(UnsupportedFormat, match="coder 200"):
        Codec().decode(_blob(_body(_span(0, 3, 0), sections=sections, inner=200), 4, pack=pack))
    with pytest.raises(CorruptBlob, match="spans in bytes"):
        Codec().decode(_blob(_body(_span(0, 3, 0), sections=sections), 4, kind=Kind.BYTES, pack=pack))


@pytest.mark.parametrize(
    ("body", "size"),
    [
        (_body(_span(0, 45_000_000, 0), sections=b"\x03A"), 60_000_001),
        (_body(_span(0, layout.MAX_NUMBERS + 1, 20, b"\x00"), sections=b"\xff" + bytes(4)), 64_000_000),
        (_body(_span(0, 900_000, 20, b"\x00"), sections=b"\xff" + b"\x01\x01\x01\x01"), 3_700_000),
        (_body(*[_span(0, 1, 0)] * 50_000, sections=b"\x03A"), 99_999),
        (_body(_span(0, 2**30, 0), sections=b"\x01" + V(4) + b"\x03\x00\x10\x55"), 60_000_000),
    ],
)
def test_lies_about_the_length_cost_no_more_than_the_payload(body, size):
    blob = _blob(body, 0)
    head = len(frame.parse(blob).head)
    blob = blob[:2] + V(size) + blob[head:]
    tracemalloc.start()
    with pytest.raises(CorruptBlob):
        Codec().decode(blob)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * size + 10_000_000


def test_noise_behind_the_first_bytes():
    rng = random.Random(6)
    for _ in range(3_000):
        kind = rng.choice([0, 1, 2, 4, 8, 16, 17, 20, 21, 22, 23])
        body = _body(_span(rng.randrange(4), rng.randrange(1, 9), kind), sections=rng.randbytes(rng.randrange(40)))
        with pytest.raises(NbmfError):
            Codec().decode(_blob(body, rng.randrange(1, 80)))
