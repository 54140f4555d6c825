"""Counts without some of their entries: what was found in them, or any."""

import counts_versions
import numpy as np
import pytest
import spelling
from tokenizers import Tokenizer

from cluster.version_scan import found_entries
from nbmf._core import CONTEXTS
from nbmf.neural.constants import default_constants
from nbmf.neural.core import make_adaptation
from nbmf.neural.counts import Counts
from nbmf.neural.counts_file import load_counts, read_counts, save_counts
from nbmf.neural.tokenizer import NeuralTokenizer
from train_app import learned_files as version
from train_app.counts.count import drop_entries

TEXTS = (*spelling.CLEAN, *(f"it is {text} here" for text in spelling.PLANTED.values()))


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return spelling.vocabulary_of(TEXTS)


@pytest.fixture(scope="module")
def counts(tokenizer) -> Counts:
    return spelling.counts_of(TEXTS, tokenizer)


@pytest.fixture(scope="module")
def bytes_of_id(tokenizer) -> list[bytes]:
    return NeuralTokenizer.from_json(tokenizer.to_str()).bytes_of_id


def sequences(counts: Counts) -> dict[tuple[int, ...], int]:
    """Code of the count of each."""
    first = counts.first().tolist()
    names = [(token,) for token in range(first[0])]
    for context, begin in enumerate(first[:-1]):
        names += [(*names[context], int(counts.token_N[index])) for index in range(begin, first[context + 1])]
    return dict(zip(names, counts.code_N.tolist(), strict=True))


def check_predictions(counts: Counts) -> None:
    """The core takes them, and predicts something of each context."""
    core = load_counts(save_counts(counts))
    inputs = np.arange(counts.vocab_size, dtype=np.int32)
    frequencies = np.zeros((len(inputs), counts.vocab_size), dtype=np.int32)
    sure, contexts = np.zeros(len(inputs)), np.zeros((len(inputs), CONTEXTS), dtype=np.int64)
    make_adaptation(default_constants(), counts.vocabulary, core).predictions(inputs, None, frequencies, sure, contexts)
    assert frequencies.min() >= 1
    np.testing.assert_array_equal(sure, frequencies.max(axis=1) / frequencies.sum(axis=1, dtype=np.int64))


def test_what_is_found_goes_and_nothing_else(counts, bytes_of_id):
    found = found_entries(counts, bytes_of_id)
    assert len(found) >= len(spelling.PLANTED)
    mask = np.zeros(len(counts.token_N), dtype=bool)
    mask[found] = True
    kept = drop_entries(counts, mask)
    assert len(found_entries(kept, bytes_of_id)) == 0
    before = list(sequences(counts).items())
    masked = {before[index][0] for index in found}
    assert sequences(kept) == {name: code for name, code in before if name not in masked}
    np.testing.assert_array_equal(read_counts(save_counts(kept)).token_N, kept.token_N)
    check_predictions(kept)


@pytest.mark.parametrize("seed", range(8))
def test_what_is_below_goes_too(counts, seed):
    mask = np.random.default_rng(seed).random(len(counts.token_N)) < (0.02 if seed % 2 else 0.3)
    kept = drop_entries(counts, mask)
    names = list(sequences(counts))
    masked = {name for name, out in zip(names, mask, strict=True) if out}
    assert list(sequences(kept)) == [
        name
        for name in names
        if len(name) == 1 or not any(name[:length] in masked for length in range(1, len(name) + 1))
    ]
    check_predictions(kept)


def test_nothing_and_everything(counts):
    n = len(counts.token_N)
    same = drop_entries(counts, np.zeros(n, dtype=bool))
    np.testing.assert_array_equal(same.token_N, counts.token_N)
    np.testing.assert_array_equal(same.followers_C, counts.followers_C)
    nothing = drop_entries(counts, np.ones(n, dtype=bool))
    assert len(nothing.token_N) == int(counts.first()[0])
    check_predictions(nothing)


def test_a_trained_version_has_none_of_it(tokenizer, bytes_of_id, settings, monkeypatch):
    monkeypatch.setattr(version, "_FIT_BYTES", 2000)
    monkeypatch.setattr(version, "_GATE_STEPS", 1)
    samples = spelling.samples(TEXTS)
    learned = version.build(None, tokenizer, samples, samples[:6], settings, lambda: None)
    counts = read_counts(learned.files[counts_versions.COUNTS_FILE])
    assert len(found_entries(counts, bytes_of_id)) == 0
    assert learned.measured["counts_left_out"] >= len(spelling.PLANTED)
