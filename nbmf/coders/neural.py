"""The learned rungs of the ladder (nbmf.neural): a network with adaptation within the record, and counts without one.

The compiled core is loaded when the first record is coded, not when a version is.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Self

from nbmf import _core, frame, limits
from nbmf.coders.base import InBatches
from nbmf.errors import CorruptBlob, DamagedCodec
from nbmf.neural.record_types import TYPE_OF_KIND
from nbmf.payload import Canonical, Kind

if TYPE_CHECKING:
    from nbmf.manifest import CountsPart, NeuralPart
    from nbmf.neural.codec import NeuralCodec

_TEXT_IN_BYTES = re.compile(rb"[\t\n\r -~]{4,}|(?:[\xc2-\xf4][\x80-\xbf]+){2,}")
_LEAST_TEXT = 0.2  # of bytes; of random ones it is 0.06
_SAMPLES, _SAMPLE_BYTES = 8, 4096


def worth_learning(kind: Kind, canonical: bytes) -> bool:
    """Whether a learned coder is tried: on bytes if, by samples, a fifth of them is text, as in a packed state."""
    if kind is not Kind.BYTES:
        return kind in TYPE_OF_KIND
    step = max(len(canonical) // _SAMPLES, 1)
    samples = [canonical[at : at + min(step, _SAMPLE_BYTES)] for at in range(0, len(canonical), step)]
    text = sum(len(found.group()) for sample in samples for found in _TEXT_IN_BYTES.finditer(sample))
    return text > _LEAST_TEXT * sum(map(len, samples))


class _LearnedCoder(InBatches):
    """All kinds but arrays, up to the version's limit."""

    number: ClassVar[int]
    name: ClassVar[str]

    def __init__(self, part: NeuralPart | CountsPart, files: dict[str, bytes]) -> None:
        self._part = part
        self._model = part.model if hasattr(part, "model") else None
        self._files = {name: files[name] for name in part.named_files()}
        self._codec: NeuralCodec | None = None
        self._problem = ""
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[type[Self], tuple[NeuralPart | CountsPart, dict[str, bytes]]]:
        return type(self), (self._part, self._files)

    @property
    def vocabulary(self) -> bytes:
        """The file of its tokens."""
        return self._files[self._part.tokenizer]

    def takes(self, kind: Kind, size: int) -> bool:
        """Whether a payload of so many canonical bytes is one for this coder."""
        return kind in TYPE_OF_KIND and 0 < size <= min(self._part.max_payload_bytes, limits.max_learned_bytes())

    def encode(self, kind: Kind, canonical: bytes) -> bytes | None:
        return self.encode_batch([Canonical(kind, canonical)])[0]

    def encode_batch(self, records: Sequence[Canonical], latency_budget_ms: float | None = None) -> list[bytes | None]:
        bodies: list[bytes | None] = [None] * len(records)
        taken: list[int] = []
        tokens: list[tuple[memoryview, str]] = []
        for index, (kind, canonical) in enumerate(records):
            if self.takes(kind, len(canonical)) and worth_learning(kind, canonical):
                tokens_T = self.tokens(canonical)
                if tokens_T is None:
                    continue
                record = tokens_T, TYPE_OF_KIND[kind]
                if latency_budget_ms is None or self.expected_ms(len(canonical), len(record[0])) <= latency_budget_ms:
                    taken.append(index)
                    tokens.append(record)
        if taken:
            sizings = [self.sizing(records[index][0]) for index in taken]
            for index, body in zip(taken, self.codec().encode_tokens(tokens, sizings), strict=True):
                bodies[index] = body
        return bodies

    def decode_batch(self, bodies: Sequence[tuple[Kind, bytes, int]]) -> list[bytes | CorruptBlob]:
        results: list[bytes | CorruptBlob] = [self.refused(kind, size) for kind, _, size in bodies]
        taken = [
            index for index, (kind, _, size) in enumerate(bodies) if self.takes(kind, self.least_bytes(kind, size))
        ]
        if taken:
            from nbmf.neural.codec import Stream

            chosen = [
                Stream(body, size, TYPE_OF_KIND[kind], self.sizing(kind))
                for kind, body, size in (bodies[index] for index in taken)
            ]
            for index, data in zip(taken, self.codec().decode_batch(chosen), strict=True):
                size = bodies[index][2]
                results[index] = (
                    CorruptBlob(f"{self.name} body: the stream does not end at {size} bytes") if data is None else data
                )
        return results

    def sizing(self, kind: Kind) -> int:
        """How streams tell where their records end: here the frame does."""
        return _core.SIZE_TOLD

    def least_bytes(self, kind: Kind, size: int) -> int:
        """Of a payload whose frame says `size`."""
        return size

    def refused(self, kind: Kind, size: int) -> CorruptBlob:
        """The error for a body that says it is not."""
        remedy = f"; {limits.LEARNED_VARIABLE}={size} allows it" if size <= self._part.max_payload_bytes else ""
        return CorruptBlob(f"the version's {self.name} coder takes no {kind.label} of {size} bytes{remedy}")

    def tokens(self, canonical: bytes) -> memoryview | None:
        """Of a record; None for one that the version's vocabulary does not give back."""
        from nbmf.neural.codec import TokensDiffer

        try:
            return self.codec().tokens(canonical)
        except TokensDiffer:
            return None

    def decode_ms(self, canonical: bytes) -> float | None:
        """About how long decoding takes, as measured where the version was trained; None where `tokens` is.

        By tokens where that was: foreign scripts have one a byte.
        """
        tokens_T = self.tokens(canonical)
        return None if tokens_T is None else self.expected_ms(len(canonical), len(tokens_T))

    def expected_ms(self, n_bytes: int, n_tokens: int) -> float:
        """The same of so many bytes that are so many tokens."""
        if self._part.decode_us_per_token is None:
            return n_bytes * self._part.decode_us_per_byte / 1000
        return n_tokens * self._part.decode_us_per_token / 1000

    def codec(self) -> NeuralCodec:
        """Made when first asked for. Raises DamagedCodec."""
        with self._lock:
            if self._problem:
                raise DamagedCodec(self._problem)
            if self._codec is None:
                self._codec = self._made()
            return self._codec

    def _made(self) -> NeuralCodec:
        from nbmf.neural.codec import NeuralCodec

        part, files = self._part, self._files
        try:
            return NeuralCodec.from_files(
                files[part.tokenizer],
                files[part.constants],
                files[self._model] if self._model else None,
                files[part.counts] if part.counts else None,
                files[part.primer] if part.primer else None,
            )
        except (ImportError, MemoryError):
            raise
        except Exception as error:  # a version's files may hold anything, and libraries raise as they like
            self._problem = f"the version's files for its {self.name} coder are none: {error}"
            raise DamagedCodec(self._problem) from error


class NeuralCoder(_LearnedCoder):
    """The network, and the counts beside it where the version has them: smallest, and slow to decode."""

    number: ClassVar[int] = 4
    name: ClassVar[str] = "neural"


class CountsCoder(_LearnedCoder):
    """The counts alone: some ten times faster."""

    number: ClassVar[int] = 5
    name: ClassVar[str] = "counts"


class _AloneCoder(_LearnedCoder):
    """What another coder does, in streams that tell where their records end: no length stands beside them."""

    def __init__(self, told: _LearnedCoder) -> None:
        self._told, self._part = told, told._part

    def __reduce__(self) -> tuple[type[Self], tuple[_LearnedCoder]]:  # type: ignore[override]
        return type(self), (self._told,)

    def codec(self) -> NeuralCodec:
        """The other's."""
        return self._told.codec()

    def encode_batch(self, records: Sequence[Canonical], latency_budget_ms: float | None = None) -> list[bytes | None]:
        bodies: list[bytes | None] = [None] * len(records)
        chosen = [index for index, record in enumerate(records) if frame.size_is_told_by_stream(*record)]
        made = super().encode_batch([records[index] for index in chosen], latency_budget_ms)
        for index, body in zip(chosen, made, strict=True):
            bodies[index] = body
        return bodies

    def sizing(self, kind: Kind) -> int:
        return frame.sizing_of(kind)

    def least_bytes(self, kind: Kind, size: int) -> int:
        return frame.least_bytes(kind, size)


class NeuralAloneCoder(_AloneCoder):
    """NeuralCoder's."""

    number: ClassVar[int] = 14
    name: ClassVar[str] = NeuralCoder.name


class CountsAloneCoder(_AloneCoder):
    """CountsCoder's."""

    number: ClassVar[int] = 15
    name: ClassVar[str] = CountsCoder.name
