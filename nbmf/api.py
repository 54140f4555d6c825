"""encode and decode for those who need no more."""

from __future__ import annotations

from functools import cache

from nbmf import frame
from nbmf.catalog import Catalog, default_catalog
from nbmf.codec import DEFAULT_MAX_PAYLOAD_BYTES, Codec, parse_bounded
from nbmf.errors import ChecksumMismatch, UnknownCodec
from nbmf.payload import Fidelity, Payload


@cache
def _without_version() -> Codec:
    return Codec()


def encode(
    payload: Payload,
    fidelity: Fidelity = "lossless",
    *,
    codec: Codec | None = None,
    max_payload_bytes: int = DEFAULT_MAX_PAYLOAD_BYTES,
) -> bytes:
    """A blob that holds `payload`: str, bytes, a numpy float array, or any JSON value.

    Without a codec the blob needs no version to be read. Raises UnsupportedPayload (a TypeError that
    names the path, as `$.a[3]`), PayloadTooLarge.
    """
    return (codec or _without_version()).encode(payload, fidelity, max_payload_bytes=max_payload_bytes)


def decode(blob: bytes, *, codec: Codec | None = None, max_output_bytes: int = DEFAULT_MAX_PAYLOAD_BYTES) -> Payload:
    """The payload, equal to what was encoded, type for type.

    The version that the blob names is `codec` if it matches, else one loaded with Codec.load, else one
    in a folder of NBMF_CODEC_PATH. Raises BlobError, UnknownCodec, DamagedCodec.
    """
    parsed = parse_bounded(blob, max_output_bytes)
    if not parsed.reference:
        return _without_version().decode_frame(parsed)
    if codec is not None and codec.reference == parsed.reference:
        return codec.decode_frame(parsed)
    return decode_with(default_catalog(), parsed)


def decode_with(catalog: Catalog, parsed: frame.Frame) -> Payload:
    """The payload of a parsed blob, with whichever version of the catalogue wrote it. Raises as `decode`."""
    mismatch: ChecksumMismatch | None = None
    for candidate in catalog.find(parsed.reference):
        try:
            return candidate.decode_frame(parsed)
        except ChecksumMismatch as error:
            mismatch = error
    raise mismatch or UnknownCodec(parsed.reference.hex(), catalog.places())
