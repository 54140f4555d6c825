"""How small records with spans become: never larger than zlib's, and close to the binary."""

import base64
import contextlib
import json
import random
import zlib

import numpy as np
import pytest
from helpers import blob_with, same, sentence
from hypothesis import given, settings
from hypothesis import strategies as st

import nbmf
from nbmf import Codec, builtin, coders
from nbmf.coders.spans import find
from nbmf.errors import NbmfError
from nbmf.inspection import text_part
from nbmf.neural.codec import NeuralCodec
from nbmf.payload import to_canonical

WITHOUT = Codec()


@pytest.fixture(scope="module")
def shipped():
    """The version that encodes by default, outside of tests."""
    return builtin.load(builtin.FOLDER / (builtin.FOLDER / "DEFAULT").read_text().strip())


def _octets(rng, size):
    """Noise, text, JSON, zeros, the head of an image, a short pattern: what base64 holds."""
    match rng.randrange(7):
        case 0:
            return " ".join(sentence(rng) for _ in range(size // 30 + 1)).encode()[:size]
        case 1:
            return json.dumps([{"id": i, "v": rng.random()} for i in range(size // 30 + 1)]).encode()[:size]
        case 2:
            return bytes(size)
        case 3:
            return (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + rng.randbytes(size))[:size]
        case 4:
            return (rng.randbytes(rng.randrange(1, 60)) * size)[:size]
    return rng.randbytes(size)


def _base64(rng, size):
    text = rng.choice([base64.b64encode, base64.urlsafe_b64encode])(_octets(rng, size)).decode()
    if rng.random() < 0.3:
        text = text.rstrip("=")
    if rng.random() < 0.3:
        line, end = rng.choice([60, 64, 76]), rng.choice(["\n", "\r\n"])
        text = end.join(text[at : at + line] for at in range(0, len(text), line)) + rng.choice(["", end])
    return text


def _value(rng, most):
    size = int(2 ** rng.uniform(5, most))
    runs = [_base64(rng, max(30, size // rng.randrange(1, 5))) for _ in range(rng.choice([1, 1, 2, 3]))]
    if rng.random() < 0.3:
        runs.append(runs[0][rng.randrange(4) :])
    text = " ".join(sentence(rng) for _ in range(rng.randrange(6)))
    match rng.randrange(5):
        case 0:
            return text + " ".join(runs)
        case 1:
            parts = [{"type": "image_url", "image_url": {"url": "data:image/png;base64," + run}} for run in runs]
            return [{"role": "user", "content": [{"type": "text", "text": text}, *parts]}]
        case 2:
            return [{"role": "assistant", "content": text, "signature": run} for run in runs]
        case 3:
            return {"a": text, "b": json.dumps({"c": runs})}
    return runs


def _check(codec, value, effort):
    _, canonical = to_canonical(value)
    blob = codec.encode(value, effort=effort)
    assert len(blob) <= len(zlib.compress(canonical, 9)), nbmf.inspect(blob)
    assert same(codec.decode(blob), value)


@pytest.mark.parametrize("seed", range(20))
def test_never_larger_than_zlib(seed):
    rng = random.Random(seed)
    for most in [11] * 15 + [16]:
        _check(WITHOUT, _value(rng, most), rng.choice(["auto", "fast", "max"]))


@settings(max_examples=100)
@given(st.integers(0, 2**60))
def test_never_larger_than_zlib_whatever_is_drawn(seed):
    _check(WITHOUT, _value(random.Random(seed), 11), "auto")


@pytest.mark.parametrize("seed", range(4))
def test_never_larger_than_zlib_by_the_built_in_version(seed, shipped):
    rng = random.Random(seed)
    for effort in ("fast", "fast", "auto", "max"):
        _check(shipped, _value(rng, 10), effort)


@pytest.mark.parametrize("size", [6_000, 60_000, 400_000])
def test_an_image_takes_little_more_than_its_bytes(size, shipped):
    image = b"\xff\xd8\xff\xe0\x00\x10JFIF" + random.Random(size).randbytes(size)
    url = "data:image/jpeg;base64," + base64.b64encode(image).decode()
    value = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]
    for codec in (WITHOUT, shipped):
        assert len(codec.encode(value)) < 1.02 * len(image)


@pytest.mark.parametrize("write", [float, lambda single: float(str(single))], ids=["as binary64", "shortest"])
@pytest.mark.parametrize("dimensions", [384, 1536])
def test_an_embedding_takes_no_more_than_its_byte_planes(dimensions, write):
    vector = np.random.default_rng(dimensions).normal(size=dimensions).astype("<f4")
    vector /= np.linalg.norm(vector)
    record = {"id": "note-1", "embedding": [write(single) for single in vector]}
    blob = nbmf.encode(record)
    assert same(nbmf.decode(blob), record)
    kind, canonical = to_canonical(vector)
    assert len(blob) < len(blob_with(kind, "byte_planes", canonical)) + 20
    assert len(blob) < 0.9 * vector.nbytes


@pytest.mark.parametrize("write", [float, lambda single: float(str(single)), lambda single: round(float(single), 6)])
def test_of_an_embedding_no_codec_of_text_is_asked(write, shipped, monkeypatch):
    """Which takes several times as long as all else; effort max asks them."""
    asked = []
    compress = coders.ZstdCoder.encode
    monkeypatch.setattr(
        coders.ZstdCoder, "encode", lambda self, kind, data: asked.append(len(data)) or compress(self, kind, data)
    )
    vector = np.random.default_rng(3).normal(0, 0.05, 384).astype(np.float32)
    record = {"id": "note-17", "embedding": [write(single) for single in vector]}
    blob = shipped.encode(record)
    assert shipped.decode(blob) == record
    assert max(asked) < 64
    assert len(shipped.encode(record, effort="max")) <= len(blob)
    assert max(asked) > 3000


def _numbers_with_a_rule():
    """Records that are hardly more than numbers: as their text they may take less than as their binary."""
    rng = np.random.default_rng(5)
    vector = [float(str(single)) for single in rng.normal(0, 0.05, 384).astype(np.float32)]
    track = rng.normal(0, 0.05, 500).astype(np.float32).tolist()
    later = (1.7e9 + np.cumsum(rng.exponential(1, 300))).round(1)
    return {
        "copies": {str(copy): vector for copy in range(8)},
        "beyond zlib's window": [vector] * 16,
        "messages": [{"role": role, "content": json.dumps(vector)} for role in ("tool", "assistant")],
        "windows of a track": [track[begin : begin + 256] for begin in range(0, 240, 40)],
        "timestamps": later.tolist(),
        "thirds": [round(n / 3, 8) for n in range(300)],
        "in a narrow range": sorted((123456 + rng.random(300) / 100).round(6).tolist()),
        "noise on a pattern": [float(np.float32(vector[n % 10] + rng.normal(0, 1e-5))) for n in range(300)],
        "in even steps": [0.25 + n / 4096 for n in range(384)],
    }


@pytest.mark.parametrize("name", _numbers_with_a_rule())
def test_numbers_with_a_rule_take_no_more_than_their_text(name, shipped, monkeypatch):
    record = _numbers_with_a_rule()[name]
    _, canonical = to_canonical(record)
    blob = shipped.encode(record)
    assert shipped.decode(blob) == record
    assert len(blob) <= len(zlib.compress(canonical, 9))
    monkeypatch.setattr(find, "_is_sure", lambda *_: False)
    assert len(blob) <= 1.01 * len(shipped.encode(record))


def test_the_text_beside_a_large_image_goes_by_the_network(shipped):
    rng = random.Random(9)
    url = "data:image/png;base64," + base64.b64encode(rng.randbytes(300_000)).decode()
    value = [{"role": "user", "content": [{"type": "text", "text": "What is on this picture?"}, {"url": url}]}]
    info = nbmf.inspect(shipped.encode(value))
    assert (info.coder, info.inner) == ("spans_learned", "neural")
    assert info.blob_bytes < 300_000 + 90


def _listing(rng, files):
    """Files and their digests, as of an installed package."""
    digests = [base64.urlsafe_b64encode(rng.randbytes(32)).rstrip(b"=").decode() for _ in range(files)]
    return [{"path": f"pkg/{sentence(rng)[:12]}.py", "sha256": digest} for digest in digests]


def test_of_short_digests_the_network_takes_the_whole_record_or_what_remains_of_it(shipped, monkeypatch):
    """Not both, as each takes as long: the whole, which is smaller, where that decodes within the budget."""
    given: list[int] = []
    real = NeuralCodec.encode_tokens
    counts = shipped.coders.by_number[coders.CountsCoder.number].codec()

    def counted(codec, records, *others):
        if codec is not counts:
            given.extend(len(tokens_T) for tokens_T, _ in records)
        return real(codec, records, *others)

    monkeypatch.setattr(NeuralCodec, "encode_tokens", counted)
    network = shipped.coders.by_number[coders.NeuralCoder.number]
    for files in (1, 3, 12):
        record = _listing(random.Random(files), files)
        kind, canonical = to_canonical(record)
        whole_ms = network.decode_ms(canonical)
        assert coders.spans.cut(kind, canonical).short
        for share, coder in ((1.01, "neural"), (0.9, "spans_learned")):
            shipped.encode(record, latency_budget_ms=share * whole_ms)  # golden records are decoded first
            given.clear()
            blob = shipped.encode(record, latency_budget_ms=share * whole_ms)
            assert (nbmf.inspect(blob).coder, len(given)) == (coder, 1)
            assert shipped.decode(blob) == record
        by_both = shipped.encode(record, effort="max")
        assert len(shipped.encode(record, latency_budget_ms=1.01 * whole_ms)) == len(by_both)


def test_digests_that_recur_are_left_to_coders_that_see_it(shipped):
    """Though what remains beside them goes by the network."""
    digest = random.Random(6).randbytes(48).hex()
    record = [{"id": n, "sha": digest} for n in range(80)]
    kind, canonical = to_canonical(record)
    cut = coders.spans.cut(kind, canonical)
    assert cut.short
    network = shipped.coders.by_number[coders.NeuralCoder.number]
    budget = 1.01 * network.decode_ms(cut.remaining)
    assert budget < network.decode_ms(canonical)
    assert len(shipped.encode(record, latency_budget_ms=budget)) <= len(shipped.encode(record, effort="fast"))


def test_windows_beside_spans_are_told(shipped):
    """How much of a large record learned coders took, whether it holds an image or not."""
    rng = random.Random(10)
    value = {"turns": [sentence(rng) for _ in range(2500)], "image": base64.b64encode(rng.randbytes(600)).decode()}
    blob = shipped.encode(value, effort="fast")
    info = nbmf.inspect(blob)
    assert (info.coder, info.inner) == ("spans_learned", "windows")
    assert info.detail is not None
    assert {"counts", "zstd"} >= info.detail["by"].keys() > set()
    kept = sum(of["payload_bytes"] for of in info.detail["by"].values())
    text_bytes = len(to_canonical(value)[1]) - 800
    assert kept + info.detail["repeated_bytes"] == text_bytes
    for at in range(1, 60):  # damage before the checksum says so
        with contextlib.suppress(NbmfError):
            nbmf.inspect(blob[:at] + bytes([blob[at] ^ 0x55]) + blob[at + 1 :])


def test_base64_of_text_is_coded_as_text(shipped):
    text = "The customer asked twice for a seat by the window, and for no calls before nine in the morning. "
    record = {"name": "notes.txt", "encoding": "base64", "content": base64.b64encode(text.encode()).decode()}
    assert len(shipped.encode(record)) < 0.8 * len(text)


def test_batches_give_the_blobs_of_single_records(codec):
    rng = random.Random(3)
    values = [_value(rng, 10) for _ in range(12)] + ["no spans", {"a": 1}]
    for one in (WITHOUT, codec):
        blobs = one.encode_batch(values)
        assert blobs == [one.encode(value) for value in values]
        assert all(same(got, value) for got, value in zip(one.decode_batch(blobs), values, strict=True))


@pytest.mark.parametrize("by_version", [False, True])
def test_a_blob_tells_its_sizes_without_spans(shipped, by_version):
    """Those of what remains, and of all but the spans' places and binary; what has none, or is no text, is whole."""
    codec, rng = shipped if by_version else WITHOUT, random.Random(8)
    image, numbers = rng.randbytes(3000), [rng.random() for _ in range(64)]
    record = {"note": "The boat by the quay.", "image": base64.b64encode(image).decode(), "e": numbers}
    rest = record | {"image": "", "e": []}
    blob, (_, canonical) = codec.encode(record), to_canonical(record)
    text_bytes, coded_bytes = text_part(blob, len(canonical))
    assert text_bytes == len(to_canonical(rest)[1])
    assert abs(coded_bytes - len(codec.encode(rest))) <= 4
    for whole in ("The boat by the quay.", image, np.asarray(numbers, "f4")):
        blob, size = codec.encode(whole), len(to_canonical(whole)[1])
        assert text_part(blob, size) == (size, len(blob))
    near = codec.encode(record, "semantic")
    assert nbmf.inspect(near).fidelity == "semantic"
    assert text_part(near, len(canonical)) == (len(canonical), len(near))
