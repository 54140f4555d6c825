"""What records take as JSON of a store: raw, as the stub's lossless dicts, and as dict blobs of nbmf."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from bench.records import NotEqual
from cluster.measure import ratio_statistics
from nbmf import Codec, compat, stub
from nbmf.decoding import parse_bounded
from nbmf.payload import Canonical, Kind, Payload, from_canonical, to_canonical
from nbmf.wire import dump

FORMS = ("the stub's dict", compat.ENCODER_VERSION)


def stored_bytes(payload: Payload) -> int:
    """Bytes of `{"payload": …}` as compact JSON in UTF-8, as a store holds it."""
    return len(dump({"payload": payload}))


def run(records: Iterable[Canonical], codec: Codec) -> dict[str, Any]:
    """{form: statistics of raw bytes / bytes of the form}, over records that JSON and the stub can hold.

    `left_out` counts the others. Raises NotEqual where a dict blob of ours does not decode to its record.
    """
    raw: list[int] = []
    coded: dict[str, list[int]] = {form: [] for form in FORMS}
    left_out = 0
    for kind, canonical in records:
        payload = from_canonical(kind, canonical) if kind not in (Kind.BYTES, Kind.ARRAY) else None
        try:
            by_stub = stub.encode(payload, "lossless") if kind not in (Kind.BYTES, Kind.ARRAY) else None
        except ValueError:  # a lone surrogate, or an integer of thousands of digits
            by_stub = None
        if by_stub is None:
            left_out += 1
            continue
        ours = compat.encode(payload, codec=codec)
        decoded = codec.decode_canonical(parse_bounded(compat.unwrap(ours), len(canonical)))
        if decoded != to_canonical(payload)[1]:
            raise NotEqual(f"a record of {len(canonical)} bytes did not decode to what was encoded")
        raw.append(stored_bytes(payload))
        for form, blob in zip(FORMS, (by_stub, ours), strict=True):
            coded[form].append(stored_bytes(blob))
    return {"left_out": left_out, "forms": {form: ratio_statistics(raw, sizes) for form, sizes in coded.items()}}
