"""Batches of records by the compiled core, side by side and on several threads; what another engine has to offer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from threading import Lock
from typing import NamedTuple, Protocol, TypeVar

from nbmf import _core
from nbmf.engine import engine

_QUICKEST = {"avx2": 6}
"""Records side by side by which a processor decodes most, where it is not as many as the core takes: on one with AVX2
and 512 KiB of second cache, what is remembered of 16 falls out of it."""

_GROUP_SPREAD = 16  # a group's longest record over its shortest: work space is made for the longest
_SLOT_TOKENS = 1 << 19  # of all slots together: bounds the memory of a group of long records
_MOST_JOINED_BYTES = _SLOT_TOKENS // _core.AT_ONCE

_one_at_a_time = Lock()
"""What is too large to be joined: work space is made for it."""

R = TypeVar("R")


class Tokens(NamedTuple):
    """A record to encode: its tokens (int32), the id of its type, how its stream tells where it ends, and, for counts,
    tokens that they learn from first."""

    tokens_T: memoryview
    type_id: int
    sizing: int
    before_T: memoryview | None = None


class CoreStream(NamedTuple):
    """A stream to decode, as the core takes it: see nbmf.neural.codec.Stream for `n_bytes`."""

    data: bytes
    n_bytes: int
    type_id: int
    sizing: int
    before_T: memoryview | None = None


class Batches(Protocol):
    """An engine. All give the same streams, and read them."""

    def encode(self, records: Sequence[Tokens]) -> list[bytes]:
        """The streams of records."""

    def decode(self, streams: Sequence[CoreStream]) -> list[bytes | None]:
        """The records; None for a stream that can't be one of its length."""


def most_side_by_side() -> int:
    """How many records a thread takes further together while decoding."""
    return _QUICKEST.get(_core.cpu(), _core.AT_ONCE)


class CoreBatches:
    """The compiled core, on as many threads as `nbmf.engine` says."""

    def __init__(self, model: _core.Model) -> None:
        self._model = model

    def encode(self, records: Sequence[Tokens]) -> list[bytes]:
        return _in_groups(
            lambda group: [self._model.encode(*records[index]) for index in group],
            [len(record.tokens_T) for record in records],
        )

    def decode(self, streams: Sequence[CoreStream], *, as_tokens: bool = False) -> list[bytes | None]:
        """`as_tokens`: int32 in place of the bytes that they spell."""
        rooms = [_room(stream) for stream in streams]
        setting = engine()
        if setting.joins and max(rooms, default=0) <= _MOST_JOINED_BYTES:
            return self._model.decode_together([*streams], most_side_by_side(), setting.threads, as_tokens)
        with _one_at_a_time if setting.joins else nullcontext():
            return _in_groups(lambda group: self._decode_group([streams[index] for index in group], as_tokens), rooms)

    def _decode_group(self, streams: Sequence[CoreStream], as_tokens: bool) -> list[bytes | None]:
        """On this thread; as many at once as memory allows."""
        longest = max(_room(stream) for stream in streams)
        side_by_side = min(most_side_by_side(), max(1, _SLOT_TOKENS // max(longest, 1)))
        return self._model.decode([*streams], side_by_side, as_tokens)


def _room(stream: CoreStream) -> int:
    """The most tokens that there is work space for."""
    return stream.n_bytes + len(stream.before_T or b"")


def _in_groups(work: Callable[[list[int]], list[R]], sizes: list[int]) -> list[R]:
    """What `work` gives for groups of indices of records of like size, shared among the engine's threads; in order."""
    if not sizes:
        return []
    groups: list[list[int]] = []
    for index in sorted(range(len(sizes)), key=lambda index: -sizes[index]):
        if not groups or sizes[index] * _GROUP_SPREAD < sizes[groups[-1][0]]:
            groups.append([])
        groups[-1].append(index)
    threads = engine().threads
    hands = [group[hand::threads] for group in groups for hand in range(threads) if group[hand::threads]]
    if threads == 1 or len(hands) == 1:
        done = [work(hand) for hand in hands]
    else:
        from concurrent.futures import ThreadPoolExecutor  # with logging, which a process of one record does not need

        with ThreadPoolExecutor(threads) as pool:
            done = [*pool.map(work, hands)]
    results: dict[int, R] = {}
    for hand, parts in zip(hands, done, strict=True):
        results.update(zip(hand, parts, strict=True))
    return [results[index] for index in range(len(sizes))]
