"""Records that one coder alone has no time for: what repeats is cut out of large ones, and what is left is coded in
windows, each by the network, counts or zstd.

Windows are long, as they begin with nothing learnt from the one before. Only counts can go on: they learn from its
tokens first, as behind the beginning of a record, which the network codes within the latency budget. Where the counts
need all the time, they code as much as they have it for, and zstd the rest.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, ClassVar, TypeVar

from nbmf.coders.base import OneByOne
from nbmf.coders.neural import CountsCoder, NeuralCoder, worth_learning
from nbmf.coders.windows import layout, repeats
from nbmf.coders.windows.layout import GOES_ON, Window
from nbmf.coders.zstd import ZstdCoder
from nbmf.errors import CorruptBlob
from nbmf.neural.record_types import TYPE_OF_KIND
from nbmf.payload import Canonical, Kind

if TYPE_CHECKING:
    from nbmf.neural.codec import NeuralCodec, Stream

_ZSTD, _NETWORK, _COUNTS = ZstdCoder.number, NeuralCoder.number, CountsCoder.number
T = TypeVar("T")

_LEAST_TOKENS = 64
"""Of a window by the network in front of others."""

_BUDGETED_REPEAT_BYTES = 64
_REPEAT_BYTES = _BUDGETED_REPEAT_BYTES, 128, 512  # tried without a budget: windows code short repeats well themselves
_LEAST_US_A_TOKEN = 0.01  # a version may say that it takes no time


class WindowsCoder(OneByOne):
    """By the parts that a version has; none takes a limit on the whole record from it."""

    number: ClassVar[int] = 9
    name: ClassVar[str] = "windows"
    repeats_from_bytes: ClassVar[int] = 8 * 1024
    """Records that are shorter are not searched for repeats."""

    def __init__(self, network: NeuralCoder | None, counts: CountsCoder | None) -> None:
        self._parts = {c.number: c for c in (network, counts) if c is not None}
        self._writes = dict(self._parts)
        self._zstd = ZstdCoder()
        self._one_vocabulary = len({part.vocabulary for part in self._parts.values()}) == 1

    def without_network(self) -> WindowsCoder:
        """One that writes no window by the network."""
        coder = copy(self)
        coder._writes = {number: part for number, part in self._parts.items() if number != _NETWORK}
        return coder

    def encode(self, kind: Kind, canonical: bytes) -> bytes | None:
        return self.encode_batch([Canonical(kind, canonical)])[0]

    def encode_batch(self, records: Sequence[Canonical], latency_budget_ms: float | None = None) -> list[bytes | None]:
        return [self._encode(kind, canonical, latency_budget_ms) for kind, canonical in records]

    def _encode(self, kind: Kind, canonical: bytes, budget_ms: float | None) -> bytes | None:
        taken = 0 < len(canonical) <= repeats.MAX_PAYLOAD_BYTES
        if not (self._writes and taken and worth_learning(kind, canonical)):
            return None
        from nbmf.neural.codec import TokensDiffer

        try:
            if budget_ms is not None and not math.isinf(budget_ms):
                return self._budgeted(kind, canonical, budget_ms)
            return self._smallest(kind, canonical) if len(canonical) >= self.repeats_from_bytes else None
        except TokensDiffer:
            return None

    def _budgeted(self, kind: Kind, canonical: bytes, budget_ms: float) -> bytes | None:
        taken_whole = any(part.takes(kind, len(canonical)) for part in self._writes.values())
        found: list[repeats.Repeat] = []
        if len(canonical) >= self.repeats_from_bytes:
            found = repeats.find(canonical, _BUDGETED_REPEAT_BYTES)
        rest = repeats.kept(canonical, found)
        if taken_whole and 4 * len(rest) > 3 * len(canonical):
            found, rest = [], canonical
        by_network = self._bytes_by_network(rest, budget_ms)
        if not found and not by_network and (taken_whole or len(canonical) < self.repeats_from_bytes):
            return None  # the whole record is as good
        tried = [self._within(kind, rest, budget_ms, by_network)]
        if 0 < by_network < len(rest) and (found or not taken_whole):  # else counts have the record by themselves
            tried.append(self._within(kind, rest, budget_ms, 0))
        bodies = [layout.write_layout(found, len(rest), self._or_by_zstd(kind, rest, windows)) for windows in tried]
        return min(bodies, key=len)

    def _smallest(self, kind: Kind, canonical: bytes) -> bytes:
        """With more repeats or fewer cut out, as is best for the quickest part; then by all parts."""
        tried = [repeats.find(canonical, least) for least in _REPEAT_BYTES]
        if len(canonical) <= layout.WINDOW_BYTES:
            tried.append([])
        quickest = min(self._writes, key=lambda method: method != _COUNTS)
        bodies = []
        for found in tried:
            rest = repeats.kept(canonical, found)
            windows = self._by(quickest, kind, self._pieces(rest, quickest))
            bodies.append((len(layout.write_layout(found, len(rest), windows)), found, rest, windows))
        _, found, rest, windows = min(bodies, key=lambda body: body[0])
        choices = [windows]
        choices += [self._by(method, kind, self._pieces(rest, method)) for method in self._writes if method != quickest]
        best = [min(of_one, key=lambda window: len(window.stream)) for of_one in zip(*choices, strict=True)]
        return layout.write_layout(found, len(rest), self._or_by_zstd(kind, rest, best))

    def _or_by_zstd(self, kind: Kind, rest: bytes, windows: list[Window]) -> list[Window]:
        """Those that zstd makes smaller, or that a reader would refuse, by zstd, neighbours as one."""
        ends = [*accumulate((window.size for window in windows), initial=0)]
        by_zstd = [self._by_zstd(rest[begin:end]) for begin, end in pairwise(ends)]
        chosen: list[Window] = []
        for window, other, (begin, end) in zip(windows, by_zstd, pairwise(ends), strict=True):
            if window.method == GOES_ON and chosen[-1].method == _ZSTD:  # where there are no tokens to learn from
                (window,) = self._by(_COUNTS, kind, [self._writes[_COUNTS].codec().tokens(rest[begin:end])])
            if len(other.stream) > len(window.stream) and window.size <= layout.DENSEST * len(window.stream):
                chosen.append(window)
            elif chosen and chosen[-1].method == _ZSTD:
                chosen[-1] = self._by_zstd(rest[begin - chosen[-1].size : end])
            else:
                chosen.append(other)
        return chosen

    def _bytes_by_network(self, rest: bytes, budget_ms: float) -> int:
        """How many the network has the time for, where the counts have what is left of it for the others; 0 where that
        is too little to gain by."""
        network, counts = self._writes.get(_NETWORK), self._writes.get(_COUNTS)
        if network is None or (counts or network).expected_ms(len(rest) // 8, len(rest) // 8) > 2 * budget_ms:
            return 0
        codec = network.codec()
        tokens_T = codec.tokens(rest)
        whole_ms = network.expected_ms(len(rest), len(tokens_T))
        by_counts_ms = counts.expected_ms(len(rest), len(tokens_T)) if counts else 0.0
        if whole_ms <= budget_ms:
            return len(rest)
        if by_counts_ms >= budget_ms:
            return 0
        learnt_ms = by_counts_ms if self._one_vocabulary else 0.0  # the counts learn from the network's tokens as well
        taken = int(len(tokens_T) * (budget_ms - by_counts_ms) / (whole_ms - by_counts_ms + learnt_ms))
        return codec.n_bytes(tokens_T[:taken]) if taken >= _LEAST_TOKENS else 0

    def _within(self, kind: Kind, rest: bytes, budget_ms: float, by_network: int) -> list[Window]:
        """The network for so many bytes, and counts for the others; without it, counts as far as they are in time, then
        zstd."""
        if not by_network and _COUNTS in self._writes:
            return self._by_counts_within(kind, rest, budget_ms)
        first, others = rest[:by_network], rest[by_network:]
        pieces = [*self._pieces(first, _NETWORK)] if first else []
        windows = self._by(_NETWORK, kind, pieces) if pieces else []
        if others and _COUNTS in self._writes:
            by_counts = [*self._pieces(others, _COUNTS)]
            if pieces and self._one_vocabulary:
                windows.append(self._behind(kind, pieces[-1], by_counts.pop(0)))
            return windows + self._by(_COUNTS, kind, by_counts)
        return windows + ([self._by_zstd(others)] if others else [])

    def _by_counts_within(self, kind: Kind, rest: bytes, budget_ms: float) -> list[Window]:
        part, codec = self._writes[_COUNTS], self._writes[_COUNTS].codec()
        pieces: list[list[memoryview]] = [[]]
        at, size, left = 0, 0, budget_ms
        us_a_token = max(part.expected_ms(4, 1) * 1000, _LEAST_US_A_TOKEN)
        while at < len(rest) and left * 1000 >= 64 * us_a_token:
            allowed = int(min(left * 1000 / us_a_token, len(rest)))
            if size == layout.WINDOW_BYTES:
                pieces.append([])
                size = 0
            tokens_T = codec.tokens(rest[at : at + min(4 * allowed, layout.WINDOW_BYTES - size)])[:allowed]
            pieces[-1].append(tokens_T)
            n_bytes = codec.n_bytes(tokens_T)
            at, size, left = at + n_bytes, size + n_bytes, left - part.expected_ms(n_bytes, len(tokens_T))
        windows = self._by(_COUNTS, kind, [memoryview(b"".join(piece)).cast("i") for piece in pieces if piece])
        return windows + ([self._by_zstd(rest[at:])] if at < len(rest) else [])

    def _pieces(self, rest: bytes, method: int) -> Iterator[memoryview]:
        """The tokens of windows of like length, none too long."""
        count = -(-len(rest) // layout.WINDOW_BYTES)
        for begin, end in pairwise(len(rest) * index // count for index in range(count + 1)):
            yield self._writes[method].codec().tokens(rest[begin:end])

    def _by(self, method: int, kind: Kind, pieces: Iterable[memoryview]) -> list[Window]:
        codec = self._writes[method].codec()
        tokens = [*pieces]
        streams = codec.encode_tokens([(tokens_T, TYPE_OF_KIND[kind]) for tokens_T in tokens])
        return [
            Window(method, codec.n_bytes(tokens_T), stream) for tokens_T, stream in zip(tokens, streams, strict=True)
        ]

    def _behind(self, kind: Kind, before_T: memoryview, tokens_T: memoryview) -> Window:
        """By counts that go on behind other tokens."""
        codec = self._writes[_COUNTS].codec()
        return Window(GOES_ON, codec.n_bytes(tokens_T), codec.encode_behind(before_T, tokens_T, TYPE_OF_KIND[kind]))

    def _by_zstd(self, data: bytes) -> Window:
        return Window(_ZSTD, len(data), self._zstd.encode(Kind.BYTES, data))

    def decode(self, kind: Kind, body: bytes, payload_bytes: int) -> bytes:
        if kind not in TYPE_OF_KIND:
            raise CorruptBlob(f"{self.name} hold no {kind.label}")
        rest_bytes, count, table, windows = layout.read_layout(body, payload_bytes)
        found = repeats.read_table(table, count, rest_bytes, payload_bytes) if count else []
        return repeats.restored(b"".join(self._decoded(kind, windows)), found)

    def _decoded(self, kind: Kind, windows: list[Window]) -> list[bytes]:
        """What each holds: side by side, but for those that go on and what they go on behind."""
        methods = [window.method for window in windows]
        in_a_row = {index - goes for index, method in enumerate(methods) if method == GOES_ON for goes in (0, 1)}
        data = [b""] * len(windows)
        for method in {*methods} - {GOES_ON}:
            mine = [i for i, window in enumerate(windows) if window.method == method and i not in in_a_row]
            for index, part in zip(mine, self._decode_by(method, kind, [windows[i] for i in mine]), strict=True):
                data[index] = part
        before_T: memoryview | None = None
        for index in sorted(in_a_row):
            if methods[index] != GOES_ON:
                before_T = None
            elif methods[index - 1] == _NETWORK and not self._one_vocabulary:
                raise CorruptBlob(f"{self.name} body: counts go on behind tokens of another vocabulary")
            codec = self._codec(methods[index])
            (before_T,) = _all_whole(codec.decode_tokens([_stream(kind, windows[index], before_T)]))
            data[index] = codec.tokenizer.decode(before_T)
        return data

    def _decode_by(self, method: int, kind: Kind, windows: list[Window]) -> list[bytes]:
        if method == _ZSTD:
            return [self._zstd.decode(kind, window.stream, window.size) for window in windows]
        return _all_whole(self._codec(method).decode_batch([_stream(kind, window) for window in windows]))

    def _codec(self, method: int) -> NeuralCodec:
        number = _COUNTS if method == GOES_ON else method
        if number not in self._parts:
            raise CorruptBlob(f"{self.name} body: the version has no coder {number}")
        return self._parts[number].codec()


def _stream(kind: Kind, window: Window, before_T: memoryview | None = None) -> Stream:
    from nbmf.neural.codec import Stream

    return Stream(window.stream, window.size, TYPE_OF_KIND[kind], before_T=before_T)


def _all_whole(decoded: list[T | None]) -> list[T]:
    whole = [data for data in decoded if data is not None]
    if len(whole) < len(decoded):
        raise CorruptBlob(f"{WindowsCoder.name} body: a stream does not end where its window does")
    return whole
