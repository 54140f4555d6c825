"""Counts alone, and a network with counts: exact round trips, one stream each, the mixture that is promised."""

import contextlib
import copy

import counts_versions
import networks
import numpy as np
import pytest
from tokenizers import Tokenizer

from nbmf._core import CONTEXTS, FREQUENCY_PEAK, SCALE
from nbmf.neural.codec import NeuralCodec
from nbmf.neural.counts_file import core_counts
from nbmf.neural.torch_engine import TorchEngine
from nbmf.neural.vocabulary import Vocabulary
from train_app.counts.count import train_counts

AWKWARD = [
    (b"", "text"),
    (b"\x00", "other"),
    (bytes(range(256)) * 2, "other"),
    (b"\xff\xfe\xed\xa0\x80 abc \xc3", "text"),
    ("日本語のテキスト🎉".encode() * 5, "conversation"),
    (b"a" * 3000, "text"),
    (b'[{"role":"user","content":"' * 20, "structured"),
    (np.random.default_rng(0).integers(0, 256, 1000).astype(np.uint8).tobytes(), "other"),
]


@pytest.fixture(params=["counts", "mixed"])
def either(request, counts_codec, mixed_codec) -> NeuralCodec:
    return counts_codec if request.param == "counts" else mixed_codec


def check_round_trip(codec: NeuralCodec, data: bytes, kind: str) -> None:
    stream = codec.encode(data, kind)
    assert codec.decode(stream, len(data), kind) == data


def test_every_sample_record_comes_back(either, records):
    for data, kind in records:
        check_round_trip(either, data, kind)


@pytest.mark.parametrize(("data", "kind"), AWKWARD)
def test_any_bytes_come_back(either, data, kind):
    check_round_trip(either, data, kind)


def test_batches_give_the_same_streams(either, records):
    chosen = [*records[::6], *AWKWARD]
    assert either.encode_batch(chosen) == [either.encode(data, kind) for data, kind in chosen]


def test_counts_pay_on_what_was_counted(codec, counts_codec, mixed_codec, records):
    """The network has learnt nothing."""
    chosen = records[::10]
    network, counts, mixed = (
        sum(len(each.encode(data, kind)) for data, kind in chosen) for each in (codec, counts_codec, mixed_codec)
    )
    assert counts < 0.5 * network
    assert mixed < 0.7 * network


def test_damaged_streams_end(either, records):
    """Other bytes or a ValueError; never a hang, a crash or more than the declared length."""
    data, kind = records[0]
    stream = either.encode(data, kind)
    generator = np.random.default_rng(2)
    damaged = [b"", stream[: len(stream) // 2], b"\xff" * 100, generator.bytes(len(stream))]
    for _ in range(30):
        altered = bytearray(stream)
        altered[generator.integers(len(stream))] ^= 1 << int(generator.integers(8))
        damaged.append(bytes(altered))
    for wrong in damaged:
        with contextlib.suppress(ValueError):
            assert len(either.decode(wrong, len(data), kind)) == len(data)


def predictions(codec: NeuralCodec, tokens: list[int], network: np.ndarray | None = None):
    """After each input: frequencies, the highest probability, contexts of the static counts."""
    frequencies = np.zeros((len(tokens), codec.tokenizer.vocab_size), dtype=np.int32)
    sure, contexts = np.zeros(len(tokens)), np.zeros((len(tokens), CONTEXTS), dtype=np.int64)
    codec.model.predictions(np.array(tokens, dtype=np.int32), network, frequencies, sure, contexts)
    return frequencies, sure, contexts


def expected_by(network, tokens: list[int]) -> np.ndarray:
    """The network's frequencies of the symbols after each token."""
    engine = TorchEngine(*network)
    return engine.distances([np.array(tokens)])[0].frequencies(engine.frequency_exp).symbols_TS


def bucket(confidence: float) -> int:
    return sum(confidence > bound for bound in (0.2, 0.5, 0.9))


def longest(counts, contexts: np.ndarray) -> int:
    followed = [0 <= c < len(counts.followers_C) and counts.followers_C[c] > 0 for c in contexts]
    return max((length for length, there in enumerate(followed, start=1) if there), default=0)


def test_the_mixture_is_that_of_the_docstring(mixed_codec, counts_codec, network, counts, records):
    """A share for each situation of the network's probabilities, the rest of the counts'."""
    shares, situations = mixed_codec.constants.numpy().network_share_SOCC[0], set()
    for data, kind in [records[5], records[-2], (b"\xff\x00 unlike anything \x80", "text")]:
        tokens = [mixed_codec.type_id(kind), *mixed_codec.tokenizer.encode(data)[:120]]
        of_network = expected_by(network, tokens)
        of_counts, counts_sure, contexts = predictions(counts_codec, tokens)
        mixed, sure, _ = predictions(mixed_codec, tokens, np.ascontiguousarray(of_network))
        for position in range(len(tokens)):
            network_shares = of_network[position] / of_network[position].sum(dtype=np.int64)
            counts_shares = of_counts[position] / of_counts[position].sum(dtype=np.int64)
            assert of_network[position].max() == FREQUENCY_PEAK
            situation = (
                longest(counts, contexts[position]),
                bucket(counts_sure[position]),
                bucket(network_shares.max()),
            )
            situations.add(situation)
            share = shares[situation]
            expected = share * network_shares + (1 - share) * counts_shares
            np.testing.assert_allclose((mixed[position] - 1) / SCALE, expected, rtol=0, atol=2e-7)
            highest = share * network_shares.max() + (1 - share) * counts_shares.max()
            assert sure[position] == pytest.approx(highest)
        assert mixed.min() >= 1
    assert len(situations) > 10


def test_without_counts_the_network_is_left_as_it_is(codec, network, records):
    data, kind = records[7]
    tokens = [codec.type_id(kind), *codec.tokenizer.encode(data)[:50]]
    rows = expected_by(network, tokens)
    frequencies, sure, _ = predictions(codec, tokens, np.ascontiguousarray(rows))
    np.testing.assert_array_equal(frequencies, rows)
    np.testing.assert_array_equal(sure, FREQUENCY_PEAK / rows.sum(axis=1, dtype=np.int64))


def test_parts_of_different_vocabularies_do_not_fit_together(codec, counts_codec, network):
    other = networks.vocabulary(networks.sample_records()[::2], 400)
    tokenizer = type(codec.tokenizer)(other.to_str())
    constants, counts = counts_codec.constants, counts_codec.counts
    stream = counts_versions.sample_stream(Tokenizer.from_str(other.to_str()))
    smaller = core_counts(train_counts(stream, Vocabulary(other.get_vocab_size()), counts_versions.UNBOUNDED))
    for parts in ((tokenizer, None, counts), (tokenizer, network, None), (codec.tokenizer, network, smaller)):
        vocabulary, model, counted = parts
        with pytest.raises(ValueError, match="vocabulary of"):
            NeuralCodec(vocabulary, constants, model, counted)


def test_something_must_predict(codec):
    with pytest.raises(ValueError, match="vocabulary of"):
        NeuralCodec(codec.tokenizer, codec.constants)


def test_every_token_has_bytes(codec, network):
    """Or a damaged stream could go on for ever."""
    tokenizer = copy.copy(codec.tokenizer)
    tokenizer.bytes_of_id = [*codec.tokenizer.bytes_of_id[:-1], b""]
    with pytest.raises(ValueError, match="no bytes"):
        NeuralCodec(tokenizer, codec.constants, network)
