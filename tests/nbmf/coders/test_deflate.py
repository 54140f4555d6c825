"""Deflate bodies: never longer than zlib's streams, and read only if whole."""

import hashlib
import random
import re
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbmf.coders import DeflateCoder, deflate
from nbmf.coders.deflate_dictionary import DICTIONARY
from nbmf.errors import CorruptBlob
from nbmf.payload import Kind

PAGE = (Path(__file__).parents[3] / "docs" / "format.md").read_text(encoding="utf-8")


def test_the_dictionary_is_the_one_on_the_page():
    ((size, digest),) = re.findall(
        r"the ([\d,]+) bytes in\s+`nbmf/coders/deflate_dictionary.py` \(SHA-256 `(\w+)`", PAGE
    )
    assert (len(DICTIONARY), hashlib.sha256(DICTIONARY).hexdigest()) == (int(size.replace(",", "")), digest)


@given(st.one_of(st.binary(min_size=1, max_size=600), st.text("ab{}:, ", min_size=1).map(str.encode)))
def test_round_trips(data):
    body = deflate.compress(data)
    assert deflate.decompress(body, len(data)) == data
    assert len(body) <= len(zlib.compress(data, 9)) - 6  # two bytes of header and four of checksum


def test_the_dictionary_pays():
    message = b'[{"role":"user","content":"Where is the report?"},{"role":"assistant","content":"In the red folder."}]'
    assert len(deflate.compress(message)) < 0.6 * (len(zlib.compress(message, 9)) - 6)


@pytest.mark.parametrize("size", [40, 300, 5000, 70_000])
def test_bodies_that_are_none(size):
    rng = random.Random(size)
    data = bytes(rng.choice(b"abcdefgh") for _ in range(size))
    body = deflate.compress(data)
    coder = DeflateCoder()
    for kind, damaged, length in (
        (Kind.TEXT, body[: len(body) // 2], size),
        (Kind.TEXT, b"", size),
        (Kind.TEXT, body + rng.randbytes(9), size),
        (Kind.TEXT, body, size + 400),
        (Kind.TEXT, body, 2**40),
        (Kind.TEXT, body, 0),
        (Kind.ARRAY, body, size),
        (Kind.TEXT, b"\xff" * 20, size),
    ):
        with pytest.raises(CorruptBlob):
            coder.decode(kind, damaged, length)


def test_what_it_takes():
    coder = DeflateCoder()
    assert coder.encode(Kind.ARRAY, b"\x10\x00\x3c") is None
    assert coder.encode(Kind.BYTES, b"") is None
    assert coder.decode(Kind.BYTES, coder.encode(Kind.BYTES, b"x"), 1) == b"x"
