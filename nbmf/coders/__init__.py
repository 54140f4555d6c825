"""The ladder: ways to code canonical bytes. An encoder takes the smallest; the blob's coder number says which.

Coder numbers are part of the format (docs/format.md) and are never given out twice.
"""

from nbmf.coders.base import Coder
from nbmf.coders.byte_planes import BytePlanesCoder
from nbmf.coders.neural import CountsCoder, NeuralCoder
from nbmf.coders.segments import SegmentsCoder
from nbmf.coders.zstd import ZstdCoder, ZstdDictionaryCoder

CODEC_FREE: tuple[Coder, ...] = (ZstdCoder(), BytePlanesCoder())
"""Coders that need no codec version: their blobs are readable with the package alone."""

NAMES = {0: "stored"} | {
    c.number: c.name for c in (ZstdCoder, ZstdDictionaryCoder, BytePlanesCoder, NeuralCoder, CountsCoder, SegmentsCoder)
}

NETWORK = frozenset({NeuralCoder.number, SegmentsCoder.number})
"""Those that run a network."""

__all__ = [
    "CODEC_FREE",
    "NAMES",
    "NETWORK",
    "BytePlanesCoder",
    "Coder",
    "CountsCoder",
    "NeuralCoder",
    "SegmentsCoder",
    "ZstdCoder",
    "ZstdDictionaryCoder",
]
