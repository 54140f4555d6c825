"""One function of the tokens, whichever engine, block, batch, thread count or processor."""

import hashlib
import os
import pickle
import subprocess
import sys

import counts_versions
import networks
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from nbmf.neural.codec import NeuralCodec
from nbmf.neural.compiled import next_frequencies, start_record
from nbmf.neural.config import NeuralConfig
from nbmf.neural.network import make_network, new_cache, new_scratch
from nbmf.neural.product import float32_product, int8_product_is_exact, padded_int8_product
from nbmf.neural.torch_engine import EngineState, TorchEngine
from nbmf.neural.weights import IntegerWeights

STEPS = 200
Network = tuple[IntegerWeights, NeuralConfig]


def token_records(codec: NeuralCodec, records: list[tuple[bytes, str]]) -> list[NDArray[np.int64]]:
    config = codec.config
    tokens = [np.array([config.type_id(kind), *codec.tokenizer.encode(data)], dtype=np.int64) for data, kind in records]
    return sorted(tokens, key=len)[-24::2]


@pytest.fixture(scope="module")
def tokens(codec: NeuralCodec, records: list[tuple[bytes, str]]) -> list[NDArray[np.int64]]:
    return token_records(codec, records)


@pytest.fixture(scope="module")
def reference(network: Network, tokens: list[NDArray[np.int64]]) -> list[NDArray[np.int32]]:
    engine = TorchEngine(*network, exact_int8=False)
    return [engine.frequencies([record])[0] for record in tokens]


def check_equal(got: list[NDArray[np.int32]], expected: list[NDArray[np.int32]]) -> None:
    assert len(got) == len(expected)
    for one, other in zip(got, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_reference_is_not_degenerate(reference: list[NDArray[np.int32]]) -> None:
    joined = np.concatenate(reference)
    assert joined.min() >= 1
    assert joined.max() == 1 << 20
    assert 10 < np.median((joined > 1000).sum(axis=1)) < joined.shape[1]
    assert len(np.unique(joined[:, 0])) > 50


@pytest.mark.parametrize("block", [7, 64, 4096])
def test_blocks(network: Network, tokens, reference, block: int) -> None:
    engine = TorchEngine(*network, block=block)
    check_equal([engine.frequencies([record])[0] for record in tokens[:6]], reference[:6])


@pytest.mark.parametrize("batch", [1, 5, 64])
def test_batches_of_unequal_lengths(network: Network, tokens, reference, batch: int) -> None:
    engine = TorchEngine(*network)
    got = []
    for begin in range(0, len(tokens), batch):
        got += engine.frequencies(tokens[begin : begin + batch])
    check_equal(got, reference)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("exact_int8", [True, False])
def test_threads_and_products(network: Network, tokens, reference, threads, exact_int8) -> None:
    if exact_int8 and not int8_product_is_exact("cpu"):
        pytest.skip("torch._int_mm is not exact on this processor")
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        engine = TorchEngine(*network, exact_int8=exact_int8)
        check_equal(engine.frequencies(tokens), reference)
    finally:
        torch.set_num_threads(before)


def test_stepping_one_by_one(network: Network, tokens, reference) -> None:
    engine, state = TorchEngine(*network), EngineState()
    got = [engine.step(np.array([[token]]), state)[0, 0].numpy() for token in tokens[-1][:STEPS]]
    check_equal([np.stack(got)], [reference[-1][:STEPS]])


@pytest.mark.skipif(
    not torch.cuda.is_available(), reason="PyTorch finds no NVIDIA GPU: the same integers on one are not tested here"
)
@pytest.mark.parametrize("exact_int8", [True, False])
def test_on_a_gpu(network: Network, tokens, reference, exact_int8) -> None:
    engine = TorchEngine(*network, device="cuda", exact_int8=exact_int8)
    check_equal(engine.frequencies(tokens), reference)


@pytest.mark.skipif(not int8_product_is_exact("cpu"), reason="torch._int_mm is not exact on this processor")
@pytest.mark.parametrize("sizes", [(1, 64, 64), (16, 30, 13), (17, 8, 8), (40, 192, 577)])
def test_what_is_filled_up_for_a_gpu_changes_no_sum(sizes) -> None:
    rows, terms, outputs = sizes
    generator = np.random.default_rng(rows)
    x, weight = (generator.integers(-127, 128, shape, dtype=np.int8) for shape in ((rows, terms), (terms, outputs)))
    got = padded_int8_product(torch.from_numpy(x), torch.from_numpy(weight))
    np.testing.assert_array_equal(got.numpy(), x.astype(np.int64) @ weight.astype(np.int64))


@pytest.mark.parametrize("at_once", [1, 5, 16, 40])
def test_compiled_loop(network: Network, tokens, reference, at_once) -> None:
    """Tokens of one record, one by one and many at once."""
    compiled, vocab_size = make_network(*network), network[1].vocab_size
    for record, expected in zip(tokens, reference, strict=True):
        cache = new_cache(network[1], at_once=at_once)
        scratch = new_scratch(network[1], cache, at_once)
        for begin in range(0, len(record), at_once):
            part = record[begin : begin + at_once]
            scratch.token_B[: len(part)] = part
            next_frequencies(compiled, cache, scratch, len(part))
            got = scratch.frequency_BV[: len(part), :vocab_size]
            check_equal([got], [expected[begin : begin + at_once]])
            np.testing.assert_array_equal(scratch.total_B[: len(part)], got.sum(axis=1, dtype=np.int64))


def test_compiled_loop_side_by_side(network: Network, tokens, reference) -> None:
    """Tokens of as many records; a slot is used again when its record has ended."""
    compiled, (_, config) = make_network(*network), network
    cache = new_cache(config, 3)
    scratch = new_scratch(config, cache, 3)
    waiting = list(range(len(tokens)))
    places: list[tuple[int, int] | None] = [None] * 3
    while waiting or any(places):
        rows = []
        for slot, place in enumerate(places):
            if place is None and waiting:
                places[slot] = (waiting.pop(), 0)
                start_record(compiled, cache, slot)
            if places[slot] is not None:
                record, position = places[slot]
                scratch.slot_B[len(rows)], scratch.token_B[len(rows)] = slot, tokens[record][position]
                rows.append((slot, record, position))
        next_frequencies(compiled, cache, scratch, len(rows))
        for row, (slot, record, position) in enumerate(rows):
            np.testing.assert_array_equal(scratch.frequency_BV[row, : config.vocab_size], reference[record][position])
            places[slot] = (record, position + 1) if position + 1 < len(tokens[record]) else None


def test_float32_product_is_exact_beyond_one_piece() -> None:
    x = np.full((3, 3072), 127, dtype=np.int8)
    weight = np.full((5, 3072), -127, dtype=np.int8)
    weight[1] = 127
    got = float32_product(torch.from_numpy(x), torch.from_numpy(weight).float())
    np.testing.assert_array_equal(got.numpy(), x.astype(np.int64) @ weight.T.astype(np.int64))


def streams_digest(codec: NeuralCodec, records: list[tuple[bytes, str]]) -> str:
    streams = codec.encode_batch(records)
    assert streams == [codec.encode(*record) for record in records]
    return hashlib.sha256(b"|".join(streams)).hexdigest()


_CHILD = """
import hashlib, pickle, sys
from nbmf.neural.codec import NeuralCodec
from nbmf.neural.product import int8_product_is_exact
versions, records = pickle.load(sys.stdin.buffer)
for parts in versions:
    codec = NeuralCodec.from_files(*parts)
    streams = codec.encode_batch(records)
    assert streams == [codec.encode(*record) for record in records]
    assert all(codec.decode(s, len(r[0]), r[1]) == r[0] for s, r in zip(streams[:2], records))
    print(int8_product_is_exact("cpu"), hashlib.sha256(b"|".join(streams)).hexdigest())
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("aten", "onednn", "numba_cpu"),
    [("avx2", "AVX2", "haswell"), ("default", "SSE41", "nehalem")],
)
def test_imitated_processors(
    files_with_counts, codec, counts_codec, mixed_codec, records, tmp_path, aten, onednn, numba_cpu
) -> None:
    """The same streams of network, counts and both from processes that believe in an older processor."""
    expected = [streams_digest(each, records[::9]) for each in (codec, counts_codec, mixed_codec)]
    network = [files_with_counts[networks.FILES[part]] for part in ("tokenizer", "constants", "model")]
    versions = [network, *(counts_versions.parts(files_with_counts, network=both) for both in (False, True))]
    environment = os.environ | {
        "ATEN_CPU_CAPABILITY": aten,
        "ONEDNN_MAX_CPU_ISA": onednn,
        "NUMBA_CPU_NAME": numba_cpu,
        "NUMBA_CPU_FEATURES": "",
        "NUMBA_CACHE_DIR": str(tmp_path),
    }
    done = subprocess.run(
        [sys.executable, "-c", _CHILD],
        env=environment,
        input=pickle.dumps((versions, records[::9])),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout.decode().split()[1::2] == expected
