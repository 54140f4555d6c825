"""Batches of a stream, the order of its sequences, and who takes which."""

import hybrids
import numpy as np
import pytest
import torch

from nbmf.neural.hashing import bigram_rows, trigram_rows
from train_app.network.batches import StreamBatches
from train_app.network.feed import Feed, Place
from train_app.network.measure import MOST_CLASSES, OTHERS, bits
from train_app.network.order import Order, by_class, portions
from train_app.samples.tokens import TokenStream

LENGTH = 32


@pytest.fixture(scope="module")
def stream():
    return hybrids.sample_stream()


@pytest.fixture(scope="module")
def classes(stream):
    """The same records, most of them of one class."""
    sets = np.array(["rare" if number % 10 == 0 else "often" for number in range(len(stream.sets))])
    return TokenStream(stream.tokens_N, stream.starts, stream.n_bytes, sets)


@pytest.mark.parametrize("hashed", [False, True])
def test_batches_hold_what_the_stream_does(stream, hashed):
    """Rows of the n-gram memory as nbmf.neural has them, at the stream's both ends too; ids above 32,767 as well."""
    config = hybrids.CONFIG.with_(vocab_size=60_000, n_clusters=0, cluster_size=0)
    n = len(stream.tokens_N)
    ids = stream.tokens_N.astype(np.int64) * 100
    high = TokenStream(ids.astype(np.uint16), stream.starts, stream.n_bytes, stream.sets)
    hash_ids = np.random.default_rng(0).permutation(config.n_input_ids).astype(np.int32) if hashed else None
    batch = StreamBatches(high, config, hash_ids).at(torch.tensor([0, n - n // 2]), n // 2)
    got = {name: getattr(batch, name) for name in ("tokens_BT", "bigrams_BT", "trigrams_BT", "targets_BT")}
    hash_of = np.arange(config.n_input_ids) if hash_ids is None else hash_ids
    for row, begin in enumerate((0, n - n // 2)):
        for at in range(n // 2):
            place = begin + at
            record = np.searchsorted(stream.starts, place, side="right") - 1
            before = [
                hash_of[ids[p] if p >= stream.starts[record] else config.padding_id] for p in (place - 1, place - 2)
            ]
            current, previous, second = (np.array([x]) for x in (hash_of[ids[place]], *before))
            is_last = place + 1 == stream.starts[record + 1]
            wanted = {
                "tokens_BT": ids[place],
                "bigrams_BT": bigram_rows(previous, current, config.bigram_bits)[0],
                "trigrams_BT": trigram_rows(second, previous, current, config.trigram_bits)[0],
                "targets_BT": -1 if is_last else ids[place + 1],
            }
            assert {name: int(tensor[row, at]) for name, tensor in got.items()} == wanted


def test_an_epoch_has_every_sequence_once(stream):
    order = Order(stream, [*by_class(stream, 1.0)[1]], LENGTH, seed=3)
    (begins, counted), (again, _) = order.epoch(0), order.epoch(1)
    assert (
        len(set(begins.tolist())) == len(begins) in (len(stream.tokens_N) // LENGTH, len(stream.tokens_N) // LENGTH - 1)
    )
    assert len({begin % LENGTH for begin in begins.tolist()}) == 1
    assert begins.tolist() != again.tolist()
    assert begins.tolist() == Order(stream, by_class(stream, 1.0)[1], LENGTH, seed=3).epoch(0)[0].tolist()
    batch = StreamBatches(stream, hybrids.CONFIG).at(begins, LENGTH)
    assert (batch.targets_BT >= 0).sum(dim=1).tolist() == counted.tolist()


def test_records_without_targets_are_left_out():
    """Records of one token, a type alone, before one that is long; and where all are such."""
    tokens, n_bytes, sets = np.arange(40, dtype=np.uint16), np.ones(17, np.int64), np.array(["a"] * 17)
    stream = TokenStream(tokens, np.array([*range(17), 40]), n_bytes, sets)
    _, counted = Order(stream, by_class(stream, 1.0)[1], 4, seed=0).epoch(0)
    assert 0 < len(counted) <= 7
    assert counted.min() > 0
    empty = TokenStream(tokens, np.arange(41), np.ones(40, np.int64), np.array(["a"] * 40))
    with pytest.raises(ValueError, match="no record has a token to predict"):
        Order(empty, by_class(empty, 1.0)[1], 4, seed=0).epoch(0)


@pytest.mark.parametrize(("temperature", "share"), [(1.0, None), (0.5, 0.25), (0.0, 0.5)])
def test_classes_are_drawn_by_their_temperature(classes, temperature, share):
    ordered, found = by_class(classes, temperature)
    if share is None:
        assert ordered is classes
        return
    tokens = {name: int(np.diff(classes.starts)[classes.sets == name].sum()) for name in ("often", "rare")}
    weights = {name: (size / sum(tokens.values())) ** temperature for name, size in tokens.items()}
    expected = weights["rare"] / sum(weights.values())
    assert expected == pytest.approx(share, abs=0.06)
    begins, _ = Order(ordered, found, LENGTH, seed=1).epoch(0)
    rare = (begins >= found[1].begin).float().mean().item()
    assert rare == pytest.approx(expected, abs=1.5 / len(begins))
    assert len(begins) == len(classes.tokens_N) // LENGTH
    of_often = [begin for begin in begins.tolist() if begin < found[0].end]
    assert len(set(of_often)) == len(of_often)  # none again, as there are enough
    # Records are whole, and side by side.
    where = [np.flatnonzero(ordered.sets == name) for name in ("often", "rare")]
    assert [len(w) for w in where] == [np.ptp(w) + 1 for w in where]
    before = {tuple(classes.tokens_N[a:b]) for a, b in zip(classes.starts[:-1], classes.starts[1:], strict=True)}
    after = {tuple(ordered.tokens_N[a:b]) for a, b in zip(ordered.starts[:-1], ordered.starts[1:], strict=True)}
    assert before == after


def test_a_class_of_fewer_tokens_than_a_sequence_is_drawn_too(classes):
    sets = np.array(["tiny", *["often"] * (len(classes.sets) - 1)])
    short = classes.starts.copy()
    ordered, found = by_class(TokenStream(classes.tokens_N, short, classes.n_bytes, sets), 0.0)
    length = 2 * int(short[1])
    begins, _ = Order(ordered, found, length, seed=1).epoch(0)
    tiny = next(one for one in found if one.end - one.begin == short[1])
    assert any(begin + length > tiny.begin and begin < tiny.end for begin in begins.tolist())
    assert int(begins.max()) + length <= len(classes.tokens_N)


@pytest.mark.parametrize(("world", "batch_size"), [(1, 8), (2, 2), (3, 3), (4, 1), (9, 4)])
def test_portions_of_a_step_are_all_of_it(world, batch_size):
    begins, counted = torch.arange(7) * 10, np.array([3, 1, 4, 1, 5, 9, 2])
    parts = [portions(begins, counted, rank, world, batch_size) for rank in range(world)]
    taken = [begin for own in parts for part in own if part.weight for begin in part.begins_B.tolist()]
    assert sorted(taken) == begins.tolist()
    assert sum(part.weight for own in parts for part in own) == pytest.approx(1)
    assert all(own and all(len(part.begins_B) <= batch_size for part in own) for own in parts)
    assert sum(part.counted for own in parts for part in own) == counted.sum()


def feed(stream, ranks=(0, 1), place=None, sizes=(LENGTH, 6, 2), ahead=False):
    order = Order(stream, by_class(stream, 1.0)[1], LENGTH, seed=1)
    batches = StreamBatches(stream, hybrids.CONFIG)
    return Feed(batches, order, torch.device("cpu"), sizes, ranks, place or Place(), ahead)


def test_what_is_made_ahead_is_the_same(stream):
    now, ahead = feed(stream), feed(stream, ahead=True)
    for one, other, _ in zip(now.parts(), ahead.parts(), range(200), strict=False):
        assert torch.equal(one.batch.trigrams_BT, other.batch.trigrams_BT)
        assert (one.last, one.after, one.portion.weight) == (other.last, other.after, other.portion.weight)
    ahead.close()
    assert one.after.epoch > 0


def test_what_fails_ahead_is_raised_where_it_is_taken(stream):
    empty = TokenStream(stream.tokens_N, np.arange(len(stream.tokens_N) + 1), np.ones(1), np.array(["a"]))
    failing = feed(stream, ahead=True)
    failing._order = Order(empty, by_class(stream, 1.0)[1], LENGTH, seed=1)
    with pytest.raises(ValueError, match="no record has a token"):
        next(failing.parts())


def test_a_run_goes_on_in_the_epoch(stream):
    """With steps of another size too: no sequence twice, none left out but what no longer fills a step."""
    begins = Order(stream, by_class(stream, 1.0)[1], LENGTH, seed=1).epoch(0)[0].tolist()
    seen = []
    for part in feed(stream, place=Place(0, 6), sizes=(LENGTH, 4, 4)).parts():
        if part.after.epoch:
            break
        seen += part.portion.begins_B.tolist()
    assert seen == begins[6 : 6 + len(seen)]
    assert len(begins) - 6 - len(seen) < 4


def test_bits_by_class_add_up(classes):
    model = hybrids.hybrid()
    found = bits(model, classes)
    rows = [np.flatnonzero(classes.sets == name) for name in ("often", "rare")]
    sizes = [classes.n_bytes[own].sum() for own in rows]
    assert [*found.by_class] == ["often", "rare"]
    mean = np.average([found.by_class["often"], found.by_class["rare"]], weights=sizes)
    assert mean == pytest.approx(found.per_byte, rel=0.05)  # the last sequence is not full
    assert bits(model, hybrids.sample_stream()).per_byte == found.per_byte


def test_of_many_classes_the_largest_are_named(stream):
    sets = np.array([f"class {number % 30}" for number in range(len(stream.sets))])
    many = TokenStream(stream.tokens_N, stream.starts, stream.n_bytes, sets)
    found = bits(hybrids.hybrid(), many).by_class
    assert MOST_CLASSES - 1 <= len(found) <= MOST_CLASSES  # of one, all may be in what does not fill a sequence
    assert OTHERS in found
