"""What fidelity semantic makes of records: bytes by kind of value, coded alone, and how near what comes back is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from bench.records import NotEqual, NothingToMeasure
from bench.semantic import similarity
from bench.semantic.values import NUMBERS, REST, TEXT, Values, is_vectors, kind_of, values_of
from nbmf import Codec
from nbmf.effort import Effort
from nbmf.errors import NbmfError
from nbmf.payload import Payload, to_canonical

WHOLE = "whole records"
_BATCH = 64
"""Records that are coded together."""


def run(
    payloads: Sequence[Payload], codec: Codec, effort: Effort, on_records: Callable[[int], object] = lambda _: None
) -> list[dict[str, Any]]:
    """A row a kind of value, and one of whole records: {"values", "count", "lossless_bytes", "semantic_bytes", "gain",
    "changed", "similarity"}.

    Bytes are of whole blobs: a vector is coded alone, all text of a record, all its numbers, and what is left each as
    one payload. `gain` is the share of lossless bytes that semantic saves; `changed` how many of the values are not
    what they were. What came back is taken from whole records, coded with semantic and decoded. Raises NotEqual if
    anything but a value changed, NothingToMeasure without records, MissingExtra where text differs and the packages
    that compare it are missing.
    """
    if not payloads:
        raise NothingToMeasure("no records")
    kinds: dict[str, _Kind] = {}
    for begin in range(0, len(payloads), _BATCH):
        part = payloads[begin : begin + _BATCH]
        for kind, pair in _compared(part, codec, effort, kinds):
            kinds.setdefault(kind, _Kind()).pairs.append(pair)
        alone = [one for payload in part for one in values_of(payload).payloads()]
        for (kind, _), sizes in zip(alone, _sizes([value for _, value in alone], codec, effort), strict=True):
            kinds.setdefault(kind, _Kind()).add(*sizes)
        on_records(len(part))
    order = [WHOLE, *sorted(filter(is_vectors, kinds), key=_dims), TEXT, NUMBERS, REST]
    return [kinds[kind].row(kind) for kind in order if kind in kinds]


class _Kind:
    """Of one kind of value: sizes of blobs, and each value beside what it was decoded to."""

    def __init__(self) -> None:
        self.lossless_bytes = self.semantic_bytes = 0
        self.pairs: list[tuple[Any, Any]] = []

    def add(self, lossless_bytes: int, semantic_bytes: int) -> None:
        self.lossless_bytes += lossless_bytes
        self.semantic_bytes += semantic_bytes

    def row(self, kind: str) -> dict[str, Any]:
        measures: dict[str, Any] = {TEXT: similarity.of_text, NUMBERS: similarity.of_numbers}
        measure = similarity.of_vectors if is_vectors(kind) else measures.get(kind)
        return {
            "values": kind,
            "count": len(self.pairs),
            "lossless_bytes": self.lossless_bytes,
            "semantic_bytes": self.semantic_bytes,
            "gain": 1 - self.semantic_bytes / self.lossless_bytes,
            "changed": sum(to_canonical(given) != to_canonical(found) for given, found in self.pairs),
            "similarity": measure(self.pairs) if measure else {},
        }


def _compared(
    payloads: Sequence[Payload], codec: Codec, effort: Effort, kinds: dict[str, _Kind]
) -> Iterator[tuple[str, tuple[Any, Any]]]:
    """(kind, (value, what it was decoded to)) of records as wholes, and of their values. Counts the wholes' bytes."""
    lossless = _coded(payloads, codec, "lossless", effort)
    semantic = _coded(payloads, codec, "semantic", effort)
    for payload, kept, near in zip(payloads, lossless, semantic, strict=True):
        if to_canonical(codec.decode(kept)) != to_canonical(payload):
            raise NotEqual("a record that was to be kept lossless")
        found = codec.decode(near)
        kinds.setdefault(WHOLE, _Kind()).add(len(kept), len(near))
        yield WHOLE, (payload, found)
        yield from _values(values_of(payload), values_of(found))


def _values(given: Values, found: Values) -> Iterator[tuple[str, tuple[Any, Any]]]:
    if to_canonical(given.rest) != to_canonical(found.rest):
        raise NotEqual("more of a record than its values changed")
    for a, b in zip(given.vectors, found.vectors, strict=True):
        yield kind_of(a), (a, b)
    for kind, pairs in ((TEXT, (given.text, found.text)), (NUMBERS, (given.numbers, found.numbers))):
        for pair in zip(*pairs, strict=True):
            yield kind, pair
    if given.rest is not None:
        yield REST, (given.rest, found.rest)


def _sizes(payloads: Sequence[Any], codec: Codec, effort: Effort) -> list[tuple[int, int]]:
    both = (_coded(payloads, codec, "lossless", effort), _coded(payloads, codec, "semantic", effort))
    return [(len(kept), len(near)) for kept, near in zip(*both, strict=True)]


def _coded(payloads: Sequence[Any], codec: Codec, fidelity: Any, effort: Effort) -> list[bytes]:
    blobs: list[bytes] = []
    for result in codec.encode_batch(payloads, fidelity, effort=effort):
        if isinstance(result, NbmfError):
            raise result
        blobs.append(result)
    return blobs


def _dims(kind: str) -> int:
    return int(kind.rpartition(" ")[2].replace(",", ""))
