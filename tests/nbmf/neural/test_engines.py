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

from nbmf import _core
from nbmf.neural.codec import NeuralCodec
from nbmf.neural.config import NeuralConfig
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
    return [engine.distances([record])[0].symbols_TS for record in tokens]


def check_equal(got: list[NDArray[np.int32]], expected: list[NDArray[np.int32]]) -> None:
    assert len(got) == len(expected)
    for one, other in zip(got, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_reference_is_not_degenerate(reference: list[NDArray[np.int32]]) -> None:
    joined = np.concatenate(reference)
    assert (joined.min(axis=1) == 0).all()
    assert joined.max() > 1000
    assert 10 < np.median((joined < 900).sum(axis=1)) < joined.shape[1]
    assert len(np.unique(joined[:, 0])) > 50


@pytest.mark.parametrize("block", [7, 64, 4096])
def test_blocks(network: Network, tokens, reference, block: int) -> None:
    engine = TorchEngine(*network, block=block)
    check_equal([engine.distances([record])[0].symbols_TS for record in tokens[:6]], reference[:6])


@pytest.mark.parametrize("batch", [1, 5, 64])
def test_batches_of_unequal_lengths(network: Network, tokens, reference, batch: int) -> None:
    engine = TorchEngine(*network)
    got = []
    for begin in range(0, len(tokens), batch):
        got += [found.symbols_TS for found in engine.distances(tokens[begin : begin + batch])]
    check_equal(got, reference)


@pytest.mark.parametrize("threads", [1, pytest.param(2, marks=pytest.mark.slow)])
@pytest.mark.parametrize("exact_int8", [True, False])
def test_threads_and_products(network: Network, tokens, reference, threads, exact_int8) -> None:
    if exact_int8 and not int8_product_is_exact("cpu"):
        pytest.skip("torch._int_mm is not exact on this processor")
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        engine = TorchEngine(*network, exact_int8=exact_int8)
        check_equal([found.symbols_TS for found in engine.distances(tokens)], reference)
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
    check_equal([found.symbols_TS for found in engine.distances(tokens)], reference)


@pytest.mark.skipif(not int8_product_is_exact("cpu"), reason="torch._int_mm is not exact on this processor")
@pytest.mark.parametrize("sizes", [(1, 64, 64), (16, 30, 13), (17, 8, 8), (40, 192, 577)])
def test_what_is_filled_up_for_a_gpu_changes_no_sum(sizes) -> None:
    rows, terms, outputs = sizes
    generator = np.random.default_rng(rows)
    x, weight = (generator.integers(-127, 128, shape, dtype=np.int8) for shape in ((rows, terms), (terms, outputs)))
    got = padded_int8_product(torch.from_numpy(x), torch.from_numpy(weight))
    np.testing.assert_array_equal(got.numpy(), x.astype(np.int64) @ weight.astype(np.int64))


@pytest.mark.parametrize("at_once", [1, 5, 16])
def test_the_core(codec: NeuralCodec, tokens, reference, at_once) -> None:
    """Tokens of one record, one by one and many at once."""
    for record, expected in zip(tokens, reference, strict=True):
        got, members = codec.vocabulary.empty_predictions(len(record))
        targets = np.zeros(len(record), dtype=np.int32)
        codec.model.distances(record.astype(np.int32), targets, at_once, got, members)
        check_equal([got], [expected])


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


@pytest.mark.parametrize("cpu", _core.paths()[1:])
def test_older_processors(files_with_counts, codec, counts_codec, mixed_codec, records, cpu) -> None:
    """The same streams of network, counts and both from code for an older processor, in the core and in PyTorch."""
    expected = [streams_digest(each, records[::9]) for each in (codec, counts_codec, mixed_codec)]
    network = [files_with_counts[networks.FILES[part]] for part in ("tokenizer", "constants", "model")]
    versions = [network, *(counts_versions.parts(files_with_counts, network=both) for both in (False, True))]
    older = {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41"} if cpu != "avx2" else {}
    done = subprocess.run(
        [sys.executable, "-c", _CHILD],
        env=os.environ | {"NBMF_CPU": cpu} | older,
        input=pickle.dumps((versions, records[::9])),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout.decode().split()[1::2] == expected


def test_a_processor_that_this_is_not() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import nbmf._core"],
        env=os.environ | {"NBMF_CPU": "6502"},
        capture_output=True,
        check=False,
    )
    assert b"NBMF_CPU=6502 is not for this processor" in done.stderr
    with pytest.raises(ValueError, match="6502"):
        _core.use("6502")


def test_a_phase_needs_as_many_inputs_as_it_takes_in_at_once(codec: NeuralCodec) -> None:
    inputs = np.zeros(7, np.int32)
    codec.model.repeat_phase(inputs, 7, 7, 2)
    with pytest.raises(ValueError, match="7 inputs, of which 8 are taken in at once"):
        codec.model.repeat_phase(inputs, 7, 8, 1)
