"""The ladder: ways to code canonical bytes. An encoder takes the smallest; the blob's coder number says which.

Coder numbers are part of the format (docs/format.md) and are never given out twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from nbmf.coders import segments, spans
from nbmf.coders.base import Coder
from nbmf.coders.byte_planes import BytePlanesCoder
from nbmf.coders.deflate import DeflateCoder
from nbmf.coders.floats import FloatsCoder
from nbmf.coders.neural import CountsAloneCoder, CountsCoder, NeuralAloneCoder, NeuralCoder
from nbmf.coders.segments import SegmentsCoder
from nbmf.coders.vectors import LearnedVectorsCoder, VectorsCoder
from nbmf.coders.windows import layout as windows_layout
from nbmf.coders.windows.coder import WindowsCoder
from nbmf.coders.zstd import ZstdCoder, ZstdDictionaryCoder
from nbmf.errors import CorruptBlob
from nbmf.neural.record_types import TYPE_OF_KIND
from nbmf.payload import Kind

if TYPE_CHECKING:
    from nbmf.effort import Effort

CODEC_FREE: tuple[Coder, ...] = (ZstdCoder(), BytePlanesCoder(), DeflateCoder(), VectorsCoder(), FloatsCoder())
"""Coders that need no codec version: their blobs are readable with the package alone."""

_OF_VERSIONS: tuple[type[Coder], ...] = (
    ZstdDictionaryCoder, NeuralCoder, NeuralAloneCoder, CountsCoder, CountsAloneCoder, SegmentsCoder, WindowsCoder,
    LearnedVectorsCoder,
)  # fmt: skip

NAMES = (
    {0: "stored"}
    | {coder.number: coder.name for coder in CODEC_FREE}
    | {coder.number: coder.name for coder in _OF_VERSIONS}
    | spans.NAMES
)

NETWORK = frozenset({NeuralCoder.number, NeuralAloneCoder.number, SegmentsCoder.number})
"""Those that run a network."""

COUNTS = frozenset({CountsCoder.number, CountsAloneCoder.number})
"""Those that code by counts alone."""

ALONE = {NeuralAloneCoder.number: NeuralCoder.number, CountsAloneCoder.number: CountsCoder.number}
"""Of whole records only; and the coder that codes the same where a length is told."""

QUICK = frozenset({ZstdCoder.number, ZstdDictionaryCoder.number, DeflateCoder.number})
"""Those that are tried on the whole of a record, too, where what remains of it goes by all."""

NOT_LEARNED = (
    "the writer had no codec version with learned coders, or decoding by them would have taken longer than its latency "
    "budget, or they do not make this record smaller"
)


def described(number: int, kind: Kind, body: bytes, payload_bytes: int) -> dict[str, Any] | None:
    """What `nbmf.inspect` tells of a body: its parts, or why no learned coder wrote it. None for a damaged one."""
    try:
        if number == WindowsCoder.number:
            return windows_layout.described(body, payload_bytes)
        if number == SegmentsCoder.number:
            return segments.described(body)
    except CorruptBlob:
        return None
    if number in NETWORK | COUNTS | {spans.NUMBER_WITH_REFERENCE}:
        return None
    return {"not_learned": NOT_LEARNED if kind in TYPE_OF_KIND else f"learned coders take no {kind.label}"}


def ladder(every: Iterable[Coder], effort: Effort) -> Iterator[Coder]:
    """The coders as they write with an effort: without a network, as strong as they can be, or as they are."""
    for coder in every:
        if effort == "fast" and isinstance(coder, WindowsCoder):
            yield coder.without_network()
        elif effort == "max" and isinstance(coder, ZstdCoder | ZstdDictionaryCoder | BytePlanesCoder):
            yield coder.strongest()
        elif effort != "fast" or coder.number not in NETWORK:
            yield coder


__all__ = [
    "ALONE",
    "CODEC_FREE",
    "COUNTS",
    "NAMES",
    "NETWORK",
    "QUICK",
    "BytePlanesCoder",
    "Coder",
    "CountsAloneCoder",
    "CountsCoder",
    "DeflateCoder",
    "FloatsCoder",
    "LearnedVectorsCoder",
    "NeuralAloneCoder",
    "NeuralCoder",
    "SegmentsCoder",
    "VectorsCoder",
    "WindowsCoder",
    "ZstdCoder",
    "ZstdDictionaryCoder",
    "described",
    "ladder",
    "spans",
]
