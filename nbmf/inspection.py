"""What a blob tells without being decoded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from nbmf import coders, frame
from nbmf.decoding import inner_coder, open_spans, parse_bounded
from nbmf.errors import CorruptBlob
from nbmf.limits import DEFAULT_MAX_PAYLOAD_BYTES
from nbmf.payload import Fidelity


@dataclass(frozen=True, slots=True)
class BlobInfo:
    """What a blob tells undecoded. `codec` is the start of the version's id in hex, or None if none is needed.

    `payload_bytes` counts canonical bytes; None where only decoding tells: of small JSON that a learned coder wrote.
    `inner` is the coder of what remains where spans are cut out (coders spans and spans_learned), else None.
    `vectors`: how many fidelity "semantic" made near ones of; None in a lossless blob.
    `detail`: the segments; or the repeats cut out and the windows by coder (with spans, of what remains; not told of
    payloads above 64 MiB); or why no learned coder wrote it.
    """

    kind: str
    coder: str
    fidelity: Fidelity
    codec: str | None
    payload_bytes: int | None
    blob_bytes: int
    inner: str | None = None
    vectors: int | None = None
    detail: dict[str, Any] | None = None


def inspect(blob: bytes) -> BlobInfo:
    """Kind, coder, codec, sizes and parts of a blob, without decoding it. Raises BlobError."""
    parsed = parse_bounded(blob, 1 << 62)
    inner = inner_coder(parsed) if parsed.coder in coders.spans.NAMES else None
    return BlobInfo(
        kind=parsed.kind.label,
        coder=coders.NAMES[parsed.coder],
        fidelity=parsed.fidelity,
        codec=parsed.reference.hex() or None,
        payload_bytes=parsed.payload_bytes if parsed.payload_bytes == parsed.least_bytes else None,
        blob_bytes=len(blob),
        inner=None if inner is None else coders.NAMES[inner],
        vectors=_near_vectors(parsed) if parsed.fidelity == "semantic" else None,
        detail=_detail(parsed, inner),
    )


def text_part(blob: bytes, payload_bytes: int) -> tuple[int, int]:
    """(canonical bytes, bytes of the blob) without what is of spans: base64, digits and floats, and their binary.

    `blob`: of a record of so many canonical bytes, as `Codec.encode` makes it; all of both where it has no spans that
    can be told from the rest without its version. Spans are written out, which takes some of the time of decoding.
    """
    parsed = parse_bounded(blob, 1 << 62)
    if parsed.coder not in coders.spans.NAMES or parsed.fidelity == "semantic":
        return payload_bytes, len(blob)
    opened = open_spans(parsed)
    return opened.remaining_bytes, len(blob) - (len(parsed.body) - len(opened.inner_body))


def _near_vectors(parsed: frame.Frame) -> int | None:
    """None for a damaged blob."""
    if parsed.coder not in coders.spans.NAMES:
        return int(parsed.coder in (coders.VectorsCoder.number, coders.LearnedVectorsCoder.number))
    try:
        return coders.spans.near_vectors(parsed.body, parsed.payload_bytes)
    except CorruptBlob:
        return None


def _detail(parsed: frame.Frame, inner: int | None) -> dict[str, Any] | None:
    if inner not in (coders.WindowsCoder.number, coders.SegmentsCoder.number):
        return coders.described(parsed.coder, parsed.kind, parsed.body, parsed.payload_bytes)
    if parsed.payload_bytes > DEFAULT_MAX_PAYLOAD_BYTES:  # spans are written out to see what remains beside them
        return None
    try:
        opened = open_spans(parsed)
    except CorruptBlob:
        return None
    return coders.described(inner, parsed.kind, opened.inner_body, opened.remaining_bytes)
