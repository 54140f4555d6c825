"""Static counts: what is looked up and predicted, against dictionaries of tuples counted from the records."""

from collections import Counter, defaultdict
from itertools import pairwise

import networks
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbmf._core import CONTEXTS, SCALE
from nbmf.neural.constants import default_constants
from nbmf.neural.core import make_adaptation
from nbmf.neural.counts import LENGTHS, Counts
from nbmf.neural.counts_file import core_counts
from nbmf.neural.record_types import RECORD_TYPES, TYPE_OF_KIND

Sequence = tuple[int, ...]
ROUNDED = 1e-7  # a frequency is rounded down once for each context


class Reference:
    """The prediction that the docstring of nbmf.neural.counts promises, from the records themselves."""

    def __init__(self, records: list[Sequence], counts: Counts) -> None:
        self.counts, self.vocab_size = counts, counts.vocab_size
        found: Counter[Sequence] = Counter()
        for record in records:
            found.update({record[i : i + n] for n in range(1, LENGTHS + 1) for i in range(len(record) - n + 1)})
        self.count = {sequence: self.rounded(n) for sequence, n in found.items() if n >= 2 or len(sequence) == 1}
        self.followers: dict[Sequence, dict[int, float]] = defaultdict(dict)
        for sequence, n in self.count.items():
            if len(sequence) > 1:
                self.followers[sequence[:-1]][sequence[-1]] = n
        single = np.array([self.count.get((token,), 1.0) + 1 for token in range(self.vocab_size)])
        self.without_context = single / single.sum()

    def rounded(self, n: int) -> float:
        """Counts are kept as the nearest in a table."""
        return min(self.counts.count_of_code.tolist(), key=lambda known: abs(known - n))

    def predict(self, history: Sequence) -> np.ndarray:
        probability = self.without_context
        for length in range(1, min(CONTEXTS, len(history)) + 1):
            context = history[-length:]
            if not (followers := self.followers.get(context)):
                continue
            discount, spread, floor = (
                float(constant[length - 1])
                for constant in (self.counts.discount_O, self.counts.spread_O, self.counts.spread_floor_O)
            )
            seen = max(self.count[context], sum(followers.values()))
            whole = seen + spread * len(followers) + floor
            own = np.zeros(self.vocab_size)
            for token, n in followers.items():
                own[token] = (n - discount) / whole
            probability = own + (1 - own.sum()) * probability
        return probability


@pytest.fixture(scope="module")
def token_records(codec, records) -> list[Sequence]:
    return [(codec.config.type_id(kind), *codec.tokenizer.encode(data)) for data, kind in records]


@pytest.fixture(scope="module")
def reference(token_records, counts) -> Reference:
    return Reference(token_records, counts)


@pytest.fixture(scope="module")
def foreign_records(codec) -> list[Sequence]:
    """Of no record that was counted."""
    texts = ("Grüße aus 東京: the array that numpy returns is not a copy.", "def load(file): return", "\x00\xff" * 9)
    return [(codec.config.type_id("text"), *codec.tokenizer.encode(text.encode())) for text in texts]


def check_close(frequencies: np.ndarray, total: int, expected: np.ndarray) -> None:
    """Every token's frequency has one on top of its share."""
    assert expected.sum() == pytest.approx(1)
    np.testing.assert_allclose((frequencies - 1) / SCALE, expected, rtol=0, atol=ROUNDED)
    np.testing.assert_allclose(frequencies / total, expected, rtol=0, atol=2 * len(expected) / SCALE)


def predictions(counts: Counts, inputs: Sequence) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """After each input: frequencies, the share of the greatest, contexts."""
    frequencies = np.zeros((len(inputs), counts.vocab_size), dtype=np.int32)
    sure, contexts = np.zeros(len(inputs)), np.zeros((len(inputs), CONTEXTS), dtype=np.int64)
    model = make_adaptation(default_constants(), counts.vocabulary, core_counts(counts))
    model.predictions(np.array(inputs, dtype=np.int32), None, frequencies, sure, contexts)
    return frequencies, sure, contexts


def spelled(counts: Counts) -> dict[int, Sequence]:
    """Every sequence of the trie by its index."""
    first = counts.first().tolist()
    names = {index: (index,) for index in range(first[0])}
    for context, (begin, end) in enumerate(pairwise(first)):
        for index in range(begin, end):
            names[index] = (*names[context], int(counts.token_N[index]))
    return names


@pytest.fixture(scope="module")
def names(counts) -> dict[int, Sequence]:
    return spelled(counts)


def test_predictions_are_those_of_the_docstring(counts, reference, token_records, foreign_records):
    chosen = [record[:400] for record in [*token_records[::12], *foreign_records]]
    for record in chosen:
        frequencies, _, _ = predictions(counts, record)
        for position, row in enumerate(frequencies):
            check_close(row, int(row.sum(dtype=np.int64)), reference.predict(record[: position + 1]))


def test_frequencies_can_be_coded(counts, token_records, foreign_records):
    """Every token has one; the greatest's share is what is returned."""
    for record in [*token_records[1::12], *foreign_records]:
        frequencies, sure, _ = predictions(counts, record[:400])
        totals = frequencies.sum(axis=1, dtype=np.int64)
        assert frequencies.min() >= 1
        assert totals.max() <= SCALE + frequencies.shape[1]
        np.testing.assert_array_equal(sure, frequencies.max(axis=1) / totals)


def test_the_trie_holds_the_sequences_of_two_records(counts, names, reference):
    single = {(token,) for token in range(int(counts.first()[0]))}
    longer = {sequence for sequence in reference.count if len(sequence) > 1}
    assert len(names) == len(counts.token_N)
    assert set(names.values()) == single | longer
    for index, sequence in names.items():
        assert counts.count_of_code[counts.code_N[index]] == reference.count.get(sequence, 1.0)


def check_contexts(counts: Counts, names: dict[int, Sequence], walked: Sequence) -> None:
    known = set(names.values())
    _, _, contexts = predictions(counts, walked)
    for position, found in enumerate(contexts.tolist()):
        history = walked[: position + 1]
        for length, context in enumerate(found, start=1):
            sequence = history[-length:]
            there = len(history) >= length and sequence in known
            assert (names[context] if context >= 0 else None) == (sequence if there else None)


def test_following_records_finds_the_contexts_there_are(counts, names, token_records, foreign_records):
    for record in [*token_records[2::40], *foreign_records]:
        check_contexts(counts, names, record[:150])


@settings(max_examples=25)
@given(data=st.data())
def test_following_any_tokens_finds_the_contexts_there_are(counts, names, token_records, data):
    """Pieces of records, joined where they do not belong together, and ids of record types in between."""
    walked: list[int] = []
    for _ in range(data.draw(st.integers(1, 6))):
        record = data.draw(st.sampled_from(token_records))
        begin = data.draw(st.integers(0, len(record) - 1))
        walked += record[begin : begin + data.draw(st.integers(1, 12))]
        walked.append(data.draw(st.integers(0, int(counts.first()[0]) - 1)))
    check_contexts(counts, names, tuple(walked))


def test_each_type_of_record_has_a_start_of_its_own(counts, codec):
    starts = [predictions(counts, (codec.config.type_id(kind),))[0][0] for kind in RECORD_TYPES]
    counted = {TYPE_OF_KIND[sample.kind] for sample in networks.sample_records()}
    text, conversation = (starts[RECORD_TYPES.index(kind)] for kind in ("text", "conversation"))
    assert counted >= {"text", "conversation"}
    assert text.argmax() != conversation.argmax()
