"""Records that several threads decode side by side in one loop: the same records, each when it ends."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from nbmf import _core, engine
from nbmf.errors import DamagedCodec
from nbmf.neural.codec import NeuralCodec, Stream


@pytest.fixture(params=["codec", "counts_codec", "mixed_codec"])
def any_codec(request):
    return request.getfixturevalue(request.param)


@pytest.fixture(autouse=True)
def joining():
    engine.configure("cpu", joins=True)
    yield
    engine.configure()


def streams_of(codec, records):
    return [Stream(codec.encode(data, kind), len(data), kind) for data, kind in records]


def test_more_records_than_places(any_codec, records):
    streams = streams_of(any_codec, records)
    assert len(streams) > 2 * _core.AT_ONCE
    assert any_codec.decode_batch(streams) == [data for data, _ in records]


@pytest.mark.parametrize("loops", [1, 3])
def test_threads_get_their_own(any_codec, records, loops):
    records = records[::2]
    engine.configure("cpu", loops, joins=True)
    streams = streams_of(any_codec, records)
    calls = [streams[begin : begin + 1 + begin % 5] for begin in range(len(streams))]
    with ThreadPoolExecutor(12) as pool:
        results = list(pool.map(any_codec.decode_batch, calls))
    for begin, result in enumerate(results):
        assert result == [data for data, _ in records[begin : begin + 1 + begin % 5]]


def test_on_every_path(path, codec, records):
    made = NeuralCodec(codec.tokenizer, codec.constants, codec.network, codec.counts)
    streams = streams_of(codec, records[::12])
    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(made.decode_batch, [streams] * 3)) == [[data for data, _ in records[::12]]] * 3


def test_what_is_damaged_is_told_and_the_others_come_back(any_codec, records):
    streams = streams_of(any_codec, records[:30])
    damaged = [stream._replace(n_bytes=stream.n_bytes - 1) if n % 3 else stream for n, stream in enumerate(streams)]
    with ThreadPoolExecutor(4) as pool:
        for results in pool.map(any_codec.decode_batch, [damaged] * 8):
            for (data, _), result, stream in zip(records, results, damaged, strict=False):
                assert result is None or len(result) == stream.n_bytes
                if stream.n_bytes == len(data):
                    assert result == data


def test_empty_records_and_calls(any_codec):
    assert any_codec.decode_batch([]) == []
    assert any_codec.decode_batch(streams_of(any_codec, [(b"", "text"), (b"a", "text")])) == [b"", b"a"]
    assert any_codec.decode(any_codec.encode(b"one", "text"), 3, "text") == b"one"


def test_one_record_does_not_wait_for_all_of_a_call_with_many(codec):
    """There are four times as many as go on side by side, in one loop."""
    many = streams_of(codec, [(bytes(range(97, 123)) * 100, "text")]) * (4 * _core.AT_ONCE)
    (one,) = streams_of(codec, [(b"a few words", "text")])
    ended, began = [], threading.Event()

    def decode_many():
        began.set()
        codec.decode_batch(many)
        ended.append("many")

    thread = threading.Thread(target=decode_many)
    thread.start()
    assert began.wait(60)
    time.sleep(0.05)
    assert codec.decode_batch([one]) == [b"a few words"]
    ended.append("one")
    thread.join()
    assert ended == ["one", "many"]


def test_records_do_not_wait_for_all_that_another_begins_behind(counts_codec):
    """Which is learnt some tokens at a time: meanwhile hundreds are decoded, in one loop."""
    words = counts_codec.tokens(b"now and then a few words " * 4000)[:20_000]
    behind = counts_codec.encode_behind(words, words[:4], "text")
    long = Stream(behind, counts_codec.n_bytes(words[:4]), "text", before_T=words)
    (one,) = streams_of(counts_codec, [(b"a few words", "text")])
    with ThreadPoolExecutor(1) as pool:
        waiting, others = pool.submit(counts_codec.decode_tokens, [long] * 3), 0
        while not waiting.done():
            assert counts_codec.decode_batch([one]) == [b"a few words"]
            others += 1
    assert waiting.result() == [words[:4]] * 3
    assert others > 50


def test_records_too_large_for_a_place_are_decoded_by_themselves(codec, monkeypatch):
    monkeypatch.setattr("nbmf.neural.batches._MOST_JOINED_BYTES", 20)
    records = [(b"a few words and then some more", "text"), (b"a few words", "text")]
    assert codec.decode_batch(streams_of(codec, records)) == [data for data, _ in records]


def test_wrong_arguments(counts_codec, records):
    with pytest.raises(ValueError, match="0 lanes"):
        counts_codec.model.decode_together([], 1, 0)
    with pytest.raises(ValueError, match="17 records side by side"):
        counts_codec.model.decode_together([], 17, 1)
    streams = streams_of(counts_codec, records[:3])
    with pytest.raises(DamagedCodec, match="cannot code"):
        counts_codec.decode_batch([streams[0]._replace(sizing=7)])
    assert counts_codec.decode_batch(streams) == [data for data, _ in records[:3]]
