"""Sampling and dictionaries, without Ray."""

import random

import pytest
import synthetic
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.sources import open_source
from nbmf.coders import ZstdDictionaryCoder
from nbmf.payload import Kind, to_canonical
from train_app.dictionaries import steps, train_dictionaries
from train_app.samples.bounded import BoundedSample
from train_app.samples.prepare import _share, balanced
from train_app.samples.reading import read_samples
from train_app.samples.sample import Sample


def _sample(digest, size):
    return Sample(Kind.TEXT, b"x" * size, digest.to_bytes(16, "big"))


def _taken(samples, limit):
    bounded = BoundedSample(limit)
    for sample in samples:
        bounded.add(sample)
    return bounded.samples()


def _expected(samples, limit):
    """The definition: by digest, as many as fit; one at least."""
    chosen, total = [], 0
    for sample in sorted(samples, key=lambda s: s.digest):
        total += len(sample.canonical)
        if total > limit and chosen:
            break
        chosen.append(sample)
    return chosen


@settings(max_examples=150)
@given(
    st.dictionaries(st.integers(0, 2**128 - 1), st.integers(1, 60), min_size=1, max_size=60),
    st.integers(1, 300),
    st.randoms(use_true_random=False),
)
def test_a_bounded_sample_is_the_same_in_any_order(sizes, limit, rng):
    samples = [_sample(digest, size) for digest, size in sizes.items()]
    expected = _expected(samples, limit)
    rng.shuffle(samples)
    assert _taken(samples, limit) == expected
    assert _taken(sorted(samples, key=lambda s: s.digest, reverse=True), limit) == expected


def test_what_comes_after_the_sample_was_cut_may_still_fit():
    large, small, late = _sample(9, 4), _sample(0, 1), _sample(1, 1)
    assert _taken([large, small, late], 2) == [small, late]


def test_a_bounded_sample_stays_bounded():
    rng = random.Random(0)
    bounded = BoundedSample(1000)
    for _ in range(5000):
        bounded.add(_sample(rng.getrandbits(128), 50))
        assert sum(len(s.canonical) for s in bounded._samples) <= 2050
    assert len(bounded.samples()) == 20


def test_rows_of_good_and_bad_records(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'"text"\n{\n{"a": 1}\n"text"\n')
    source = open_source(path)
    (shard,) = source.plan()
    rows = list(read_samples(source, shard))
    assert [r["reason"] for r in rows] == ["", "not_json", "", ""]
    assert [r["canonical"] for r in rows] == [b"text", b"", b'{"a":1}', b"text"]
    assert [r["kind"] for r in rows] == [Kind.TEXT, -1, Kind.JSON, Kind.TEXT]
    assert rows[0]["digest"] == rows[3]["digest"] != rows[2]["digest"]
    assert len(rows[0]["digest"]) == 16


def test_what_holds_nothing_is_not_learnt_from(tmp_path):
    """Neither as a line, nor in a field, and each is told with its place."""
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'null\n""\n{}\n[]\n0\nfalse\n" "\n[null]\n"{}"\n')
    source = open_source(path)
    rows = list(read_samples(source, source.plan()[0]))
    assert [r["reason"] for r in rows] == ["null", "empty", "empty", "empty", "", "", "", "", ""]
    assert [r["place"].rpartition(":")[2] for r in rows] == list("123456789")
    path.write_bytes(b'{"said": null}\n{"said": "yes"}\n')
    source = open_source(path, payload_field="said")
    assert [r["reason"] for r in read_samples(source, source.plan()[0])] == ["null", ""]


def _spread(count):
    """Samples whose shares are even."""
    return [Sample(Kind.TEXT, b"x", bytes(8) + (i * 2**64 // count).to_bytes(8, "big")) for i in range(count)]


@pytest.mark.parametrize(("count", "held_out"), [(1000, 100), (200, 20), (150, 20), (100, 20), (50, 10), (20, 4)])
def test_of_few_records_more_are_held_out(count, held_out):
    """A tenth, but 20 at least, and a fifth at most for that; those with the smallest shares."""
    samples = _spread(count)
    split = [[s for s in samples if (_share(s) < 0.1) is kept] for kept in (False, True)]
    training, holdout = balanced(*split)
    assert sorted(holdout, key=_share) == samples[:held_out]
    assert training == samples[held_out:]


def test_kinds_with_equal_bytes_are_not_duplicates(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'"[1]"\n[1]\n')
    source = open_source(path)
    first, second = read_samples(source, source.plan()[0])
    assert first["canonical"] == second["canonical"]
    assert first["digest"] != second["digest"]


@pytest.fixture(scope="module")
def samples():
    return [Sample(*to_canonical(r), bytes(16)) for r in synthetic.records(600, seed=8)]


def test_a_dictionary_for_each_kind_there_is(samples, train_config):
    counted = []
    found = train_dictionaries(samples, train_config, lambda: counted.append(1))
    assert found.keys() == {Kind.TEXT, Kind.MESSAGES, Kind.JSON}
    assert len(counted) == steps(train_config)
    assert found == train_dictionaries(samples, train_config, lambda: None)
    for sample in samples[::50]:
        coder = ZstdDictionaryCoder(found)
        body = coder.encode(sample.kind, sample.canonical)
        assert len(body) < len(sample.canonical) / 2
        assert coder.decode(sample.kind, body, len(sample.canonical)) == sample.canonical


def test_nothing_to_learn_from_gives_no_dictionary(train_config):
    few = [Sample(*to_canonical(f"note {n}"), bytes(16)) for n in range(25)]
    assert train_dictionaries(few, train_config, lambda: None) == {}
    uniform = [Sample(Kind.TEXT, b"a" * 900, bytes(16))] * 100
    assert isinstance(train_dictionaries(uniform, train_config, lambda: None), dict)
