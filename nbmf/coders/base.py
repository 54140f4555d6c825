"""What a coder is."""

from __future__ import annotations

from typing import ClassVar, Protocol

from nbmf.payload import Kind


class Coder(Protocol):
    """Canonical bytes <-> body. Instances are immutable to their callers and safe to share between threads."""

    number: ClassVar[int]
    name: ClassVar[str]

    def encode(self, kind: Kind, canonical: bytes) -> bytes | None:
        """The body, or None where the coder does not apply to this payload."""

    def decode_ms(self, kind: Kind, canonical: bytes) -> float:
        """About how long decoding takes, for latency budgets; 0 where it is nothing to speak of or does not apply."""

    def decode(self, kind: Kind, body: bytes, payload_bytes: int) -> bytes:
        """Exactly `payload_bytes` canonical bytes; neither work nor memory may exceed that bound.

        Raises CorruptBlob if the body is not one that `encode` could have written for that length.
        """
