"""Near-duplicates: the estimate, and which are found."""

import random
from functools import cache
from itertools import combinations

import pytest
import synthetic

from nbmf.payload import to_canonical
from train_app.data.near import THRESHOLD, Near, share_of, sketch


def added(near, data):
    """What is near to a record, which is then added."""
    own = sketch(data)
    found = near.find(own)
    near.add(own)
    return found


@cache
def pieces(data):
    return frozenset(data[at : at + 8] for at in range(max(1, len(data) - 7)))


def share(one, other):
    """The definition: pieces of eight bytes in common, of all that either has."""
    in_common = len(pieces(one) & pieces(other))
    return in_common / (len(pieces(one)) + len(pieces(other)) - in_common)


@pytest.fixture(scope="module")
def records():
    """Texts, and each of them again with some words left out."""
    rng = random.Random(5)
    found = []
    for _ in range(60):
        words = [word for _ in range(6) for word in synthetic.sentence(rng).split()]
        for left_out in range(5):
            for at in rng.sample(range(len(words)), left_out):
                words[at] = words[at][::-1] + "x"
            found.append(" ".join(words).encode())
    return found


def test_the_estimate_is_near_the_share(records):
    sketches = [sketch(record) for record in records]
    pairs = combinations(range(0, 300, 3), 2)
    errors = [share_of(sketches[a], sketches[b]) - share(records[a], records[b]) for a, b in pairs]
    assert abs(sum(errors) / len(errors)) < 0.04  # what all have in common is hashed once
    assert (sum(error**2 for error in errors) / len(errors)) ** 0.5 < 0.06


def test_near_ones_are_found_and_no_others(records):
    near, found = Near(), set()
    for number, record in enumerate(records):
        found |= {(earlier, number) for earlier in added(near, record)}
    shares = {pair: share(records[pair[0]], records[pair[1]]) for pair in combinations(range(300), 2)}
    assert min(shares[pair] for pair in found) > THRESHOLD - 0.12  # the estimate's error
    sure = {number for (_, number), value in shares.items() if value > THRESHOLD + 0.08}
    assert len(sure) > 100
    assert sure <= {number for _, number in found}


def test_the_nearest_comes_first():
    near = Near()
    text = " ".join(synthetic.sentence(random.Random(n)) for n in range(8)).encode()
    assert added(near, text[:-40]) == []
    assert added(near, b"Something else altogether, of another kind.") == []
    assert added(near, text[:-3]) == [0]
    assert added(near, text) == [2, 0]


def test_records_of_a_few_bytes():
    near = Near()
    assert [added(near, data) for data in (b"a", b"b", b"12345678", b"12345679", b"a", b"")] == [
        [],
        [],
        [],
        [],
        [0],
        [],
    ]
    assert len(sketch(b"")) == len(sketch(b"x" * 1000)) == 96


def test_records_of_other_content_are_not_near():
    """Of one kind, by one writer, in the same words."""
    near = Near()
    assert [added(near, to_canonical(r).data) for r in synthetic.records(90, seed=3) if type(r) is str] == [[]] * 30
