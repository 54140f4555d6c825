"""The network over the parts of a long record, decoded side by side: what was written where the whole would take too
long to decode. Windows have taken its place; golden records of versions still have such bodies.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import ClassVar

from nbmf import varint
from nbmf.coders.base import InBatches
from nbmf.coders.neural import NeuralCoder
from nbmf.errors import CorruptBlob
from nbmf.neural.record_types import TYPE_OF_KIND
from nbmf.payload import Canonical, Kind


class SegmentsCoder(InBatches):
    """What a version's network codes, in segments."""

    number: ClassVar[int] = 6
    name: ClassVar[str] = "neural_segments"

    def __init__(self, whole: NeuralCoder) -> None:
        self._whole = whole

    def encode(self, kind: Kind, canonical: bytes, segments: int = 4) -> bytes | None:
        if not self._whole.takes(kind, len(canonical)) or len(canonical) < segments:
            return None
        tokens = [self._whole.tokens(canonical[begin:end]) for begin, end in pairwise(_cuts(len(canonical), segments))]
        spelt = [(tokens_T, TYPE_OF_KIND[kind]) for tokens_T in tokens if tokens_T is not None]
        if len(spelt) < segments:
            return None
        streams = self._whole.codec().encode_tokens(spelt)
        lengths = b"".join(varint.to_bytes(len(stream)) for stream in streams[:-1])
        return varint.to_bytes(segments) + lengths + b"".join(streams)

    def encode_batch(self, records: Sequence[Canonical], latency_budget_ms: float | None = None) -> list[bytes | None]:
        """None of any: the ladder writes no segments any more."""
        return [None] * len(records)

    def decode_batch(self, bodies: Sequence[tuple[Kind, bytes, int]]) -> list[bytes | CorruptBlob]:
        results: list[bytes | CorruptBlob] = []
        parts: list[tuple[Kind, bytes, int]] = []
        spans: list[tuple[int, slice]] = []
        for kind, body, payload_bytes in bodies:
            try:
                mine = self._parts(kind, body, payload_bytes)
            except CorruptBlob as error:
                results.append(error)
                continue
            spans.append((len(results), slice(len(parts), len(parts) + len(mine))))
            parts += mine
            results.append(b"")
        decoded = self._whole.decode_batch(parts)
        for index, span in spans:
            failed = [part for part in decoded[span] if isinstance(part, CorruptBlob)]
            results[index] = (
                failed[0] if failed else b"".join(part for part in decoded[span] if isinstance(part, bytes))
            )
        return results

    def _parts(self, kind: Kind, body: bytes, payload_bytes: int) -> list[tuple[Kind, bytes, int]]:
        """Kind, stream and length of each segment. Raises CorruptBlob."""
        if not self._whole.takes(kind, payload_bytes):
            raise self._whole.refused(kind, payload_bytes)
        segments, at = varint.read(body, 0)
        if not 2 <= segments <= payload_bytes:
            raise CorruptBlob(f"{self.name} body: {segments} segments of {payload_bytes} bytes")
        ends = []
        for _ in range(segments - 1):
            length, at = varint.read(body, at)
            ends.append(length)
        begins = [*accumulate(ends, initial=at)]
        if begins[-1] > len(body):
            raise CorruptBlob(f"{self.name} body: its streams are longer than the body")
        cuts = _cuts(payload_bytes, segments)
        return [
            (kind, body[begin:end], cuts[index + 1] - cuts[index])
            for index, (begin, end) in enumerate(pairwise([*begins, len(body)]))
        ]


def described(body: bytes) -> dict[str, int]:
    """For `nbmf.inspect`. Raises CorruptBlob."""
    return {"segments": varint.read(body, 0)[0]}


def _cuts(size: int, segments: int) -> list[int]:
    """Where segments begin and end: of equal length, the later ones a byte longer if need be."""
    return [size * index // segments for index in range(segments + 1)]
