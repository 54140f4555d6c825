"""The learned rungs of the ladder (nbmf.neural): a network with adaptation within the record, and counts without one.

numba and tokenizers are loaded when the first record is coded, not when a version is.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, ClassVar, Self

from nbmf.coders.base import OneByOne
from nbmf.errors import CorruptBlob
from nbmf.payload import Kind

if TYPE_CHECKING:
    from nbmf.manifest import CountsPart, NeuralPart
    from nbmf.neural.codec import NeuralCodec

RECORD_TYPES = {Kind.TEXT: "text", Kind.MESSAGES: "conversation", Kind.JSON: "structured"}
"""What the network is told about a payload of each kind that it codes."""


class _LearnedCoder(OneByOne):
    """Text, messages and JSON up to the version's limit."""

    number: ClassVar[int]
    name: ClassVar[str]

    def __init__(self, part: NeuralPart | CountsPart, files: dict[str, bytes]) -> None:
        self._part = part
        self._model = part.model if hasattr(part, "model") else None
        named = (part.tokenizer, part.constants, self._model, part.counts)
        self._files = {name: files[name] for name in named if name}
        self._codec: NeuralCodec | None = None
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[type[Self], tuple[NeuralPart | CountsPart, dict[str, bytes]]]:
        return type(self), (self._part, self._files)

    def _takes(self, kind: Kind, size: int) -> bool:
        return kind in RECORD_TYPES and 0 < size <= self._part.max_payload_bytes

    def encode(self, kind: Kind, canonical: bytes) -> bytes | None:
        if not self._takes(kind, len(canonical)):
            return None
        return self._loaded().encode(canonical, RECORD_TYPES[kind])

    def decode(self, kind: Kind, body: bytes, payload_bytes: int) -> bytes:
        if not self._takes(kind, payload_bytes):
            raise CorruptBlob(f"the version's {self.name} coder takes no {kind.label} of {payload_bytes} bytes")
        try:
            return self._loaded().decode(body, payload_bytes, RECORD_TYPES[kind])
        except ValueError as error:
            raise CorruptBlob(f"{self.name} body: {error}") from error

    def decode_ms(self, kind: Kind, canonical: bytes) -> float:
        """As measured where the version was trained; by tokens where that was: foreign scripts have one a byte."""
        if not self._takes(kind, len(canonical)):
            return 0.0
        if self._part.decode_us_per_token is None:
            return len(canonical) * self._part.decode_us_per_byte / 1000
        return len(self._loaded().tokenizer.encode(canonical)) * self._part.decode_us_per_token / 1000

    def _loaded(self) -> NeuralCodec:
        with self._lock:
            if self._codec is None:
                from nbmf.neural.codec import NeuralCodec

                part, files = self._part, self._files
                self._codec = NeuralCodec.from_files(
                    files[part.tokenizer],
                    files[part.constants],
                    files[self._model] if self._model else None,
                    files[part.counts] if part.counts else None,
                )
            return self._codec


class NeuralCoder(_LearnedCoder):
    """The network, and the counts beside it where the version has them: smallest, and slow to decode."""

    number: ClassVar[int] = 4
    name: ClassVar[str] = "neural"


class CountsCoder(_LearnedCoder):
    """The counts alone: some ten times faster."""

    number: ClassVar[int] = 5
    name: ClassVar[str] = "counts"
