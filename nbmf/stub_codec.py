"""The zlib stub as a codec version, for a service that takes over from it: it writes the stub's dicts."""

from __future__ import annotations

from collections.abc import Sequence

from nbmf import stub
from nbmf.codec import WITHOUT_VERSION, Codec, Effort
from nbmf.payload import Kind, from_canonical, to_canonical
from nbmf.vectors.aim import Aim
from nbmf.wire import dump


class StubCodec(Codec):
    """Its "blobs" are the JSON text of the stub's lossless dicts, which begins with `{`, as no blob does.

    What the stub would not give back (bytes, arrays, lone surrogates, numbers with more digits than a double has) is a
    blob that needs no version.
    """

    def _encode(
        self, records: Sequence[tuple[Kind, bytes]], effort: Effort, latency_budget_ms: float, aim: Aim | None = None
    ) -> list[bytes]:
        return [
            _by_stub(*record) or WITHOUT_VERSION._encode([record], effort, latency_budget_ms, aim)[0]
            for record in records
        ]


def _by_stub(kind: Kind, canonical: bytes) -> bytes | None:
    if kind in (Kind.BYTES, Kind.ARRAY):
        return None
    try:
        blob = stub.encode(from_canonical(kind, canonical), "lossless")
    except (ValueError, RecursionError):
        return None
    return dump(blob) if to_canonical(stub.decode(blob)) == (kind, canonical) else None
