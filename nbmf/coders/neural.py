"""The network with adaptation within the record (nbmf.neural), as a rung of the ladder.

numba and tokenizers are loaded when the first record is coded, not when a version is.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, ClassVar

from nbmf.errors import CorruptBlob
from nbmf.payload import Kind

if TYPE_CHECKING:
    from nbmf.manifest import NeuralPart
    from nbmf.neural.codec import NeuralCodec

RECORD_TYPES = {Kind.TEXT: "text", Kind.MESSAGES: "conversation", Kind.JSON: "structured"}
"""What the network is told about a payload of each kind that it codes."""


class NeuralCoder:
    """Text, messages and JSON up to the version's limit."""

    number: ClassVar[int] = 4
    name: ClassVar[str] = "neural"

    def __init__(self, part: NeuralPart, files: dict[str, bytes]) -> None:
        self._part = part
        self._files = {name: files[name] for name in (part.model, part.tokenizer, part.constants)}
        self._codec: NeuralCodec | None = None
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[type[NeuralCoder], tuple[NeuralPart, dict[str, bytes]]]:
        return NeuralCoder, (self._part, self._files)

    def encode(self, kind: Kind, canonical: bytes) -> bytes | None:
        if kind not in RECORD_TYPES or not 0 < len(canonical) <= self._part.max_payload_bytes:
            return None
        return self._loaded().encode(canonical, RECORD_TYPES[kind])

    def decode(self, kind: Kind, body: bytes, payload_bytes: int) -> bytes:
        if kind not in RECORD_TYPES or not 0 < payload_bytes <= self._part.max_payload_bytes:
            raise CorruptBlob(f"the network codes no {kind.label} of {payload_bytes} bytes")
        try:
            return self._loaded().decode(body, payload_bytes, RECORD_TYPES[kind])
        except ValueError as error:
            raise CorruptBlob(f"neural body: {error}") from error

    def decode_ms(self, payload_bytes: int) -> float:
        """As measured where the version was trained."""
        return payload_bytes * self._part.decode_us_per_byte / 1000

    def _loaded(self) -> NeuralCodec:
        with self._lock:
            if self._codec is None:
                from nbmf.neural.codec import NeuralCodec

                part = self._part
                self._codec = NeuralCodec.from_files(
                    self._files[part.model], self._files[part.tokenizer], self._files[part.constants]
                )
            return self._codec
