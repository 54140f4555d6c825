"""Streams that tell where their records end: by a number, or because the JSON value does."""

import json
import random
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nbmf
from nbmf import Codec, _core, errors, frame
from nbmf.builtin import FOLDER
from nbmf.coders import ALONE, CountsAloneCoder, NeuralAloneCoder
from nbmf.manifest import read_version
from nbmf.payload import Kind, to_canonical

PAGE = (Path(__file__).parents[3] / "docs" / "format.md").read_text(encoding="utf-8")
SHARES = [int(share) for share in re.search(r"of 256 shares: ([\d,\s]+)\. Then", PAGE)[1].split(",")]
DECODED_ALONE = [NeuralAloneCoder.number, CountsAloneCoder.number]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=9), inner, max_size=5),
    max_leaves=12,
)


@pytest.fixture(scope="module")
def builtin():
    return Codec(*read_version(FOLDER / (FOLDER / "DEFAULT").read_text().strip()))


def alone(codec, number, payload):
    """The blob by that coder."""
    kind, canonical = to_canonical(payload)
    body = codec.coders.by_number[number].encode(kind, canonical)
    return frame.pack(kind, number, "lossless", codec.reference, codec.coders.seed, canonical, body)


def stream_of(*intervals):
    return _core.range_encode(np.array(intervals, dtype=np.int64))


@pytest.mark.parametrize("of_class", range(20))
def test_the_classes_are_those_of_the_page(of_class):
    assert sum(SHARES) == 256
    first = (sum(SHARES[:of_class]), SHARES[of_class], 256)
    least = 1 << of_class
    assert _core.stream_size(stream_of(first), _core.SIZE_AT_END) == (least, 2 * least - 1)
    for beyond in {0, least // 3, least - 1}:
        stream = stream_of(first, (beyond, 1, least))
        assert _core.stream_size(stream, _core.SIZE_IN_STREAM) == (least + beyond, least + beyond)


@pytest.mark.parametrize("number", DECODED_ALONE)
def test_every_length(builtin, number):
    """Of text and bytes it is told; of JSON its class."""
    rng = random.Random(number)
    letters = "".join(rng.choices("etaoin shrdlu", k=3000))
    for size in [*range(1, 40), 63, 64, 65, 127, 128, 1023, 1024, 3000]:
        text = letters[:size]
        for payload in (
            text,
            text.encode() if size >= 64 else text,
            [text],
            {"k": text},
            [{"role": "user", "content": text}],
        ):
            blob = alone(builtin, number, payload)
            assert nbmf.decode(blob, codec=builtin) == payload
            kind, canonical = to_canonical(payload)
            told = nbmf.inspect(blob).payload_bytes
            assert told == (len(canonical) if kind in (Kind.TEXT, Kind.BYTES) else None)
            parsed = frame.parse(blob)
            assert parsed.least_bytes <= len(canonical) <= parsed.payload_bytes <= 2 * parsed.least_bytes


@given(JSON.filter(lambda value: isinstance(value, (dict, list))))
def test_any_json(builtin, value):
    for number in DECODED_ALONE:
        assert nbmf.decode(alone(builtin, number, value), codec=builtin) == value


@pytest.mark.parametrize(
    "value", ['"', "\\", '\\"', '\\\\"', "[", "]}", '{"a":[', "\ud800", {"]": "}"}, [[[]]], [{}], {"": {"": "\\"}}, []]
)
@pytest.mark.parametrize("number", DECODED_ALONE)
def test_brackets_and_quotes_in_strings(builtin, number, value):
    payload = value if isinstance(value, (list, dict)) else [value, value]
    assert nbmf.decode(alone(builtin, number, payload), codec=builtin) == payload


@pytest.mark.parametrize("value", [1, -12345678901234567890, 2.5, True, None])
def test_what_has_no_end_of_its_own_goes_otherwise(builtin, value):
    for number in DECODED_ALONE:
        assert builtin.coders.by_number[number].encode(Kind.JSON, json.dumps(value).encode()) is None
    assert nbmf.decode(builtin.encode(value), codec=builtin) == value


def test_a_core_that_is_asked_for_no_json_says_so(builtin):
    model, tokens = (
        builtin.coders.by_number[CountsAloneCoder.number].codec().model,
        builtin.coders.by_number[15].codec().tokens,
    )
    for text in (b"", b"12", b"[", b"[]]", b'{"a":1}x', b'"a" '):
        with pytest.raises(ValueError, match="size of this record"):
            model.encode(tokens(text), builtin.coders.by_number[15].codec().type_id("structured"), _core.SIZE_AT_END)


@pytest.mark.parametrize("number", DECODED_ALONE)
def test_a_bound_on_output_holds(builtin, number):
    payload = {"note": "what was agreed on the phone " * 10}
    _, canonical = to_canonical(payload)
    blob = alone(builtin, number, payload)
    assert nbmf.decode(blob, codec=builtin, max_output_bytes=len(canonical)) == payload
    for bound in (1, 200, len(canonical) - 1):
        with pytest.raises(errors.OutputTooLarge, match=str(bound)):
            nbmf.decode(blob, codec=builtin, max_output_bytes=bound)


@pytest.mark.parametrize("kind", [Kind.TEXT, Kind.MESSAGES, Kind.JSON, Kind.BYTES])
@pytest.mark.parametrize("number", DECODED_ALONE)
def test_a_length_beyond_the_limit_costs_nothing(builtin, number, kind, monkeypatch):
    body = b"\xff" * 20  # half a megabyte and more
    blob = frame.pack(kind, number, "lossless", builtin.reference, builtin.coders.seed, b"", body)
    monkeypatch.setattr(type(builtin.coders.by_number[ALONE[number]]), "codec", None)
    with pytest.raises(errors.CorruptBlob, match="takes no"):
        builtin.decode(blob)


def test_the_first_byte_of_the_built_in_version_names_it(builtin):
    assert frame.NUMBERED_VERSIONS[0].hex() == builtin.id
    assert f"`{builtin.id}`" in PAGE
    for payload in (
        "a note",
        [{"role": "user", "content": "a note"}],
        {"a": "note"},
        b"a note, packed with other notes, of 40 bytes",
    ):
        for number in DECODED_ALONE:
            blob = alone(builtin, number, payload)
            assert 0xA0 <= blob[0] <= 0xA7
            assert nbmf.inspect(blob).codec == builtin.id[:4]
            assert nbmf.decode(blob, codec=builtin) == payload
