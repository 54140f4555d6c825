"""Long records cut into segments, as were written: whole blobs, damage."""

import math

import networks
import pytest
from damage import check_damage

import nbmf
from nbmf import Codec, errors, frame, varint
from nbmf.coders import NeuralCoder, SegmentsCoder
from nbmf.decoding import parse_bounded
from nbmf.manifest import read_version
from nbmf.payload import Kind, from_canonical, to_canonical

TEXT = ("The invoice of March is open; " + "日本語 " + "\ud800") * 9


@pytest.fixture(scope="module")
def loaded(version):
    return Codec(*read_version(version))


def of(loaded, coder):
    return next(c for c in loaded.coders.by_number.values() if type(c) is coder)


def cut(loaded, payload, segments):
    """A blob of so many segments, whether or not it is the smallest."""
    kind, canonical = to_canonical(payload)
    body = of(loaded, SegmentsCoder).encode(kind, canonical, segments)
    return frame.pack(kind, SegmentsCoder.number, "lossless", loaded.reference, loaded.coders.seed, canonical, body)


def forged(loaded, body, size):
    return frame.pack(Kind.TEXT, SegmentsCoder.number, "lossless", loaded.reference, b"", bytes(size), body)


@pytest.mark.parametrize("segments", [2, 3, 4, 7, 60])
def test_records_come_back_from_any_number_of_segments(loaded, segments):
    samples = [s for s in networks.sample_records()[::9] if segments <= len(s.canonical) <= 2000]
    for payload in [TEXT, *(from_canonical(s.kind, s.canonical) for s in samples)]:
        blob = cut(loaded, payload, segments)
        assert loaded.decode(blob) == payload
        assert nbmf.inspect(blob).coder == "neural_segments"
    blobs = [cut(loaded, TEXT, segments), loaded.encode("other"), cut(loaded, TEXT, 5)]
    assert loaded.decode_batch(blobs) == [TEXT, "other", TEXT]


def test_none_are_written_any_more(loaded):
    coder, record = of(loaded, SegmentsCoder), (Kind.TEXT, b"abcdefghij" * 100)
    assert of(loaded, NeuralCoder).decode_ms(record[1]) == 50.0
    for budget in (None, 60, 49, 28):
        assert coder.encode_batch([record], budget) == [None]
        blob = loaded.encode(record[1].decode(), latency_budget_ms=budget or math.inf)
        assert nbmf.inspect(blob).coder != "neural_segments"


def test_damage_is_a_typed_error_or_the_right_payload(loaded):
    assert sum(check_damage(loaded, TEXT, cut(loaded, TEXT, segments)) for segments in (2, 3, 9)) > 60


@pytest.mark.parametrize(
    ("body", "size", "problem"),
    [
        (b"", 100, "truncated"),
        (b"\x02", 100, "truncated"),
        (b"\x00", 100, "0 segments"),
        (b"\x01abc", 100, "1 segments"),
        (b"\x09abc", 8, "9 segments of 8 bytes"),
        (b"\x02\x7fabc", 100, "longer than the body"),
        (b"\xff\xff\xff\xff\xff\xff\xff\x7f", 100, "segments of 100 bytes"),
        (b"\x02\x01abc", 5000, "5000 bytes"),
    ],
)
def test_bodies_that_are_none(loaded, body, size, problem):
    with pytest.raises(errors.CorruptBlob, match=problem):
        loaded.decode(forged(loaded, body, size))


def test_the_length_bounds_the_work(loaded):
    """Every segment holds a byte at least, and the streams go on with zeros."""
    body = varint.to_bytes(2000) + bytes(1999)
    with pytest.raises(errors.CorruptBlob):
        loaded.decode(forged(loaded, body, 2000))
    assert parse_bounded(forged(loaded, body, 2000), 2000).payload_bytes == 2000
