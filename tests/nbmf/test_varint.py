"""Lengths."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nbmf import varint
from nbmf.errors import CorruptBlob


@given(st.integers(0, 2**56 - 1), st.binary(max_size=3), st.binary(max_size=3))
@example(2**56 - 1, b"", b"")
def test_round_trip_between_other_bytes(value, before, after):
    written = varint.to_bytes(value)
    assert varint.read(before + written + after, len(before)) == (value, len(before) + len(written))


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (0, "00"),
        (1, "01"),
        (127, "7f"),
        (128, "8001"),
        (300, "ac02"),
        (16384, "808001"),
        (2**56 - 1, "ffffffffffffff7f"),
    ],
)
def test_known_forms(value, written):
    assert varint.to_bytes(value).hex() == written


@pytest.mark.parametrize("value", [-1, 2**56])
def test_out_of_range(value):
    with pytest.raises(ValueError, match="does not fit"):
        varint.to_bytes(value)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("", "truncated"),
        ("80", "truncated"),
        ("ffffffffffffff", "truncated"),
        ("8000", "shortest"),
        ("ff8000", "shortest"),
        ("8080808080808000", "shortest"),
        ("808080808080808001", "more than 8 bytes"),
        ("ff" * 20, "more than 8 bytes"),
    ],
)
def test_damaged(data, words):
    with pytest.raises(CorruptBlob, match=words):
        varint.read(bytes.fromhex(data), 0)


@given(st.binary(max_size=10))
def test_any_bytes_have_one_reading(data):
    try:
        value, end = varint.read(data, 0)
    except CorruptBlob:
        return
    assert varint.to_bytes(value) == data[:end]
