"""Altered copies of samples: how many, of which, and the same everywhere."""

import hashlib
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import synthetic

from nbmf.payload import Kind, from_canonical, to_canonical
from train_app.augment.copies import Augmenting, augmented, by_name
from train_app.augment.names import Augmentation
from train_app.augment.records import MAX_DEPTH, record_of
from train_app.augment.told import copies_told
from train_app.samples.sample import Sample, digest_of

ALL = tuple(Augmentation)


def sample_of(record, group=""):
    kind, canonical = to_canonical(record)
    return Sample(kind, canonical, digest_of(kind, canonical), group)


def samples(count, seed=0):
    return [sample_of(record, type(record).__name__) for record in synthetic.records(count, seed)]


def fingerprint(seed):
    found = augmented(samples(150), Augmenting(ALL, 2, seed))
    digests = b"".join(copy.digest for copy in found.copies)
    return f"{hashlib.sha256(digests).hexdigest()} {by_name(found.counts)}"


def test_the_same_in_every_process():
    """Whatever the order of sets and dictionaries' hashes there."""
    code = "import test_copies; print(test_copies.fingerprint(7))"
    folders = [*(str(Path(file).parent) for file in (__file__, synthetic.__file__)), *filter(None, sys.path)]
    told = [
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(folders), "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("1", "2")
    ]
    assert told == [fingerprint(7)] * 2
    assert fingerprint(8) != fingerprint(7)


def test_a_record_has_the_same_copies_whatever_stands_beside():
    """All but values are taken from the record alone."""
    names = tuple(name for name in Augmentation if name is not Augmentation.VALUES)
    some = samples(60)
    whole = [copy.digest for copy in augmented(some, Augmenting(names)).copies]
    parts = [augmented(part, Augmenting(names)).copies for part in (some[40:], some[:40])]
    assert sorted(whole) == sorted(copy.digest for part in parts for copy in part)


@pytest.mark.parametrize("copies", [1, 3])
def test_how_many(copies):
    some = samples(90)
    found = augmented(some, Augmenting(ALL, copies))
    assert found.counts.total() == len(found.copies)
    assert len(found.copies) <= copies * len(some)
    assert len({copy.digest for copy in found.copies} | {one.digest for one in some}) == len(found.copies) + 90
    assert Counter(copy.group for copy in found.copies)["dict"] == copies * 30  # each has an order of keys to change
    assert all(copy.digest == digest_of(copy.kind, copy.canonical) for copy in found.copies)
    assert found.to_dict()["copies"] == by_name(found.counts)
    assert found.to_dict()["bytes"] == sum(len(copy.canonical) for copy in found.copies)


def test_augmentations_take_turns():
    """Of three copies by two augmentations none makes all, where both apply."""
    some = [sample for sample in samples(60) if sample.group == "dict"]
    found = augmented(some, Augmenting((Augmentation.KEY_ORDER, Augmentation.VALUES), 2))
    assert found.counts[Augmentation.KEY_ORDER] == found.counts[Augmentation.VALUES] == len(some)


def test_each_is_canonical_and_of_its_kind():
    some = samples(120)
    kinds = {one.group: one.kind for one in some}
    for copy in augmented(some, Augmenting(ALL, 2)).copies:
        assert to_canonical(from_canonical(copy.kind, copy.canonical)) == (copy.kind, copy.canonical)
        assert copy.kind is kinds[copy.group]


def test_none_is_equal_to_what_is_watched_by():
    some = samples(60)
    how = Augmenting((Augmentation.TURNS,), 3)
    made = augmented(some, how).copies
    watched = [Sample(one.kind, one.canonical, b"another") for one in made[::2]]
    assert [one.digest for one in augmented(some, how, watched).copies] == [one.digest for one in made[1::2]]


def deep(levels):
    """An object with two keys, so many levels deep."""
    return b'{"a":' + b"[" * (levels - 1) + b"]" * (levels - 1) + b',"b":2}'


def test_deep_records():
    sample = Sample(Kind.JSON, deep(MAX_DEPTH), b"")
    assert len(augmented([sample], Augmenting((Augmentation.KEY_ORDER,), 9)).copies) == 1


def test_what_is_never_touched():
    """Bytes and arrays, deep JSON, and JSON that is none since its spans were cut out."""
    for kind, data in (
        (Kind.BYTES, b'{"a":1,"b":2}'),
        (Kind.ARRAY, b'{"a":1,"b":2}'),
        (Kind.JSON, deep(MAX_DEPTH + 1)),
        (Kind.JSON, b'{"a":"\xff\xfe","b":2}'),
        (Kind.JSON, b'{"a":[,],"b":2}'),
    ):
        sample = Sample(kind, data, digest_of(kind, data))
        assert record_of(sample) is None
        assert augmented([sample], Augmenting(ALL)).copies == []


def test_numbers_and_lone_surrogates_stay():
    record = sample_of({"a": "\ud800", "b": 10**30, "c": -0.0, "d": 1.5})
    (copy,) = augmented([record], Augmenting((Augmentation.KEY_ORDER,))).copies
    value = from_canonical(copy.kind, copy.canonical)
    assert (value["a"], value["b"], str(value["c"]), value["d"]) == ("\ud800", 10**30, "-0.0", 1.5)


def test_told():
    assert copies_told({"values": 1200, "roles": 0}) == "1,200 altered copies (1,200 values, 0 roles)"
    assert copies_told({"turns": 1}) == "1 altered copy (1 turns)"
    assert copies_told({}) == "0 altered copies"
