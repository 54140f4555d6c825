"""Codec, encode, decode, inspect: the ladder and its promises."""

import random
import threading
from functools import partial

import numpy as np
import pytest
from helpers import (
    arrays,
    blob_with,
    coders_of,
    in_short_frame,
    json_values,
    payloads,
    record,
    same,
    sample_payloads,
    texts,
)
from hypothesis import given, settings
from hypothesis import strategies as st

import nbmf
from nbmf import Codec, errors
from nbmf.errors import attempt
from nbmf.payload import Kind, to_canonical


@settings(max_examples=400)
@given(payloads)
def test_round_trip_without_a_version(value):
    blob = nbmf.encode(value)
    assert same(nbmf.decode(blob), value)
    info = nbmf.inspect(blob)
    kind, canonical = to_canonical(value)
    assert (info.kind, info.codec, info.fidelity) == (kind.label, None, "lossless")
    assert (info.payload_bytes, info.blob_bytes) == (len(canonical), len(blob))


@settings(max_examples=200)
@given(value=payloads, fidelity=st.sampled_from(["lossless", "semantic"]))
def test_round_trip_with_a_version(codec, value, fidelity):
    blob = codec.encode(value, fidelity)
    assert same(codec.decode(blob), value)
    assert same(nbmf.decode(blob, codec=codec), value)
    assert same(nbmf.decode(nbmf.encode(value, fidelity, codec=codec), codec=codec), value)


def test_encode_is_deterministic_and_takes_the_smallest(codec):
    for value in sample_payloads():
        kind, canonical = to_canonical(value)
        sizes = [len(blob_with(kind, coder, canonical, codec)) for coder in coders_of(kind, canonical)]
        blob = codec.encode(value)
        assert len(blob) == min(sizes)
        assert codec.encode(value) == blob


def test_every_coder_is_taken_for_something(codec):
    rng = random.Random(3)
    smooth = np.cumsum(np.random.default_rng(3).normal(size=500)).astype("<f4")
    for value, coder in (
        ("x", "stored"),
        ("To be, or not to be, that is the question: ", "deflate"),
        ("%PDF " + rng.randbytes(60).hex(), "spans"),
        ([*record(rng), {"role": "tool", "content": rng.randbytes(60).hex()}], "spans_learned"),
        (record(rng), "zstd_dictionary"),
        (smooth, "floats"),
        (np.cumsum(np.random.default_rng(3).integers(-9, 9, 500)), "byte_planes"),
    ):
        info = nbmf.inspect(codec.encode(value))
        assert info.coder == coder
        assert info.codec == (codec.id[:4] if coder in ("zstd_dictionary", "spans_learned") else None)
        assert info.inner == {"spans": "stored", "spans_learned": "zstd_dictionary"}.get(coder)
    repeated = rng.randbytes(40_000) * 2  # from further than deflate looks back
    assert nbmf.inspect(Codec().encode(repeated)).coder == "zstd"


@pytest.mark.parametrize("index", range(len(sample_payloads())))
def test_every_coder_gives_every_payload_back(codec, index):
    value = sample_payloads()[index]
    kind, canonical = to_canonical(value)
    for coder in coders_of(kind, canonical):
        blob = blob_with(kind, coder, canonical, codec)
        assert same(codec.decode(blob), value)
        assert nbmf.inspect(blob).coder == coder
        if not in_short_frame(coder):
            semantic = blob_with(kind, coder, canonical, codec, fidelity="semantic")
            assert nbmf.inspect(semantic).fidelity == "semantic"
            assert same(codec.decode(semantic), value)


# --- the bound --------------------------------------------------------------------------------------------------

SIZES = [0, 1, 2, 3, 5, 31, 100, 127, 128, 129, 255, 256, 1000, 4096, 16_383, 16_384, 70_000, 131_072, 400_000]


@pytest.mark.parametrize("size", SIZES)
def test_no_blob_is_more_than_four_bytes_over_its_payload(codec, size):
    rng = random.Random(size)
    noise = "".join(chr(rng.randrange(0x21, 0x2FFF)) for _ in range(size // 2))
    for value in (
        rng.randbytes(size),
        noise,
        [noise],
        [{"role": "user", "content": noise}],
        [rng.random() for _ in range(size // 20)],
        np.frombuffer(rng.randbytes(size // 8 * 8), "<f2"),
        np.frombuffer(rng.randbytes(size // 8 * 8), "<f4"),
        np.frombuffer(rng.randbytes(size // 8 * 8), "<f8"),
    ):
        raw = value.nbytes if isinstance(value, np.ndarray) else len(to_canonical(value)[1])
        for one in (Codec(), codec):
            blob = one.encode(value)
            assert len(blob) <= raw + 4
            assert same(one.decode(blob), value)


@given(st.one_of(texts, json_values, st.binary(max_size=600)))
def test_no_small_blob_is_either(value):
    assert len(nbmf.encode(value)) <= len(to_canonical(value)[1]) + 4


@given(arrays())
def test_an_array_costs_its_shape_at_most(value):
    plain = value.ndim == 1 and value.dtype in ("<f2", "<f4", "<f8")
    header_bytes = 0 if plain else len(to_canonical(value)[1]) - value.nbytes
    assert header_bytes <= 2 + value.ndim  # sizes here are below 128
    assert len(nbmf.encode(value)) <= value.nbytes + header_bytes + 4


# --- limits -----------------------------------------------------------------------------------------------------


def test_payload_too_large():
    assert nbmf.decode(nbmf.encode(b"x" * 100, max_payload_bytes=100)) == b"x" * 100
    with pytest.raises(errors.PayloadTooLarge, match="100 bytes; max_payload_bytes is 99"):
        nbmf.encode(b"x" * 100, max_payload_bytes=99)


@pytest.mark.parametrize("value", [b"x" * 1000, random.Random(1).randbytes(1000)])
def test_output_too_large(value):
    blob = nbmf.encode(value)
    assert nbmf.decode(blob, max_output_bytes=1000) == value
    for decode in (nbmf.decode, Codec().decode):
        with pytest.raises(errors.OutputTooLarge, match="1000 bytes; max_output_bytes is 999"):
            decode(blob, max_output_bytes=999)


def test_more_values_than_the_bound_on_bytes_allows():
    many = [[]] * 600_000  # two separators each
    blob = nbmf.encode(many)
    assert len(blob) < 1000
    assert nbmf.decode(blob) == many
    assert Codec().decode_batch([blob])[0] == many
    with pytest.raises(errors.PayloadTooLarge, match="1048576 values; a larger max_payload_bytes"):
        nbmf.encode(many, max_payload_bytes=2_000_000)
    for decode in (nbmf.decode, Codec().decode, lambda blob, **bound: Codec().decode_batch([blob], **bound)[0]):
        result = attempt(partial(decode, blob, max_output_bytes=2_000_000))
        assert type(result) is errors.OutputTooLarge
        assert "1048576 values; a larger max_output_bytes" in str(result)


def test_a_hundred_thousand_nines():
    for value in (10**100_000 - 1, {"n": [1 - 10**100_000]}):
        assert nbmf.decode(nbmf.encode(value)) == value


def test_payloads_over_the_largest_standard_zstd_window():
    """128 MiB is where zstd's streaming decoder stops by default: what was written must be readable all the same."""
    value = b"0123456789abcdef" * (9 * 2**20)
    blob = nbmf.encode(value, max_payload_bytes=2**28)
    assert len(blob) < 50_000
    assert nbmf.decode(blob, max_output_bytes=2**28) == value


@pytest.mark.parametrize("fidelity", ["", "LOSSLESS", None, "exact"])
def test_unknown_fidelity(fidelity):
    with pytest.raises(ValueError, match="fidelity is"):
        nbmf.encode("x", fidelity)


def test_blobs_may_come_in_any_bytes_type():
    blob = nbmf.encode("hello")
    for held in (bytearray(blob), memoryview(blob), memoryview(bytearray(blob))[:]):
        assert nbmf.decode(held) == "hello"
        assert nbmf.inspect(held) == nbmf.inspect(blob)
    for other in ("text", None, 5, [1]):
        with pytest.raises(TypeError, match="a blob is bytes"):
            nbmf.decode(other)


# --- which codec ------------------------------------------------------------------------------------------------


def test_a_missing_version_is_never_reported_as_corruption(codec, fresh_default_catalog):
    blob = codec.encode(record(random.Random(3)))
    assert nbmf.inspect(blob).codec == codec.id[:4]
    other = Codec("ff" * 32 if not codec.id.startswith("ffff") else "ee" * 32, codec.manifest, {"zstd.dict": b""})
    for decode in (nbmf.decode, Codec().decode, other.decode, lambda b: nbmf.decode(b, codec=other)):
        with pytest.raises(errors.UnknownCodec) as raised:
            decode(blob)
        assert raised.value.reference == codec.id[:4]
        assert raised.value.searched


def test_load_makes_a_version_known(codec, version_folder, fresh_default_catalog):
    value = record(random.Random(3))
    loaded = nbmf.load(str(version_folder))
    assert loaded.id == codec.id == version_folder.name
    assert loaded.manifest.name == "test"
    assert same(nbmf.decode(loaded.encode(value)), value)
    assert loaded.id[:12] in repr(loaded)
    assert "no version" in repr(Codec())


def test_blobs_that_need_no_version_are_read_by_every_codec(codec):
    for value in sample_payloads():
        assert same(codec.decode(nbmf.encode(value)), value)


# --- batches ----------------------------------------------------------------------------------------------------


def test_batches_keep_order_and_give_errors_in_place(codec, fresh_default_catalog):
    values = ["a", (1,), {"k": 1}, {"k": {2}}, b"\x00", np.zeros(2)]
    blobs = codec.encode_batch(iter(values), "semantic")
    assert [type(b) for b in blobs] == [
        bytes,
        errors.UnsupportedPayload,
        bytes,
        errors.UnsupportedPayload,
        bytes,
        bytes,
    ]
    assert blobs[3].path == "$.k"

    good = codec.encode(record(random.Random(3)))
    mixed = [blobs[0], b"", good, b"hello", good[:-1], blobs[4], b"\xb1\x0f", Codec().encode("z")]
    out = codec.decode_batch(iter(mixed))
    assert (out[0], out[5], out[7]) == ("a", b"\x00", "z")
    assert same(out[2], record(random.Random(3)))
    assert [type(out[i]) for i in (1, 3, 6)] == [errors.CorruptBlob, errors.NotABlob, errors.UnsupportedFormat]
    assert isinstance(out[4], errors.CorruptBlob)
    assert isinstance(Codec().decode_batch([good])[0], errors.UnknownCodec)
    assert codec.encode_batch([]) == codec.decode_batch([]) == []


# --- threads ----------------------------------------------------------------------------------------------------


def test_one_codec_in_eight_threads(codec):
    values = [v for v in sample_payloads() if not isinstance(v, np.ndarray)] + [
        record(random.Random(i)) for i in range(20)
    ]
    expected = [codec.encode(value) for value in values]
    start = threading.Barrier(8)
    wrong = []

    def work(seed):
        try:
            order = list(range(len(values))) * 3
            random.Random(seed).shuffle(order)
            start.wait()
            for i in order:
                blob = codec.encode(values[i])
                if blob != expected[i] or not same(codec.decode(blob), values[i]):
                    wrong.append(i)
        except Exception as error:
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_kinds_are_numbered_for_ever():
    assert {kind.label: int(kind) for kind in Kind} == {"text": 0, "messages": 1, "json": 2, "bytes": 3, "array": 4}
