"""The range coder: exact round trips, and no more bits than the ideal or than constriction."""

import numpy as np
import pytest

from nbmf import _core


def encode(intervals: list[tuple[int, int, int]]) -> bytes:
    return _core.range_encode(np.array(intervals, dtype=np.int64).reshape(-1, 3))


def check_round_trip(intervals: list[tuple[int, int, int]]) -> bytes:
    stream, array = encode(intervals), np.array(intervals, dtype=np.int64)
    targets = np.zeros(len(intervals), dtype=np.int64)
    _core.range_decode(stream, array, targets)
    before, frequency, _ = array.T
    assert (before <= targets).all()
    assert (targets < before + frequency).all()
    return stream


def random_intervals(seed: int, count: int, top: int) -> list[tuple[int, int, int]]:
    generator = np.random.default_rng(seed)
    intervals = []
    for _ in range(count):
        frequencies = 1 + np.floor(generator.random(50) ** 9 * top / 60).astype(np.int64)
        symbol = generator.choice(50, p=frequencies / frequencies.sum())
        before = int(frequencies[:symbol].sum())
        intervals.append((before, int(frequencies[symbol]), int(frequencies.sum())))
    return intervals


@pytest.mark.parametrize("top", [100, 1 << 16, 1 << 28, (1 << 32) - 1])
def test_round_trip_and_size(top: int) -> None:
    for seed in range(20):
        intervals = random_intervals(seed, 400, top)
        stream = check_round_trip(intervals)
        ideal = sum(np.log2(total / frequency) for _, frequency, total in intervals)
        assert 8 * len(stream) < ideal * 1.001 + 9


def test_short_and_certain_streams() -> None:
    assert encode([]) == b""
    assert len(check_round_trip([(0, 1000, 1000)] * 500)) <= 1
    check_round_trip([(999, 1, 1000)] * 100)
    check_round_trip([(0, 1, (1 << 32) - 1)] * 100)
    check_round_trip([((1 << 32) - 2, 1, (1 << 32) - 1)] * 100)


def test_carry_through_many_bytes() -> None:
    for tail in range(1, 30):
        check_round_trip([(0, 1 << 31, (1 << 31) + 1)] + [(255, 1, 256)] * tail + [(1, 1, 3)] * 9)


def test_any_bytes_decode_to_something() -> None:
    generator = np.random.default_rng(5)
    for _ in range(50):
        stream = generator.integers(0, 256, 40).astype(np.uint8).tobytes()
        intervals: list[tuple[int, int, int]] = []
        for _ in range(100):
            targets = np.zeros(len(intervals) + 1, dtype=np.int64)
            _core.range_decode(stream, np.array([*intervals, (0, 1, 1000)], dtype=np.int64), targets)
            assert 0 <= targets[-1] < 1000
            intervals.append((int(targets[-1]), 1, 1000))


def test_intervals_that_are_none_are_refused() -> None:
    for wrong in ((0, 0, 10), (5, 6, 10), (-1, 1, 10), (0, 1, 0), (0, 1, 1 << 33)):
        with pytest.raises(ValueError, match="no interval"):
            encode([wrong])


def test_within_a_tenth_of_a_percent_of_constriction() -> None:
    constriction = pytest.importorskip("constriction")
    generator = np.random.default_rng(7)
    probabilities = generator.dirichlet(np.full(256, 0.1), 3000) + 1e-6
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    symbols = np.array([generator.choice(256, p=row) for row in probabilities], dtype=np.int32)
    oracle = constriction.stream.queue.RangeEncoder()
    family = constriction.stream.model.Categorical(perfect=False)
    oracle.encode(symbols, family, probabilities.astype(np.float32))
    intervals = []
    for row, symbol in zip(probabilities, symbols, strict=True):
        frequencies = 1 + np.floor(row * (1 << 24)).astype(np.int64)
        before, total = int(frequencies[:symbol].sum()), int(frequencies.sum())
        intervals.append((before, int(frequencies[symbol]), total))
    assert len(check_round_trip(intervals)) <= 1.001 * 4 * len(oracle.get_compressed())
