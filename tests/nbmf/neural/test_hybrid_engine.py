"""The PyTorch engine on networks with convolutions and a softmax in two steps."""

import dataclasses

import hybrids
import numpy as np
import pytest
import torch

from nbmf.neural.config import EXTRA_TOKENS
from nbmf.neural.torch_engine import EngineState, TorchEngine, last_distance
from nbmf.neural.weights import IntegerWeights
from train_app.integers.quantise import calibrate, quantise
from train_app.network.batches import StreamBatches

CONFIG = hybrids.CONFIG


@pytest.fixture(scope="module")
def stream():
    return hybrids.sample_stream()


@pytest.fixture(scope="module")
def weights(stream) -> IntegerWeights:
    model = hybrids.hybrid()
    return quantise(model, calibrate(model, [StreamBatches(stream, CONFIG).at(torch.arange(0, 2048, 64), 64)]))


@pytest.fixture(scope="module")
def records(stream):
    pieces = [stream.tokens_N[a:b].astype(np.int64) for a, b in zip(stream.starts, stream.starts[1:], strict=False)]
    return sorted(pieces, key=len)[-9::2]


@pytest.fixture(scope="module")
def reference(weights, records):
    engine = TorchEngine(weights, CONFIG, block=4096)
    return [engine.distances([record], [record[1:]])[0] for record in records]


def check_equal(got, expected):
    assert len(got) == len(expected)
    for one, other in zip(got, expected, strict=True):
        np.testing.assert_array_equal(one.symbols_TS, other.symbols_TS)
        np.testing.assert_array_equal(one.members_TZ, other.members_TZ)


def test_the_reference_is_not_degenerate(records, reference):
    symbols, members = (np.concatenate(parts) for parts in zip(*reference, strict=True))
    assert symbols.shape[1] == CONFIG.n_symbols == 264
    assert len(np.unique(symbols)) > 500
    assert 10 < np.median((symbols < 900).sum(axis=1)) < CONFIG.n_symbols
    targets = np.concatenate([np.append(record[1:], 0) for record in records])
    inside = targets >= CONFIG.n_singles
    assert 0.1 < inside.mean() < 0.9
    assert (members[inside].min(axis=1) == 0).all()
    assert members[inside].max() > 300
    assert not members[~inside].any()


@pytest.mark.parametrize(
    ("block", "count"), [(1, 1), (3, 1), (64, 3), *[pytest.param(block, 3, marks=pytest.mark.slow) for block in (1, 3)]]
)
def test_blocks(weights, records, reference, block, count):
    engine = TorchEngine(weights, CONFIG, block=block)
    got = [engine.distances([record], [record[1:]])[0] for record in records[:count]]
    check_equal(got, reference[:count])


def test_batches_of_unequal_lengths(weights, records, reference):
    got = TorchEngine(weights, CONFIG).distances(records, [record[1:] for record in records])
    check_equal(got, reference)


def test_without_targets_there_is_no_second_step(weights, records, reference):
    (got,) = TorchEngine(weights, CONFIG).distances(records[:1])
    np.testing.assert_array_equal(got.symbols_TS, reference[0].symbols_TS)
    assert got.members_TZ.shape == (len(records[0]), 0)


@pytest.mark.parametrize("apart", [90, pytest.param(10**6, marks=pytest.mark.slow)])
def test_stepping_while_records_end(weights, records, reference, apart):
    """Token by token, the second step where it is due; records leave the batch at their ends, so far apart at most."""
    records = [record[: apart * number] for number, record in enumerate(records, 1)]
    engine, state = TorchEngine(weights, CONFIG), EngineState()
    going_on = np.arange(len(records))
    for position in range(len(records[-1])):
        still = np.array([row for row, record in enumerate(going_on) if position < len(records[record])])
        if len(still) < len(going_on):
            state.keep(still)
            going_on = going_on[still]
        symbols = engine.step(np.array([[records[record][position]] for record in going_on]), state)[:, 0].numpy()
        due = [
            (row, record, records[record][position + 1] - CONFIG.n_singles)
            for row, record in enumerate(going_on)
            if position + 1 < len(records[record]) and records[record][position + 1] >= CONFIG.n_singles
        ]
        for row, record in enumerate(going_on):
            np.testing.assert_array_equal(symbols[row], reference[record].symbols_TS[position])
        if due:
            head_in = state.head_in_BTD[[row for row, _, _ in due], 0]
            clusters = np.array([beyond // CONFIG.cluster_size for _, _, beyond in due])
            found = engine.member_distances(head_in, clusters).numpy()
            for members, (_, record, _) in zip(found, due, strict=True):
                np.testing.assert_array_equal(members, reference[record].members_TZ[position])


def test_the_second_step_is_that_of_the_clusters_rows(weights, records, reference):
    record, expected = records[-1], reference[-1]
    engine, state = TorchEngine(weights, CONFIG), EngineState()
    engine.step(record[None], state)
    head_in = state.head_in_BTD[0].numpy().astype(np.int64)
    for position, target in enumerate(record[1:]):
        if target < CONFIG.n_singles:
            continue
        begin = (target - CONFIG.n_singles) // CONFIG.cluster_size * CONFIG.cluster_size
        rows = slice(begin, begin + CONFIG.cluster_size)
        sums = weights.member_VD[rows].astype(np.int64) @ head_in[position]
        logits = np.floor(sums.astype(np.float32) * weights.member_scale_V[rows] + np.float32(0.5)).astype(int)
        distances = np.minimum(logits.max() - logits, last_distance(weights.frequency_exp))
        np.testing.assert_array_equal(distances, expected.members_TZ[position])


def test_a_renumbered_network_hashes_the_old_ids(weights, records):
    """The same network whatever its tokens are called."""
    config = CONFIG.with_(n_clusters=0, cluster_size=0)
    rng = np.random.default_rng(0)
    joined = {
        "head_VD": rng.integers(-127, 128, (config.vocab_size, config.d_model), dtype=np.int8),
        "head_scale_V": rng.uniform(0.01, 0.02, config.vocab_size).astype(np.float32),
        "member_VD": None,
        "member_scale_V": None,
    }
    one_step = dataclasses.replace(weights, **joined)
    old_tokens = rng.permutation(config.vocab_size)
    old_ids = np.concatenate((old_tokens, config.vocab_size + np.arange(EXTRA_TOKENS)))
    other = dataclasses.replace(
        one_step,
        embedding_ID=one_step.embedding_ID[old_ids],
        embedding_scale_I=one_step.embedding_scale_I[old_ids],
        head_VD=one_step.head_VD[old_tokens],
        head_scale_V=one_step.head_scale_V[old_tokens],
        hash_id_I=old_ids.astype(np.int32),
    )
    record = records[-1]
    (expected,) = TorchEngine(one_step, config).distances([record])
    (got,) = TorchEngine(other, config, block=7).distances([np.argsort(old_ids)[record]])
    assert len(np.unique(expected.symbols_TS)) > 500
    np.testing.assert_array_equal(got.symbols_TS, expected.symbols_TS[:, old_tokens])
