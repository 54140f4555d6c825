"""Counts alone, and a network with counts: exact round trips, one stream each, the mixture that is promised."""

import contextlib
import copy

import networks
import numpy as np
import pytest

from nbmf.neural.adaptation import confidence_bucket
from nbmf.neural.codec import NeuralCodec
from nbmf.neural.counts import SCALE, fill_from_counts, follow, longest_context, new_contexts
from nbmf.neural.prediction import predict
from nbmf.neural.torch_engine import TorchEngine
from nbmf.neural.weights import FREQUENCY_PEAK

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


class Stepping:
    """A codec's predictions one after the other, the network's frequencies given."""

    def __init__(self, codec: NeuralCodec) -> None:
        self.predictor, self.contexts = codec.predictor, new_contexts()
        self.base_V, self.counts_V = (np.zeros(codec.tokenizer.vocab_size, dtype=np.int32) for _ in range(2))

    def __call__(self, last, network=None):
        network = self.counts_V if network is None else network
        total = network.sum(dtype=np.int64)
        return predict(self.predictor, self.contexts, last, network, total, self.counts_V, self.base_V)


def test_counts_alone_predict_what_the_counts_say(counts_codec, counts, records):
    stepping, contexts = Stepping(counts_codec), new_contexts()
    frequencies = np.zeros(counts_codec.tokenizer.vocab_size, dtype=np.int32)
    data, kind = records[3]
    for last in [counts_codec._type_id(kind), *counts_codec.tokenizer.encode(data)[:60]]:
        total, confidence = stepping(last)
        follow(counts, contexts, last)
        assert fill_from_counts(counts, contexts, frequencies) == (total, round(confidence * total))
        np.testing.assert_array_equal(stepping.base_V, frequencies)


def test_the_mixture_is_that_of_the_docstring(mixed_codec, network, counts, records):
    """A share for each situation of the network's probabilities, the rest of the counts'."""
    shares = mixed_codec.constants.network_share_OCC
    vocab_size = mixed_codec.tokenizer.vocab_size
    from_counts, situations = np.zeros(vocab_size, dtype=np.int32), set()
    for data, kind in [records[5], records[-2], (b"\xff\x00 unlike anything \x80", "text")]:
        tokens = [mixed_codec._type_id(kind), *mixed_codec.tokenizer.encode(data)[:120]]
        (rows,) = TorchEngine(*network).frequencies([np.array(tokens)])
        stepping, contexts = Stepping(mixed_codec), new_contexts()
        for last, from_network in zip(tokens, rows, strict=True):
            total, confidence = stepping(last, from_network)
            follow(counts, contexts, last)
            counts_total, best = fill_from_counts(counts, contexts, from_counts)
            network_shares, counts_shares = from_network / from_network.sum(dtype=np.int64), from_counts / counts_total
            assert from_network.max() == FREQUENCY_PEAK
            situation = (
                longest_context(counts, contexts),
                confidence_bucket(best / counts_total),
                confidence_bucket(network_shares.max()),
            )
            situations.add(situation)
            share = shares[situation]
            expected = share * network_shares + (1 - share) * counts_shares
            np.testing.assert_allclose((stepping.base_V - 1) / SCALE, expected, rtol=0, atol=2e-7)
            assert stepping.base_V.min() >= 1
            assert total == stepping.base_V.sum(dtype=np.int64) < 1 << 32
            assert confidence == pytest.approx(share * network_shares.max() + (1 - share) * counts_shares.max())
    assert len(situations) > 10


def test_without_counts_the_network_is_left_as_it_is(codec, network, records):
    data, kind = records[7]
    tokens = [codec._type_id(kind), *codec.tokenizer.encode(data)[:50]]
    (rows,) = TorchEngine(*network).frequencies([np.array(tokens)])
    stepping = Stepping(codec)
    for last, from_network in zip(tokens, rows, strict=True):
        total, confidence = stepping(last, from_network)
        np.testing.assert_array_equal(stepping.base_V, from_network)
        assert total == from_network.sum(dtype=np.int64)
        assert confidence == FREQUENCY_PEAK / total


def test_parts_of_different_vocabularies_do_not_fit_together(codec, counts_codec, network):
    other = networks.vocabulary(networks.sample_records()[::2], 400)
    tokenizer = type(codec.tokenizer)(other)
    constants, counts = counts_codec.constants, counts_codec.predictor.counts
    smaller = counts._replace(unigram_V=counts.unigram_V[:-1])
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
