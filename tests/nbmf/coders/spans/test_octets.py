"""Base64 and hexadecimal: what is read is written back as the same text, or not read."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbmf.coders.spans.octets import LINE_ENDS, Base64, Hexadecimal

STYLES = st.builds(
    Base64, st.booleans(), st.booleans(), st.sampled_from([0, 1, 3, 4, 60, 64, 76]), st.sampled_from(range(4))
)


@given(STYLES, st.binary(min_size=1, max_size=300))
def test_base64_of_all_styles(style, octets):
    text = style.write(octets)
    assert len(text) == style.size(len(octets))
    assert style.read(text) == octets
    plain = text.replace(LINE_ENDS[style.line_end], b"") if style.line else text
    standard = base64.urlsafe_b64encode(octets) if style.url_safe else base64.b64encode(octets)
    assert plain == (standard if style.padded else standard.rstrip(b"="))
    if style.line:
        lines = text.split(LINE_ENDS[style.line_end])
        assert {len(line) for line in lines[:-1]} <= {style.line}
        assert 0 < len(lines[-1]) <= style.line


@given(STYLES, st.text("ABab01+/-_=\n \\", max_size=60))
def test_whatever_is_read_is_written_back(style, text):
    octets = style.read(text.encode())
    assert octets is None or style.write(octets) == text.encode()


@pytest.mark.parametrize(
    ("style", "text"),
    [
        (Base64(), b"QUI"),  # AB
        (Base64(padded=True), b"QUI="),
        (Base64(url_safe=True), b"-_-_"),
        (Base64(padded=True, line=4, line_end=1), b"QUFB\r\nQUE="),
        (Base64(line=4, line_end=2), b"QUFB\\nQUFB"),
    ],
)
def test_text_that_is_base64(style, text):
    assert style.read(text) is not None


@pytest.mark.parametrize(
    ("style", "text"),
    [
        (Base64(), b"QUJ"),  # bits that are not zero behind the last octet
        (Base64(padded=True), b"QUJ="),
        (Base64(padded=True), b"QUI"),
        (Base64(), b"QUI="),
        (Base64(), b"-_-_"),
        (Base64(url_safe=True), b"+/+/"),
        (Base64(), b"QUFBQ"),
        (Base64(line=4), b"QUFB\nQUFB\n"),
        (Base64(line=4), b"QUFBQUFB"),
    ],
)
def test_text_that_is_not(style, text):
    assert style.read(text) is None


def test_hexadecimal():
    lower, upper = Hexadecimal(), Hexadecimal(upper=True)
    assert (lower.read(b"00ff"), upper.read(b"00FF")) == (b"\x00\xff", b"\x00\xff")
    assert (lower.write(b"\x0a"), upper.write(b"\x0a"), lower.size(3)) == (b"0a", b"0A", 6)
    for style, text in ((lower, b"0F"), (upper, b"0f"), (lower, b"0fa"), (lower, b"xy")):
        assert style.read(text) is None
