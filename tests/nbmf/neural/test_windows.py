"""Large records: repeats cut out, windows by network, counts and zstd; what each effort takes; hostile bodies."""

import json
import math
import pickle
import random
from array import array

import networks
import numpy as np
import pytest
from damage import check_damage

import nbmf
from nbmf import Codec, builtin, engine, errors, frame, varint
from nbmf.coders import CountsCoder, NeuralCoder, WindowsCoder, ZstdCoder
from nbmf.coders.windows import layout
from nbmf.decoding import parse_bounded
from nbmf.manifest import read_version
from nbmf.neural.codec import Stream
from nbmf.payload import Kind, to_canonical


@pytest.fixture(scope="module")
def loaded():
    """The built-in version: one that has learnt something."""
    return builtin.load(builtin.FOLDER / (builtin.FOLDER / "DEFAULT").read_text().strip())


@pytest.fixture(scope="module")
def texts():
    return [s.canonical.decode() for s in networks.sample_records() if s.kind is Kind.TEXT and len(s.canonical) < 3000]


@pytest.fixture(scope="module")
def going_on(loaded, texts):
    """Text, and a body of it: the beginning by the network, counts that go on, and counts that go on behind those."""
    text = "\n".join(texts)[:900]
    parts = coder_of(loaded)._parts
    first, second, third = (parts[CountsCoder.number].tokens(text[at : at + 300].encode()) for at in (0, 300, 600))
    windows = [*coder_of(loaded)._by(NeuralCoder.number, Kind.TEXT, [first])]
    windows += [coder_of(loaded)._behind(Kind.TEXT, *behind) for behind in ((first, second), (second, third))]
    return text, layout.write_layout([], len(text.encode()), windows)


@pytest.fixture(scope="module")
def history(texts):
    """A checkpoint whose every state holds the messages of the one before."""
    messages = [{"role": "user", "content": text, "id": f"{index * 7919:06x}"} for index, text in enumerate(texts[:14])]
    return [{"step": step, "values": {"messages": messages[:step]}} for step in range(len(messages))]


def coder_of(codec):
    return codec.coders.by_number[WindowsCoder.number]


def packed(codec, kind, canonical, body):
    return frame.pack(kind, WindowsCoder.number, "lossless", codec.reference, codec.coders.seed, canonical, body)


def forged(codec, body, size, kind=Kind.TEXT):
    return frame.pack(kind, WindowsCoder.number, "lossless", codec.reference, b"", bytes(size), body)


def test_a_history_of_states(loaded, history):
    """auto: what is left of it fits the latency budget."""
    sizes = {}
    for effort in ("fast", "auto"):
        blob = loaded.encode(history, effort=effort)
        assert loaded.decode(blob) == history
        info = nbmf.inspect(blob)
        assert info.coder == "windows"
        assert info.detail["repeats"] > 5
        assert info.detail["repeated_bytes"] > info.payload_bytes // 2
        sizes[effort] = len(blob)
    assert sizes["auto"] <= sizes["fast"] < 0.7 * len(Codec().encode(history))


def test_fast_has_no_network(loaded, history):
    detail = nbmf.inspect(loaded.encode(history, effort="fast")).detail
    assert set(detail["by"]) <= {"counts", "zstd"}


def test_as_much_by_counts_as_the_budget_allows(loaded, texts):
    text = "\n".join(texts)[:150_000]
    assert len(text) > 60_000
    by_counts = []
    for budget in (5, 20, 60):
        (body,) = coder_of(loaded).without_network().encode_batch([(Kind.TEXT, text.encode())], budget)
        read = layout.read_layout(body, len(text.encode()))
        counted = [window for window in read.windows if window.method == CountsCoder.number]
        tokens = sum(len(loaded.coders.by_number[5].codec().tokens(text[: w.size].encode())) for w in counted)
        assert tokens * loaded.manifest.counts.decode_us_per_token / 1000 <= 1.1 * budget
        assert coder_of(loaded).decode(Kind.TEXT, body, len(text.encode())) == text.encode()
        by_counts.append(sum(window.size for window in counted))
    assert 0 < by_counts[0] < by_counts[1] < by_counts[2]


def test_the_network_takes_the_beginning_and_counts_the_rest_in_time(loaded, texts):
    """Of a record that the network alone has no time for; the more it has, the smaller is the blob."""
    text = "\n".join(texts)[:5_000]
    kind, canonical = to_canonical(text)
    network, counts = (loaded.coders.by_number[coder.number] for coder in (NeuralCoder, CountsCoder))
    whole_ms, by_counts_ms = network.decode_ms(canonical), counts.decode_ms(canonical)
    sizes = []
    for share in (0.9, 0.6, 0.3):
        budget = by_counts_ms + share * whole_ms
        (body,) = coder_of(loaded).encode_batch([(kind, canonical)], budget)
        first, rest = layout.read_layout(body, len(canonical)).windows
        assert (first.method, rest.method) == (NeuralCoder.number, layout.GOES_ON)
        cut = canonical[: first.size]
        assert cut + canonical[first.size :] == coder_of(loaded).decode(kind, body, len(canonical))
        expected_ms = network.decode_ms(cut) + by_counts_ms
        assert 0.95 * budget <= expected_ms <= 1.02 * budget
        blob = loaded.encode(text, latency_budget_ms=budget)
        assert nbmf.inspect(blob).detail["by"].keys() == {"neural", "counts"}
        sizes.append(len(blob))
    sizes = [len(loaded.encode(text, effort="max")), *sizes, len(loaded.encode(text, effort="fast"))]
    assert sizes == sorted(sizes)


def test_too_little_time_for_the_network_is_none(loaded, texts):
    """64 tokens."""
    kind, canonical = to_canonical("\n".join(texts)[:5_000])
    us_a_token = loaded.coders.by_number[NeuralCoder.number].expected_ms(4, 1) * 1000
    by_counts_ms = loaded.coders.by_number[CountsCoder.number].decode_ms(canonical)
    for tokens, written in ((62, False), (66, True), (-1, False)):
        (body,) = coder_of(loaded).encode_batch([(kind, canonical)], by_counts_ms + tokens * us_a_token / 1000)
        assert (body is not None) == written


def test_counts_that_go_on_need_less(loaded, texts, monkeypatch):
    """Than those that begin anew; and they give nothing without the tokens that they learnt from."""
    codec = loaded.coders.by_number[CountsCoder.number].codec()
    first, second = (codec.tokens("\n".join(texts)[begin : begin + 4_000].encode()) for begin in (0, 4_000))
    (anew,) = codec.encode_tokens([(second, "text")])
    stream = codec.encode_behind(first, second, "text")
    assert len(stream) < len(anew)
    assert codec.encode_behind(memoryview(b"").cast("i"), second, "text") == anew
    size = codec.n_bytes(second)
    told = Stream(stream, size, "text", before_T=first)
    for joins in (False, True):
        monkeypatch.setattr(engine, "_engine", engine.Engine("cpu", 1, joins))
        assert codec.decode_tokens([told, Stream(anew, size, "text")] * 20) == [second] * 40
    assert codec.decode_batch([told]) == [codec.tokenizer.decode(second)]
    for other in (None, first[1:], second):
        (wrong,) = codec.decode_batch([told._replace(before_T=other)])
        assert wrong != codec.tokenizer.decode(second)


def test_a_network_does_not_go_on(loaded):
    codec = loaded.coders.by_number[NeuralCoder.number].codec()
    tokens = codec.tokens(b"a few words")
    with pytest.raises(ValueError, match="does not go on"):
        codec.encode_behind(tokens, tokens, "text")
    told = Stream(codec.encode(b"a few words", "text"), 11, "text", before_T=tokens)
    with pytest.raises(errors.DamagedCodec, match="does not begin behind"):
        codec.decode_tokens([told])
    counts = loaded.coders.by_number[CountsCoder.number].codec()
    for wrong in (memoryview(array("i", [counts.tokenizer.vocab_size])), memoryview(array("i", [-1]))):
        with pytest.raises(errors.DamagedCodec, match="no token"):
            counts.encode_behind(wrong, tokens, "text")
        with pytest.raises(errors.DamagedCodec, match="no token"):
            counts.decode_tokens([told._replace(before_T=wrong)])


def test_counts_begin_anew_where_zstd_has_the_beginning(loaded, texts):
    text = "ab12" * 300 + "\n".join(texts)[:3_000]
    kind, canonical = to_canonical(text)
    coder, counts = coder_of(loaded), loaded.coders.by_number[CountsCoder.number].codec()
    before, after = counts.tokens(canonical[:1_200]), counts.tokens(canonical[1_200:])
    tried = [layout.Window(NeuralCoder.number, 1_200, bytes(4000)), coder._behind(kind, before, after)]
    first, second = coder._or_by_zstd(kind, canonical, tried)
    assert (first.method, second.method) == (ZstdCoder.number, CountsCoder.number)
    body = layout.write_layout([], len(canonical), [first, second])
    assert coder.decode(kind, body, len(canonical)) == canonical


def test_counts_go_on_in_one_vocabulary_only(loaded, texts):
    """A version may have two."""
    kind, canonical = to_canonical("\n".join(texts)[:5_000])
    (going_on,) = coder_of(loaded).encode_batch([(kind, canonical)], 30)
    parts = coder_of(loaded)._parts
    files = dict(parts[CountsCoder.number]._files)
    files[parts[CountsCoder.number]._part.tokenizer] += b"\n"
    two = WindowsCoder(parts[NeuralCoder.number], CountsCoder(parts[CountsCoder.number]._part, files))
    (anew,) = two.encode_batch([(kind, canonical)], 30)
    methods = [window.method for window in layout.read_layout(anew, len(canonical)).windows]
    assert methods == [NeuralCoder.number, CountsCoder.number]
    assert two.decode(kind, anew, len(canonical)) == canonical == coder_of(loaded).decode(kind, anew, len(canonical))
    assert len(going_on) < len(anew)
    with pytest.raises(errors.CorruptBlob, match="another vocabulary"):
        two.decode(kind, going_on, len(canonical))


@pytest.mark.parametrize("budget", [1, 5, 40, 200, 2e3, 1e5, 1e9, 1.7e308])
def test_what_any_budget_writes_is_read(loaded, texts, monkeypatch, budget):
    """A window is never longer than a reader takes."""
    monkeypatch.setattr(layout, "WINDOW_BYTES", 3000)
    written = 0
    for size in (900, 7_000, 70_000):
        text = "\n".join(texts)[:size]
        kind, canonical = to_canonical(text)
        for coder in (coder_of(loaded), WindowsCoder(loaded.coders.by_number[NeuralCoder.number], None)):
            (body,) = coder.encode_batch([(kind, canonical)], budget)
            if body is not None:
                written += 1
                assert coder.decode(kind, body, len(canonical)) == canonical
    assert written >= (1 if budget < 200 else 3)
    blob = loaded.encode(text, latency_budget_ms=budget)
    assert loaded.decode(blob) == text


def test_neighbours_by_zstd_are_one_window(loaded):
    """What learned coders make larger, beginning and rest."""
    text = "".join(f'{{"id":{n},"sha":"{"ab12" * 24}"}}' for n in range(60))
    kind, canonical = to_canonical(text)
    windows = [layout.Window(CountsCoder.number, len(canonical) // 2, bytes(4000))] * 2
    (joined,) = coder_of(loaded)._or_by_zstd(kind, canonical, windows)
    assert (joined.method, joined.size) == (ZstdCoder.number, len(canonical))
    assert ZstdCoder().decode(Kind.BYTES, joined.stream, joined.size) == canonical


def test_the_network_is_asked_where_no_coder_takes_the_whole(loaded, texts):
    text = ("\n".join(texts) * 3)[:70_000]
    assert not loaded.coders.by_number[CountsCoder.number].takes(Kind.TEXT, len(text.encode()))
    (body,) = coder_of(loaded).encode_batch([to_canonical(text)], 1e5)
    read = layout.read_layout(body, len(text.encode()))
    assert {window.method for window in read.windows} == {NeuralCoder.number}


def test_a_budget_without_end_is_none(loaded, history):
    sizes = [len(loaded.encode(history, effort="fast", latency_budget_ms=budget)) for budget in (1, 100, math.inf)]
    assert sizes == sorted(sizes, reverse=True)
    sizes = [len(loaded.encode(history, latency_budget_ms=budget)) for budget in (1, math.inf)]
    assert sizes == sorted(sizes, reverse=True)


def test_a_version_that_takes_no_time(loaded, texts, monkeypatch):
    monkeypatch.setattr(CountsCoder, "expected_ms", lambda *_: 0.0)
    kind, canonical = to_canonical("\n".join(texts)[:150_000])
    (body,) = coder_of(loaded).without_network().encode_batch([(kind, canonical)], 10)
    assert coder_of(loaded).decode(kind, body, len(canonical)) == canonical


def test_bytes_that_hold_text_are_learned_and_others_cost_nothing(loaded, history, monkeypatch):
    for state in (pickle.dumps(history[-1]), json.dumps(history[-1], indent=1).encode()):
        blob = loaded.encode(state)
        assert loaded.decode(blob) == state
        assert nbmf.inspect(blob).kind == "bytes"
        assert nbmf.inspect(blob).coder in ("neural", "counts", "windows")
        assert len(blob) < 0.7 * len(Codec().encode(state))
    noise = random.Random(1).randbytes(20_000)
    floats = np.random.default_rng(1).normal(size=5000).astype("<f4").tobytes()
    monkeypatch.setattr(NeuralCoder, "codec", None)
    monkeypatch.setattr(CountsCoder, "codec", None)
    for data in (noise, floats, b"\xff\xd8\xff\xe0" + noise, b""):
        for effort in ("auto", "max"):
            assert loaded.decode(loaded.encode(data, effort=effort)) == data


def test_several_windows_of_each_coder(loaded, texts, monkeypatch):
    monkeypatch.setattr(layout, "WINDOW_BYTES", 3000)
    text = "\n".join(texts)[:9_000] + random.Random(2).randbytes(1500).hex() + "ünï日本語" * 300
    kind, canonical = to_canonical(text)
    body = coder_of(loaded).encode(kind, canonical)
    read = layout.read_layout(body, len(canonical))
    assert len(read.windows) > 3
    assert coder_of(loaded).decode(kind, body, len(canonical)) == canonical
    blob = packed(loaded, kind, canonical, body)
    assert loaded.decode(blob) == text
    assert sum(w["windows"] for w in nbmf.inspect(blob).detail["by"].values()) == len(read.windows)


def test_versions_with_counts_or_a_network_alone(loaded, history, version):
    kind, canonical = to_canonical(history)
    only_counts = WindowsCoder(None, loaded.coders.by_number[CountsCoder.number])
    body = only_counts.encode_batch([(kind, canonical)], 100)[0]
    assert only_counts.decode(kind, body, len(canonical)) == canonical
    small = Codec(*read_version(version))
    assert WindowsCoder.number in small.coders.by_number
    assert WindowsCoder.number not in Codec().coders.by_number
    with pytest.raises(errors.CorruptBlob, match="has no coder 5"):
        coder_of(small).decode(kind, body, len(canonical))


def test_damage_is_a_typed_error_or_the_right_payload(loaded, history):
    kind, canonical = to_canonical(history[:9])
    (body,) = coder_of(loaded).without_network().encode_batch([(kind, canonical)], 100)
    assert check_damage(loaded, history[:9], packed(loaded, kind, canonical, body)) > 20


def test_damage_of_windows_that_go_on(loaded, going_on):
    text, body = going_on
    kind, canonical = to_canonical(text)
    blob = packed(loaded, kind, canonical, body)
    assert nbmf.inspect(blob).detail["by"]["counts"]["windows"] == 2
    assert check_damage(loaded, text, blob) > 20


def test_a_version_without_counts_reads_none_that_go_on(loaded, going_on):
    network_alone = WindowsCoder(loaded.coders.by_number[NeuralCoder.number], None)
    with pytest.raises(errors.CorruptBlob, match="has no coder 5"):
        network_alone.decode(Kind.TEXT, going_on[1], len(going_on[0].encode()))


ZSTD_OF_A = ZstdCoder().encode(Kind.BYTES, b"a" * 100)


def head(size, method, stream):
    return varint.to_bytes(size << 3 | method) + varint.to_bytes(len(stream))


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"", "truncated"),
        (b"\x64", "truncated"),
        (b"\x00\x00", "0 bytes"),
        (b"\x63\x00" + head(99, 1, b"x") + b"x", "99 bytes and 0 repeats for 100"),
        (b"\x65\x00" + head(101, 1, b"x") + b"x", "101 bytes"),
        (b"\x64\x00" + head(101, 1, b"x") + b"x", "a window of 101 bytes"),
        (b"\x64\x00" + head(0, 1, b"x") * 9, "a window of 0 bytes"),
        (b"\x64\x00" + head(100, 2, b"x") + b"x", "by coder 2"),
        (b"\x64\x00" + head(100, 5, b""), "a window of 100 bytes in 0"),
        (b"\x64\x00" + head(100, 7, b"xy") + b"xy", "go on where no tokens are"),
        (b"\x64\x00" + head(50, 1, b"x") + head(50, 7, b"x") + b"xx", "go on where no tokens are"),
        (b"\x64\x00" + head(50, 5, b"x") + head(50, 7, b""), "a window of 50 bytes in 0"),
        (b"\x64\x00" + head(100, 1, ZSTD_OF_A) + ZSTD_OF_A + b"x", "do not end"),
        (b"\x64\x00" + head(100, 1, ZSTD_OF_A) + ZSTD_OF_A[:-1], "do not end"),
        (b"\x64\x00" + head(50, 1, b"x"), "truncated"),
        (b"\x64\x00" + head(100, 5, b"xy") + b"xy", "does not end|checksum"),
        (b"\x20\x01\xff\x7f", "a window|truncated|zstd"),
        (b"\x20\x09" + varint.to_bytes(3) + b"\x01\x00\x00" + head(32, 1, b"x") + b"x", "9 repeats in 100"),
    ],
)
def test_bodies_that_are_none(loaded, body, problem):
    with pytest.raises(errors.CorruptBlob, match=problem):
        loaded.decode(forged(loaded, body, 100))
    nbmf.inspect(forged(loaded, body, 100))


def test_a_small_blob_cannot_ask_for_much(loaded):
    """The streams of learned coders go on with zeros: their length bounds what they may be decoded to."""
    size = layout.WINDOW_BYTES
    for method in (NeuralCoder.number, CountsCoder.number):
        body = varint.to_bytes(size) + b"\x00" + head(size, method, b"12345") + b"12345"
        with pytest.raises(errors.CorruptBlob, match="in 5"):
            loaded.decode(forged(loaded, body, size))
        body = varint.to_bytes(size + 1) + b"\x00" + head(size + 1, method, bytes(5000)) + bytes(5000)
        with pytest.raises(errors.CorruptBlob, match="a window of"):
            loaded.decode(forged(loaded, body, size + 1))
    assert parse_bounded(forged(loaded, b"", 5000), 5000).payload_bytes == 5000
    with pytest.raises(errors.OutputTooLarge):
        parse_bounded(forged(loaded, b"", 5000), 4999)


def test_arrays_are_not_taken(loaded):
    body = b"\x64\x00" + head(100, 1, ZSTD_OF_A) + ZSTD_OF_A
    with pytest.raises(errors.CorruptBlob, match="no array"):
        loaded.decode(forged(loaded, body, 100, Kind.ARRAY))
    array = np.zeros(5000, "<f4")
    assert nbmf.inspect(loaded.encode(array)).detail == {"not_learned": "learned coders take no array"}
