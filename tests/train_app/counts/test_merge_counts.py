"""Counts that were learnt before and a user's own, in one trie."""

import counts_versions
import networks
import numpy as np
import pytest

from nbmf.neural.counts import LENGTHS
from nbmf.neural.counts_file import core_counts, read_counts, save_counts
from nbmf.neural.vocabulary import Vocabulary
from train_app.adaptation.adaptation_facts import collect_facts
from train_app.adaptation.counts_facts import counts_objective
from train_app.counts.count import train_counts
from train_app.counts.merge_counts import best_merger, levels_of, merge
from train_app.samples.tokens import TokenStream


def part_of(stream: TokenStream, begin: int, end: int) -> TokenStream:
    starts = stream.starts[begin : end + 1]
    tokens = stream.tokens_N[starts[0] : starts[-1]]
    return TokenStream(tokens, starts - starts[0], stream.n_bytes[begin:end], stream.sets[begin:end])


@pytest.fixture(scope="module")
def parts():
    tokenizer = networks.vocabulary(networks.sample_records())
    stream = counts_versions.sample_stream(tokenizer)
    n = len(stream.sets)
    return [part_of(stream, *ends) for ends in ((0, n // 2), (n // 2, n - n // 8), (n - n // 8, n))], Vocabulary(
        tokenizer.get_vocab_size(), 4, 32
    )


@pytest.fixture(scope="module")
def base_and_own(parts):
    streams, vocabulary = parts
    return [train_counts(stream, vocabulary, counts_versions.UNBOUNDED) for stream in streams[:2]]


def spelled(counts) -> dict[tuple[int, ...], int]:
    names, found = [()], {}
    for level in levels_of(counts):
        contexts = names if len(names) > 1 else [()] * (1 + int(level.context_N.max()))
        names = [
            (*contexts[context], token)
            for context, token in zip(level.context_N.tolist(), level.token_N.tolist(), strict=True)
        ]
        found |= dict(zip(names, level.count_N.tolist(), strict=True))
    return found


def test_every_sequence_of_both_is_there_with_its_counts(base_and_own):
    base, own = base_and_own
    of_base, of_own, merged = spelled(base), spelled(own), spelled(merge(base, own, 10))
    assert merged.keys() == of_base.keys() | of_own.keys()
    assert max(map(len, merged)) == LENGTHS
    for sequence, count in merged.items():
        wanted = of_base.get(sequence, 0) + 10 * of_own.get(sequence, 0)
        assert abs(count - wanted) <= 0.1 * wanted, "counts are rounded"


def test_the_core_takes_it_and_the_file_keeps_it(base_and_own):
    merged = merge(*base_and_own, 3)
    assert core_counts(merged).n_clusters == 4
    again = read_counts(save_counts(merged))
    for name, value in merged._asdict().items():
        np.testing.assert_array_equal(getattr(again, name), value, err_msg=name)


def test_both_together_predict_others_better_than_either(base_and_own, parts):
    """Records of the kind that the own ones are of."""
    streams, vocabulary = parts
    facts = collect_facts(None, streams[2], vocabulary, 10_000)
    base, own = base_and_own
    both = counts_objective(best_merger(base, own, facts), facts)
    assert both < min(counts_objective(counts, facts) for counts in (base, own))
