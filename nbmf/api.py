"""encode, decode and load for those who need no more."""

from __future__ import annotations

from pathlib import Path

from nbmf.builtin import default_codec
from nbmf.catalog import default_catalog
from nbmf.codec import Codec
from nbmf.decoding import parse_bounded
from nbmf.effort import DEFAULT_LATENCY_BUDGET_MS, Effort
from nbmf.hooks import Default, ObjectHook
from nbmf.json_text import values_within
from nbmf.limits import DEFAULT_MAX_PAYLOAD_BYTES
from nbmf.payload import Fidelity, Payload, from_canonical


def load(path: str | Path) -> Codec:
    """The codec version in folder `path`, verified; from then on `nbmf.decode` knows it in this process.

    Raises DamagedCodec if a file is missing or altered, UnsupportedFormat if it needs a newer nbmf.
    """
    codec = Codec.load(path)
    default_catalog().add(codec)
    return codec


def encode(
    payload: Payload,
    fidelity: Fidelity = "lossless",
    *,
    codec: Codec | None = None,
    max_payload_bytes: int = DEFAULT_MAX_PAYLOAD_BYTES,
    effort: Effort = "auto",
    latency_budget_ms: float = DEFAULT_LATENCY_BUDGET_MS,
    default: Default | None = None,
) -> bytes:
    """A blob that holds `payload`: str, bytes, a numpy array, a PyTorch tensor on the CPU, or any JSON value.

    Without a codec the version that ships with the package is used, which every installation can read.
    `effort`: "auto" gives the smallest blob that decodes within `latency_budget_ms`, "fast" does without the
    network, "max" gives the smallest blob. `default`, as that of json.dumps, is called with whatever is no payload, or
    stands in one and is not JSON (a datetime, set, tuple, dataclass, …), and makes a payload of it; `object_hook` of
    `decode` can take it back. Raises UnsupportedPayload (a TypeError that names the path, as
    `$.a[3]`), PayloadTooLarge, ValueError.
    """
    return (codec or default_codec()).encode(
        payload,
        fidelity,
        max_payload_bytes=max_payload_bytes,
        effort=effort,
        latency_budget_ms=latency_budget_ms,
        default=default,
    )


def decode(
    blob: bytes,
    *,
    codec: Codec | None = None,
    max_output_bytes: int = DEFAULT_MAX_PAYLOAD_BYTES,
    object_hook: ObjectHook | None = None,
) -> Payload:
    """The payload, equal to what was encoded, type for type.

    `object_hook`, as that of json.loads, is called with each object in it, the inner ones first, and gives what is to
    stand there.

    The version that the blob names is `codec` if it matches, else one loaded with nbmf.load, else one
    in a folder of NBMF_CODEC_PATH. Raises BlobError, UnknownCodec, DamagedCodec, MissingLibrary.
    """
    parsed = parse_bounded(blob, max_output_bytes)
    canonical = default_catalog().decode_canonical(parsed, first=codec)
    return from_canonical(parsed.kind, canonical, object_hook, values_within(max_output_bytes))
