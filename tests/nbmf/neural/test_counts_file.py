"""The file of the counts: exact round trips, and nothing else that is taken for one."""

import struct
from itertools import pairwise

import numpy as np
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load, save

from nbmf._core import CONTEXTS, EXTRA_TOKENS
from nbmf.neural.constants import default_constants
from nbmf.neural.core import make_adaptation
from nbmf.neural.counts import Counts
from nbmf.neural.counts_file import load_counts, read_counts, save_counts


@pytest.fixture(scope="module")
def content(counts) -> bytes:
    return save_counts(counts)


@pytest.fixture(scope="module")
def small() -> bytes:
    """Decompressed file of a trie by hand, small enough that most of its bytes matter."""
    single = 4 + EXTRA_TOKENS
    followers = np.array([2] + [0] * (single - 1) + [1, 0] + [1, 1, 1])
    tokens = np.array([*range(single), 1, 3, 2, 2, 2, 2])
    counts = Counts(
        token_N=tokens.astype(np.uint16),
        code_N=np.zeros(len(tokens), dtype=np.uint8),
        count_of_code=np.array([2.0, 5.0]),
        followers_C=followers.astype(np.uint16),
        vocab_size=4,
        discount_O=np.full(CONTEXTS, 0.5),
        spread_O=np.full(CONTEXTS, 2.0),
        spread_floor_O=np.full(CONTEXTS, 0.5),
    )
    return zstandard.ZstdDecompressor().decompress(save_counts(counts))


@pytest.fixture(scope="module")
def arrays(small) -> dict[str, np.ndarray]:
    return load(small)


def compress(data: bytes) -> bytes:
    return zstandard.ZstdCompressor(level=1).compress(data)


def check_safe(data: bytes) -> None:
    """All that the core's look-up takes for granted: it checks no bounds."""
    counts = read_counts(data)
    first, n, vocab_size = counts.first(), len(counts.token_N), counts.vocab_size
    single = int(first[0])
    assert single == vocab_size + EXTRA_TOKENS
    assert first[-1] == n == len(counts.code_N)
    assert (counts.token_N[single:] < vocab_size).all()
    for begin, end in pairwise(first.tolist()):
        assert (np.diff(counts.token_N[begin:end].astype(int)) > 0).all()
    assert counts.code_N.max(initial=0) < len(counts.count_of_code)
    ends = single
    for _ in range(CONTEXTS - 1):
        assert ends < len(first), "contexts whose followers nobody counts"
        ends = int(first[ends])
    assert ends < len(first), "contexts whose followers nobody counts"
    for name in ("count_of_code", "discount_O", "spread_O", "spread_floor_O"):
        assert np.isfinite(getattr(counts, name)).all(), name
    model, inputs = (
        make_adaptation(default_constants(), counts.vocabulary, load_counts(data)),
        np.arange(single, dtype=np.int32),
    )
    frequencies = np.zeros((single, vocab_size), dtype=np.int32)
    sure, contexts = np.zeros(single), np.zeros((single, CONTEXTS), dtype=np.int64)
    model.predictions(inputs, None, frequencies, sure, contexts)
    assert frequencies.min() >= 1
    np.testing.assert_array_equal(sure, frequencies.max(axis=1) / frequencies.sum(axis=1, dtype=np.int64))


def check_refused_or_safe(data: bytes) -> bool:
    """Whether it was taken for a file of counts."""
    try:
        load_counts(data)
    except ValueError:
        return False
    check_safe(data)
    return True


def test_every_array_comes_back(counts, content):
    loaded = read_counts(content)
    for name, before in counts._asdict().items():
        np.testing.assert_array_equal(getattr(loaded, name), before, err_msg=name, strict=name != "vocab_size")
    assert save_counts(loaded) == content
    check_safe(content)


def test_a_trie_by_hand_comes_back(small):
    check_safe(compress(small))
    assert zstandard.ZstdDecompressor().decompress(save_counts(read_counts(compress(small)))) == small


def test_cut_files_are_refused(content):
    for end in [*range(0, 40), *range(40, len(content), 997), len(content) - 1]:
        with pytest.raises(ValueError, match="no counts"):
            load_counts(content[:end])


@settings(max_examples=100)
@given(st.binary(max_size=200))
def test_bytes_are_no_counts(data):
    with pytest.raises(ValueError, match="no counts"):
        load_counts(data)
    with pytest.raises(ValueError, match="no counts"):
        load_counts(compress(data))


@settings(max_examples=150)
@given(data=st.data())
def test_damaged_files_are_refused_or_counts_all_the_same(content, data):
    damaged = bytearray(content)
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    check_refused_or_safe(bytes(damaged))


@settings(max_examples=400)
@given(data=st.data())
def test_damage_below_the_compression_is_refused_or_counts_all_the_same(small, data):
    damaged = bytearray(small)
    begin = data.draw(st.sampled_from([8, 8 + int.from_bytes(small[:8], "little")]))  # header or numbers
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(begin, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    check_refused_or_safe(compress(bytes(damaged)))


def test_every_byte_of_the_numbers_is_checked(small):
    header = 8 + int.from_bytes(small[:8], "little")
    for at in range(header, len(small)):
        for value in (0x00, 0x7F, 0x80, 0xFF):
            damaged = bytearray(small)
            damaged[at] = value
            check_refused_or_safe(compress(bytes(damaged)))


def test_a_declared_size_costs_nothing(content):
    """A frame's header may say what it likes."""
    blocks = content[zstandard.frame_header_size(content) :]
    for size in (0, 1, 1 << 31, 1 << 40, 1 << 62, (1 << 64) - 3):
        with pytest.raises(ValueError, match="no counts"):
            load_counts(b"\x28\xb5\x2f\xfd\xe0" + struct.pack("<Q", size) + blocks)


@pytest.mark.parametrize(
    "name", ["step_low_N", "step_high_N", "followers_C", "code_N", "count_of_code", "vocab_size", "discount_O"]
)
def test_every_array_is_needed_with_its_type_and_shape(arrays, name):
    for wrong in (None, arrays[name][:-1], arrays[name][:, None], arrays[name][None], arrays[name][0]):
        altered = {key: value for key, value in arrays.items() if key != name}
        if wrong is not None:
            altered[name] = np.ascontiguousarray(wrong)
        check_refused_or_safe(compress(save(altered)))
    for dtype in (np.int8, np.int64, np.uint64, np.float32, np.float64, np.bool_):
        check_refused_or_safe(compress(save(arrays | {name: arrays[name].astype(dtype)})))


REAL = [np.nan, np.inf, -np.inf, 1e300, -1e300, 1e19, -5.0, -1.0, 0.0, 1e9]
WHOLE = [-1, -(2**15), 2**31, 2**40, 2**62, -(2**62)]


@pytest.mark.parametrize("value", REAL)
@pytest.mark.parametrize("name", ["count_of_code", "discount_O", "spread_O", "spread_floor_O"])
def test_values_that_give_no_frequencies_are_refused(arrays, name, value):
    everywhere, once = np.full_like(arrays[name], value), arrays[name].copy()
    once[0] = value
    for altered in (everywhere, once):
        check_refused_or_safe(compress(save(arrays | {name: altered})))


@pytest.mark.parametrize("value", WHOLE)
@pytest.mark.parametrize("name", ["step_low_N", "step_high_N", "followers_C", "code_N", "vocab_size"])
def test_whole_numbers_out_of_range_are_refused(arrays, name, value):
    """In a file whose arrays are wider than ours."""
    everywhere = np.full(len(arrays[name]), value, dtype=np.int64)
    once, last = arrays[name].astype(np.int64), arrays[name].astype(np.int64)
    once[0] = last[-1] = value
    for altered in (everywhere, once, last):
        check_refused_or_safe(compress(save(arrays | {name: altered})))


def test_vocab_size_is_a_whole_number(arrays):
    for value in (np.nan, np.inf, 0.5, -3.0):
        check_refused_or_safe(compress(save(arrays | {"vocab_size": np.array([value])})))


def test_contexts_without_followers_of_their_own_are_refused(arrays):
    """Followers said for fewer sequences than may be contexts: a look-up would read beyond them."""
    followers, no_steps = arrays["followers_C"], np.zeros_like(arrays["step_low_N"])
    for length in range(1, len(followers)):
        cut = followers[:length].copy()
        cut[0] += followers[length:].sum()
        with pytest.raises(ValueError, match="no counts"):
            load_counts(compress(save(arrays | {"followers_C": cut, "step_low_N": no_steps})))


def test_tokens_below_zero_are_refused(arrays):
    """Steps of signed bytes: as unsigned tokens they would be beyond the vocabulary."""
    n, single = len(arrays["code_N"]), int(arrays["vocab_size"][0]) + EXTRA_TOKENS
    low = np.where(np.arange(n) < single, 0, -1).astype(np.int8)
    with pytest.raises(ValueError, match="no counts"):
        load_counts(compress(save(arrays | {"step_low_N": low, "step_high_N": np.full(n, -1, dtype=np.int8)})))


def test_tokens_beyond_the_vocabulary_are_refused(arrays):
    steps = arrays["step_high_N"].copy()
    steps[-1] = 2
    with pytest.raises(ValueError, match="beyond the vocabulary"):
        load_counts(compress(save(arrays | {"step_high_N": steps})))


def test_what_follows_a_context_is_bounded(arrays):
    """Of a longer one than a token, too: the counts of its three followers fit 32 bits."""
    single = 4 + EXTRA_TOKENS
    steps = np.array([0] + [1] * (single - 1) + [1, 1, 1, 1, 2, 2, 2], dtype=np.uint8)
    followers = np.array([1] + [0] * (single - 1) + [3] + [1, 0, 0] + [1, 1], dtype=np.uint16)
    zeros = np.zeros(len(steps), dtype=np.uint8)
    trie = arrays | {"step_low_N": steps, "step_high_N": zeros, "code_N": zeros, "followers_C": followers}
    assert load_counts(compress(save(trie | {"count_of_code": np.array([7e8])}))).vocab_size == 4
    with pytest.raises(ValueError, match="out of range"):
        load_counts(compress(save(trie | {"count_of_code": np.array([8e8])})))
