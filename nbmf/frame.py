"""The blob's byte layout (docs/format.md): headers, lengths and checksums, nothing of how bodies are coded."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from nbmf import _core, varint
from nbmf.errors import ChecksumMismatch, CorruptBlob, NotABlob, UnsupportedFormat
from nbmf.payload import Fidelity, Kind

MAGIC = 0xB1
_CHECKSUM_BYTES = 4
_SHORT_CHECKSUM_BYTES = 3
REFERENCE_BYTES = 2

# First byte of a short stored frame -> the kind, and canonical bytes that the frame leaves out.
_SHORT_FRAMES: dict[int, tuple[Kind, bytes]] = {
    0xB2: (Kind.TEXT, b""),
    0xB3: (Kind.MESSAGES, b""),
    0xB4: (Kind.JSON, b""),
    0xB5: (Kind.BYTES, b""),
    0xB6: (Kind.ARRAY, b""),
    0xB7: (Kind.ARRAY, b"\x10"),  # float16 vector
    0xB8: (Kind.ARRAY, b"\x11"),  # float32 vector
    0xB9: (Kind.ARRAY, b"\x12"),  # float64 vector
}
# First byte of a short frame with a deflate body -> the kind.
_SHORT_DEFLATE_FRAMES = {0xBC: Kind.TEXT, 0xBD: Kind.MESSAGES, 0xBE: Kind.JSON, 0xBF: Kind.BYTES}
# First byte of a compact frame with a length -> the kind and the coder. They are read, and written no more: with three
# bytes of checksum one damaged blob of 2^24 would pass. Spans are not cut out of bytes.
_COMPACT_KINDS = (Kind.TEXT, Kind.MESSAGES, Kind.JSON, Kind.BYTES)
_COMPACT_FRAMES = {
    0x80 | index << 2 | kind: (kind, coder)
    for index, coder in enumerate((4, 5, 6, 9, 8, 2, 1, 7))
    for kind in _COMPACT_KINDS
    if not (coder in (7, 8) and kind is Kind.BYTES)
}
# First byte of a compact frame whose stream tells the length -> the kind and the coder.
_ALONE_FRAMES = {
    0xA8 | index << 2 | kind: (kind, coder) for index, coder in enumerate((14, 15)) for kind in _COMPACT_KINDS
}
_FIRST_BYTES_OF_ALONE = {of: first for first, of in _ALONE_FRAMES.items()}
NUMBERED_VERSIONS = (bytes.fromhex("5ab1176a1ebd3e4556571b8264d04a3581e51b418cfb75660c0aad66e6b2dc13"),)
"""Ids of built-in versions that a first byte names: of the first one A0 to A7. Only ever added to."""
_OF_NUMBERED = {
    0xA0 | index << 2 | kind: (kind, coder, NUMBERED_VERSIONS[0])
    for index, coder in enumerate((14, 15))
    for kind in _COMPACT_KINDS
}
_FIRST_BYTES_OF_NUMBERED = {of: first for first, of in _OF_NUMBERED.items()}
# Bytes that never begin UTF-8 text, JSON, zlib or zstd: a newer nbmf may write them first.
_RESERVED = range(0x80, 0xC0)

STORED = 0
DEFLATE = 11
CODERS_WITH_REFERENCE = frozenset({2, 4, 5, 6, 8, 9, 10, 14, 15})
_CODERS = frozenset({*range(1, 11), 12, 13})  # of full frames
_ALONE = frozenset({14, 15})  # their streams tell the length

_LONGEST_TOLD_BY_STREAM = (1 << 20) - 1
_ENDING_IN_THEMSELVES = {Kind.MESSAGES: b"[", Kind.JSON: b'{["'}
"""What begins a payload that its own end tells the length of."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A blob's parts. `body` is what the coder wrote; for `stored` it is the canonical payload.

    `payload_bytes` is the length of the canonical payload, or the most that it can be where only its end tells;
    `max_output_bytes` a bound below that, of the caller's.
    """

    kind: Kind
    coder: int
    fidelity: Fidelity
    reference: bytes
    payload_bytes: int
    body: bytes
    head: bytes
    checksum: bytes
    max_output_bytes: int | None = None

    @property
    def least_bytes(self) -> int:
        """The least that the canonical payload can have."""
        return least_bytes(self.kind, self.payload_bytes) if self.coder in _ALONE else self.payload_bytes


def size_is_told_by_stream(kind: Kind, canonical: bytes) -> bool:
    """Whether a stream can stand without a length for such a payload."""
    begins = _ENDING_IN_THEMSELVES.get(kind)
    return 0 < len(canonical) <= _LONGEST_TOLD_BY_STREAM and (begins is None or canonical[0] in begins)


def sizing_of(kind: Kind) -> int:
    """How such a stream tells the length: by a number, or by where the payload ends."""
    return _core.SIZE_AT_END if kind in _ENDING_IN_THEMSELVES else _core.SIZE_IN_STREAM


def least_bytes(kind: Kind, most_bytes: int) -> int:
    """Of a payload for which such a stream says that it is no longer than `most_bytes`."""
    return most_bytes // 2 + 1 if kind in _ENDING_IN_THEMSELVES else most_bytes


def pack_stored(kind: Kind, canonical: bytes) -> bytes:
    """A short stored frame: never more than 4 bytes over text, JSON, bytes or a vector's numbers."""
    first, elided = max(
        ((first, elided) for first, (k, elided) in _SHORT_FRAMES.items() if k is kind and canonical.startswith(elided)),
        key=lambda item: len(item[1]),
    )
    head = bytes([first])
    return head + canonical[len(elided) :] + _short_checksum(head, canonical)


def pack_deflate(kind: Kind, canonical: bytes, body: bytes) -> bytes:
    """A short frame of what the deflate coder made of any kind but an array."""
    (first,) = (first for first, k in _SHORT_DEFLATE_FRAMES.items() if k is kind)
    head = bytes([first]) + varint.to_bytes(len(canonical))
    return head + body + _short_checksum(head, canonical)


def pack(
    kind: Kind, coder: int, fidelity: Fidelity, reference: bytes, seed: bytes, canonical: bytes, body: bytes
) -> bytes:
    """A compact frame of a coder whose streams tell the length, or a full one.

    `seed` is the codec version's full id (32 bytes), or empty where none is needed.
    """
    numbered = _FIRST_BYTES_OF_NUMBERED.get((kind, coder, seed))
    first = _FIRST_BYTES_OF_ALONE.get((kind, coder)) if numbered is None else numbered
    if first is None or fidelity != "lossless":
        return pack_full(kind, coder, fidelity, reference, seed, canonical, body)
    head = bytes([first]) + (reference if numbered is None else b"")
    return head + body + _checksum(head, canonical, seed)


def pack_full(
    kind: Kind, coder: int, fidelity: Fidelity, reference: bytes, seed: bytes, canonical: bytes, body: bytes
) -> bytes:
    """As `pack`, a full frame in any case."""
    flags = coder | kind << 4 | (fidelity == "semantic") << 7
    head = bytes([MAGIC, flags]) + reference + varint.to_bytes(len(canonical))
    return head + body + _checksum(head, canonical, seed)


def parse(blob: bytes) -> Frame:
    """The parts of a blob, its lengths checked, nothing decoded.

    Raises NotABlob, UnsupportedFormat, CorruptBlob.
    """
    if not blob:
        raise CorruptBlob("empty blob")
    first = blob[0]
    if first in _SHORT_FRAMES:
        return _parse_short(blob)
    if first in _SHORT_DEFLATE_FRAMES:
        return _parse_with_length(blob, _SHORT_DEFLATE_FRAMES[first], DEFLATE, "lossless", 1, _SHORT_CHECKSUM_BYTES)
    if first in _COMPACT_FRAMES:
        return _parse_with_length(blob, *_COMPACT_FRAMES[first], "lossless", 1, _SHORT_CHECKSUM_BYTES)
    if first in _ALONE_FRAMES:
        return _parse_alone(blob, *_ALONE_FRAMES[first], blob[1 : 1 + REFERENCE_BYTES], 1 + REFERENCE_BYTES)
    if first in _OF_NUMBERED:
        kind, coder, version = _OF_NUMBERED[first]
        return _parse_alone(blob, kind, coder, version[:REFERENCE_BYTES], 1)
    if first != MAGIC:
        if first in _RESERVED:
            raise UnsupportedFormat(f"first byte {first:#04x}: a format newer than this reader, or not a blob")
        raise NotABlob(f"first byte {first:#04x} is not one that nbmf writes")
    if len(blob) < 2:
        raise CorruptBlob("truncated after the first byte")
    flags = blob[1]
    coder, kind_number = flags & 15, flags >> 4 & 7
    if coder not in _CODERS or kind_number >= len(Kind):
        raise UnsupportedFormat(f"coder {coder} or kind {kind_number} is newer than this reader")
    fidelity: Fidelity = "semantic" if flags & 128 else "lossless"
    return _parse_with_length(blob, Kind(kind_number), coder, fidelity, 2, _CHECKSUM_BYTES)


def _parse_with_length(blob: bytes, kind: Kind, coder: int, fidelity: Fidelity, at: int, checksum_bytes: int) -> Frame:
    """A frame whose first `at` bytes tell the kind, coder and fidelity."""
    reference = blob[at : at + REFERENCE_BYTES] if coder in CODERS_WITH_REFERENCE else b""
    if coder in CODERS_WITH_REFERENCE and len(reference) < REFERENCE_BYTES:
        raise CorruptBlob("truncated inside the codec reference")
    payload_bytes, end = varint.read(blob, at + len(reference))
    if len(blob) < end + checksum_bytes:
        raise CorruptBlob("truncated inside the checksum")
    return Frame(
        kind=kind,
        coder=coder,
        fidelity=fidelity,
        reference=reference,
        payload_bytes=payload_bytes,
        body=blob[end:-checksum_bytes],
        head=blob[:end],
        checksum=blob[-checksum_bytes:],
    )


def _parse_alone(blob: bytes, kind: Kind, coder: int, reference: bytes, at: int) -> Frame:
    """A frame whose body begins at `at` and tells the length."""
    if len(blob) < at + _CHECKSUM_BYTES:
        raise CorruptBlob("truncated inside the checksum")
    body = blob[at:-_CHECKSUM_BYTES]
    _, payload_bytes = _core.stream_size(body, sizing_of(kind))
    return Frame(kind, coder, "lossless", reference, payload_bytes, body, blob[:at], blob[-_CHECKSUM_BYTES:])


def _parse_short(blob: bytes) -> Frame:
    if len(blob) < 1 + _SHORT_CHECKSUM_BYTES:
        raise CorruptBlob("truncated inside the checksum")
    kind, elided = _SHORT_FRAMES[blob[0]]
    body = elided + blob[1:-_SHORT_CHECKSUM_BYTES]
    return Frame(
        kind=kind,
        coder=STORED,
        fidelity="lossless",
        reference=b"",
        payload_bytes=len(body),
        body=body,
        head=blob[:1],
        checksum=blob[-_SHORT_CHECKSUM_BYTES:],
    )


def verify(frame: Frame, seed: bytes, canonical: bytes) -> None:
    """Raises ChecksumMismatch unless `canonical` is what was written, with the codec whose id is `seed`."""
    expected = _checksum(frame.head, canonical, seed)[: len(frame.checksum)]
    if expected != frame.checksum:
        raise ChecksumMismatch(
            f"checksum of the decoded payload is {expected.hex()}, the blob says {frame.checksum.hex()}"
        )


def _checksum(head: bytes, canonical: bytes, seed: bytes) -> bytes:
    # The head is covered too: a flipped kind bit would else turn one payload into another.
    return zlib.crc32(canonical, zlib.crc32(seed + head)).to_bytes(_CHECKSUM_BYTES, "little")


def _short_checksum(head: bytes, canonical: bytes) -> bytes:
    return _checksum(head, canonical, b"")[:_SHORT_CHECKSUM_BYTES]
