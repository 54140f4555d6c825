"""What a coder is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Protocol

from nbmf.errors import CorruptBlob
from nbmf.payload import Canonical, Kind


class Coder(Protocol):
    """Canonical bytes <-> body. Instances are immutable to their callers and safe to share between threads."""

    number: ClassVar[int]
    name: ClassVar[str]

    def encode(self, kind: Kind, canonical: bytes) -> bytes | None:
        """The body, or None where the coder does not apply to this payload."""

    def decode(self, kind: Kind, body: bytes, payload_bytes: int) -> bytes:
        """Exactly `payload_bytes` canonical bytes; neither work nor memory may exceed that bound.

        Raises CorruptBlob if the body is not one that `encode` could have written for that length.
        """

    def encode_batch(self, records: Sequence[Canonical], latency_budget_ms: float | None = None) -> list[bytes | None]:
        """What `encode` gives for each; None too where decoding is expected to take longer than the budget."""

    def decode_batch(self, bodies: Sequence[tuple[Kind, bytes, int]]) -> list[bytes | CorruptBlob]:
        """What `decode` gives for each, or the error that it raises."""


class OneByOne:
    """Batches for a coder that gains nothing by them, and, unless it says more, decodes in no time worth naming."""

    def encode_batch(
        self: Coder, records: Sequence[Canonical], latency_budget_ms: float | None = None
    ) -> list[bytes | None]:
        return [self.encode(*record) for record in records]

    def decode_batch(self: Coder, bodies: Sequence[tuple[Kind, bytes, int]]) -> list[bytes | CorruptBlob]:
        results: list[bytes | CorruptBlob] = []
        for body in bodies:
            try:
                results.append(self.decode(*body))
            except CorruptBlob as error:
                results.append(error)
        return results


class InBatches:
    """One record for a coder whose batches are more than one record after the other."""

    def decode(self: Coder, kind: Kind, body: bytes, payload_bytes: int) -> bytes:
        (result,) = self.decode_batch([(kind, body, payload_bytes)])
        if isinstance(result, CorruptBlob):
            raise result
        return result
