"""The ladder: ways to code canonical bytes. An encoder takes the smallest; the blob's coder number says which.

Coder numbers are part of the format (docs/format.md) and are never given out twice.
"""

from nbmf.coders import spans
from nbmf.coders.base import Coder
from nbmf.coders.byte_planes import BytePlanesCoder
from nbmf.coders.deflate import DeflateCoder
from nbmf.coders.neural import CountsCoder, NeuralCoder
from nbmf.coders.segments import SegmentsCoder
from nbmf.coders.zstd import ZstdCoder, ZstdDictionaryCoder

CODEC_FREE: tuple[Coder, ...] = (ZstdCoder(), BytePlanesCoder(), DeflateCoder())
"""Coders that need no codec version: their blobs are readable with the package alone."""

_OF_VERSIONS: tuple[type[Coder], ...] = (ZstdDictionaryCoder, NeuralCoder, CountsCoder, SegmentsCoder)

NAMES = (
    {0: "stored"}
    | {coder.number: coder.name for coder in CODEC_FREE}
    | {coder.number: coder.name for coder in _OF_VERSIONS}
    | spans.NAMES
)

NETWORK = frozenset({NeuralCoder.number, SegmentsCoder.number})
"""Those that run a network."""

QUICK = frozenset({ZstdCoder.number, ZstdDictionaryCoder.number, DeflateCoder.number})
"""Those that are tried on the whole of a record, too, where what remains of it goes by all."""

__all__ = [
    "CODEC_FREE",
    "NAMES",
    "NETWORK",
    "QUICK",
    "BytePlanesCoder",
    "Coder",
    "CountsCoder",
    "DeflateCoder",
    "NeuralCoder",
    "SegmentsCoder",
    "ZstdCoder",
    "ZstdDictionaryCoder",
    "spans",
]
