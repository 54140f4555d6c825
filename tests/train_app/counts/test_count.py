"""Counting of token sequences and what is fitted on them, without a cluster."""

from collections import Counter
from itertools import pairwise

import counts_versions
import networks
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nbmf.neural.config import EXTRA_TOKENS
from nbmf.neural.counts import LENGTHS, Counts
from nbmf.neural.counts_file import read_counts, save_counts
from nbmf.neural.torch_engine import TorchEngine
from nbmf.neural.vocabulary import Vocabulary
from nbmf.neural.weights import IntegerWeights
from train_app.adaptation.adaptation_facts import collect_facts
from train_app.adaptation.counts_facts import counts_facts, fit_counts, fit_network_share, joined_facts
from train_app.counts.count import DISCOUNT_O, Sequences, count_sequences, train_counts
from train_app.samples.tokens import TokenStream

VOCAB_SIZE = 4
quick = settings(
    deadline=None, derandomize=True, database=None, max_examples=200, suppress_health_check=[HealthCheck.too_slow]
)
token_records = st.lists(
    st.tuples(
        st.integers(VOCAB_SIZE, VOCAB_SIZE + EXTRA_TOKENS - 1),
        st.lists(st.integers(0, VOCAB_SIZE - 1), max_size=12),
    ).map(lambda record: [record[0], *record[1]]),
    min_size=1,
    max_size=8,
)


def stream_of(records: list[list[int]]) -> TokenStream:
    lengths = [len(record) for record in records]
    return TokenStream(
        np.array([token for record in records for token in record], dtype=np.uint16),
        np.cumsum([0, *lengths]).astype(np.int64),
        np.array(lengths, dtype=np.int64),
        np.array(["set"] * len(records)),
    )


def brute_force(records: list[list[int]]) -> Counter:
    found: Counter = Counter()
    for record in map(tuple, records):
        found.update({record[i : i + n] for n in range(1, LENGTHS + 1) for i in range(len(record) - n + 1)})
    return found


def spelled(levels: list[Sequences]) -> list[list[tuple[int, ...]]]:
    names = [[(int(token),) for token in levels[0].token_N]]
    for level in levels[1:]:
        pairs = zip(level.context_N.tolist(), level.token_N.tolist(), strict=True)
        names.append([(*names[-1][context], token) for context, token in pairs])
    return names


def sequences_of(counts: Counts) -> dict[tuple[int, ...], float]:
    first = counts.first().tolist()
    names = {index: (index,) for index in range(first[0])}
    for context, (begin, end) in enumerate(pairwise(first)):
        for index in range(begin, end):
            names[index] = (*names[context], int(counts.token_N[index]))
    return {name: float(counts.count_of_code[counts.code_N[index]]) for index, name in names.items()}


@quick
@given(token_records)
def test_counted_as_by_hand(records):
    """Each sequence once a record, in two records at least; its suffix is that without its first token."""
    expected = brute_force(records)
    levels = count_sequences(stream_of(records), VOCAB_SIZE)
    assert len(levels) == LENGTHS
    assert levels[0].records_N.tolist() == [expected[(token,)] for token in range(VOCAB_SIZE + EXTRA_TOKENS)]
    names = spelled(levels)
    for length, (level, found) in enumerate(zip(levels[1:], names[1:], strict=True), start=2):
        wanted = {sequence: n for sequence, n in expected.items() if len(sequence) == length and n >= 2}
        assert dict(zip(found, level.records_N.tolist(), strict=True)) == wanted
        assert found == sorted(wanted)
        assert [names[length - 2][suffix] for suffix in level.suffix_N] == [sequence[1:] for sequence in found]


@quick
@given(token_records)
def test_all_that_was_counted_is_in_the_file(records):
    counts = train_counts(stream_of(records), Vocabulary(VOCAB_SIZE), counts_versions.UNBOUNDED)
    expected = brute_force(records)
    longer = {sequence: float(n) for sequence, n in expected.items() if len(sequence) > 1 and n >= 2}
    single = {(token,): max(1.0, float(expected[(token,)])) for token in range(VOCAB_SIZE + EXTRA_TOKENS)}
    assert sequences_of(read_counts(save_counts(counts))) == single | longer


@pytest.fixture(scope="module")
def files():
    return networks.untrained_files()


@pytest.fixture(scope="module")
def stream():
    return counts_versions.sample_stream(networks.vocabulary(networks.sample_records()))


@pytest.fixture(scope="module")
def counts(files):
    return counts_versions.sample_counts(files)


@pytest.mark.parametrize("share", [0.9, 0.5, 0.2, 0.1])
def test_pruning_keeps_the_bound_and_the_contexts_of_what_it_keeps(stream, counts, share):
    everything = sequences_of(counts)
    whole = len(save_counts(counts))
    vocab_size = counts.vocab_size
    pruned = train_counts(stream, counts.vocabulary, int(share * whole))
    assert 0.7 * share * whole < len(save_counts(pruned)) <= share * whole
    kept = sequences_of(pruned)
    assert kept.items() < everything.items()
    assert all(sequence[:-1] in kept for sequence in kept if len(sequence) > 1)
    assert all((token,) in kept for token in range(vocab_size + EXTRA_TOKENS))


def test_what_is_pruned_first_is_worth_least(stream, counts):
    """Half the file costs less than half of what the counts save."""
    facts = collect_facts(None, stream, counts.vocabulary, 60_000)
    single = counts.vocab_size + EXTRA_TOKENS
    none = counts._replace(
        token_N=counts.token_N[:single],
        code_N=counts.code_N[:single],
        followers_C=np.zeros(single, dtype=np.uint16),
    )
    bits = [_bits(counts_facts(each, facts).facts) for each in (none, counts)]
    pruned = train_counts(stream, counts.vocabulary, len(save_counts(counts)) // 2)
    half = _bits(counts_facts(pruned, facts).facts)
    assert bits[1] < half < (bits[0] + bits[1]) / 2


def _bits(facts) -> float:
    return float(facts.token_bits().sum())


@pytest.fixture(scope="module")
def tuning():
    """Records that were not counted, of two sets."""
    tokenizer = networks.vocabulary(networks.sample_records())
    whole = counts_versions.sample_stream(tokenizer)
    ends = whole.starts[[0, len(whole.sets) // 2]]
    learnt = TokenStream(
        whole.tokens_N[: ends[1]],
        whole.starts[: len(whole.sets) // 2 + 1],
        whole.n_bytes[: len(whole.sets) // 2],
        whole.sets[: len(whole.sets) // 2],
    )
    unseen = TokenStream(
        whole.tokens_N[ends[1] :],
        whole.starts[len(whole.sets) // 2 :] - ends[1],
        whole.n_bytes[len(whole.sets) // 2 :],
        whole.sets[len(whole.sets) // 2 :],
    )
    return train_counts(learnt, Vocabulary(tokenizer.get_vocab_size()), counts_versions.UNBOUNDED), unseen


def _objective(counts: Counts, facts) -> float:
    """Mean over the sets of the logarithm of their bits."""
    token_bits = counts_facts(counts, facts).facts.token_bits()
    bits: Counter = Counter()
    for record, name in enumerate(facts.sets.tolist()):
        bits[name] += token_bits[facts.starts[record] : facts.starts[record + 1]].sum()
    return float(np.mean(np.log([*bits.values()])))


def test_fitting_lowers_the_objective_on_records_that_were_not_counted(tuning):
    counts, unseen = tuning
    facts = collect_facts(None, unseen, counts.vocabulary, 8_000)
    fitted = fit_counts(counts, facts)
    assert _objective(fitted, facts) < _objective(counts, facts) - 1e-4
    for name in ("discount_O", "spread_O", "spread_floor_O"):
        assert (getattr(fitted, name) > 0).all()
    assert (fitted.discount_O < 1).all()
    assert counts.discount_O.tolist() == DISCOUNT_O.tolist()
    for name in ("token_N", "code_N", "followers_C"):
        assert getattr(fitted, name) is getattr(counts, name)


def test_the_counts_facts_are_probabilities_of_the_same_tokens(tuning):
    counts, unseen = tuning
    facts = collect_facts(None, unseen, counts.vocabulary, 8_000)
    counted = counts_facts(counts, facts)
    assert (counted.facts.network_NS > 0).all()
    assert (counted.facts.network_NS <= counted.facts.confidence_NS).all()
    assert (counted.facts.confidence_NS[:, 0] < 1).all()
    there = facts.expected_N >= 0
    assert ((counted.facts.copied_NS[:, 0] > 0) == there).all()
    right = facts.expected_N == facts.tokens_N
    np.testing.assert_array_equal(counted.facts.copied_NS[right, 0], counted.facts.network_NS[right, 0])
    assert set(counted.order_NS.flat) <= set(range(LENGTHS))
    assert counted.order_NS.max() > 2


def test_the_mixture_is_no_worse_than_the_better_of_both(files, tuning):
    counts, unseen = tuning
    engine = TorchEngine(*IntegerWeights.load(files[networks.FILES["model"]]))
    facts = collect_facts(engine, unseen, counts.vocabulary, 8_000)
    counted = counts_facts(counts, facts)
    shares = fit_network_share(facts, counted)
    assert ((shares > 0) & (shares < 1)).all()
    joined = joined_facts(facts, counted, shares)
    assert _bits(joined) < min(_bits(facts), _bits(counted.facts)) * 1.03
    # a network that knows every other token better
    knowing = facts.network_NS.copy()
    knowing[::2, 0] = 0.9
    better = type(facts)(**{**vars(facts), "network_NS": knowing})
    joined = joined_facts(better, counted, fit_network_share(better, counted))
    assert _bits(joined) < 0.95 * min(_bits(better), _bits(counted.facts))
