"""The zlib stub as a codec version, for a service that takes over from it: it writes the stub's dicts."""

from __future__ import annotations

from collections.abc import Sequence

from nbmf import stub
from nbmf.codec import Codec
from nbmf.effort import EffortSetting
from nbmf.encoding import Encoder
from nbmf.payload import Canonical, Fidelity, Kind, from_canonical, to_canonical
from nbmf.vectors.aim import Aim
from nbmf.vectors.changed import Coded
from nbmf.wire import dump


class StubCodec(Codec):
    """Its "blobs" are the JSON text of the stub's lossless dicts, which begins with `{`, as no blob does.

    What the stub would not give back (bytes, arrays, lone surrogates, numbers with more digits than a double has) is a
    blob that needs no version.
    """

    def __init__(self) -> None:
        super().__init__()
        self._encoder = _StubEncoder(self.coders)


class _StubEncoder(Encoder):
    def encode(
        self,
        records: Sequence[Canonical],
        fidelities: Sequence[Fidelity],
        effort: EffortSetting,
        aim: Aim,
    ) -> list[Coded]:
        """Lossless, whatever the fidelity permits, what the stub can keep."""
        by_stub = [_by_stub(*record) for record in records]
        others = [index for index, text in enumerate(by_stub) if text is None]
        coded = super().encode(
            [records[index] for index in others],
            [fidelities[index] for index in others],
            effort,
            aim,
        )
        made = dict(zip(others, coded, strict=True))
        return [made[index] if text is None else Coded(text) for index, text in enumerate(by_stub)]


def _by_stub(kind: Kind, canonical: bytes) -> bytes | None:
    if kind in (Kind.BYTES, Kind.ARRAY):
        return None
    try:
        blob = stub.encode(from_canonical(kind, canonical), "lossless")
    except (ValueError, RecursionError):
        return None
    return dump(blob) if to_canonical(stub.decode(blob)) == (kind, canonical) else None
