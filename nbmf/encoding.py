"""Canonical bytes to blobs: each record goes by the ladder of coders, and the smallest blob is taken."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from nbmf import coders, frame
from nbmf.effort import EffortSetting
from nbmf.payload import Canonical, Fidelity, Kind
from nbmf.vectors.aim import Aim
from nbmf.vectors.changed import Coded, changed
from nbmf.version_coders import VersionCoders

_DEFLATE_SHARE = 0.7
"""Of zstd's size: where a learned coder needs less, deflate is not tried: zlib is never so much smaller."""

_LARGEST_WHOLE = 64 * 1024
"""Bytes up to which effort "max" tries all coders on the whole of a record, even if what remains is clearly less."""

_Body = tuple[int, bytes]
"""A coder's number and what it made."""


def _size(body: _Body) -> int:
    """Bytes of a blob that the body decides."""
    return len(body[1]) + (frame.REFERENCE_BYTES if body[0] in frame.CODERS_WITH_REFERENCE else 0)


def _is_by_network(coder: coders.Coder, record: Canonical) -> bool:
    """Whether all that the coder could do for a record is to run the network; windows find repeats in larger ones."""
    windows = coder.number == coders.WindowsCoder.number
    return coder.number in coders.NETWORK or (windows and len(record[1]) < coders.WindowsCoder.repeats_from_bytes)


def _far_below_zstd(bodies: list[_Body]) -> bool:
    (by_zstd,) = (len(body) for number, body in bodies if number == coders.ZstdCoder.number)
    return min(map(_size, bodies)) < _DEFLATE_SHARE * by_zstd


class Encoder:
    """Of a version."""

    def __init__(self, version: VersionCoders) -> None:
        self._coders = version

    def encode(
        self,
        records: Sequence[Canonical],
        fidelities: Sequence[Fidelity],
        effort: EffortSetting,
        aim: Aim,
    ) -> list[Coded]:
        """Of semantic ones, vectors are changed to near ones where that makes the blob smaller."""
        cuts = [coders.spans.cut(*record) for record in records]
        found = [(index, cut) for index, cut in enumerate(cuts) if cut]
        remains = [Canonical(records[index].kind, cut.remaining) for index, cut in found]
        largest_whole = _LARGEST_WHOLE if effort.name == "max" else 0
        quick = frozenset(index for index, cut in found if cut.clear and len(records[index][1]) > largest_whole)
        done = frozenset(index for index, cut in found if cut.sure and index in quick and effort.name != "max")
        twins: dict[int, int] = {}
        if effort.budget_ms is not None and math.isfinite(effort.budget_ms):
            twins = {index: number for number, (index, cut) in enumerate(found, len(records)) if cut.short}
            twins |= {number: index for index, number in twins.items()}
        coded = self._ladder([*records, *remains], effort, len(records), quick, done, twins)
        blobs = [Coded(self._smallest_frame(*pair)) for pair in zip(records, coded, strict=False)]
        for (index, cut), bodies in zip(found, coded[len(records) :], strict=True):
            inner = min([(frame.STORED, cut.remaining), *bodies], key=_size)
            lossless = min(blobs[index].blob, self._spans_frame(records[index], cut, inner), key=len)
            blobs[index] = Coded(lossless)
            semantic = fidelities[index] == "semantic"
            near = coders.spans.approximated(*records[index], cut, aim, self._coders.spaces) if semantic else None
            if near:  # what remains beside the vectors is the same
                record, near_cut, cosines = near
                blob = self._spans_frame(Canonical(records[index].kind, record), near_cut, inner, "semantic")
                blobs[index] = _smaller(lossless, blob, cosines)
        if self._coders.vectors and "semantic" in fidelities:
            self._coders.check_golden(self._coders.vectors)
        return [
            self._vector(record, coded.blob, aim) if fidelity == "semantic" and record[0] is Kind.ARRAY else coded
            for record, fidelity, coded in zip(records, fidelities, blobs, strict=True)
        ]

    def _ladder(
        self,
        records: Sequence[Canonical],
        effort: EffortSetting,
        whole: int,
        quick: frozenset[int],
        done: frozenset[int],
        twins: Mapping[int, int],
    ) -> list[list[_Body]]:
        """What the coders that apply make of each record; of those in `quick` only coders that take little time, and of
        those in `done` none.

        The first `whole` are records, the others what remains of some. `twins`: of which the network is to take one
        only, the record if that is within the budget.
        """
        made: list[list[_Body]] = [[] for _ in records]
        by_network: set[int] = set()
        every = sorted((*self._coders.learned, *coders.CODEC_FREE), key=lambda coder: coder.number not in coders.ALONE)
        for coder in coders.ladder(every, effort.name):
            # beside the network's, a blob by the counts alone is seldom smaller, and then by a byte: not worth the time
            large = coder.number == coders.WindowsCoder.number
            second = large or (effort.name == "auto" and coder.number in coders.COUNTS)
            of_remains = coder.number in coders.ALONE.values()
            deflate = coder.number == coders.DeflateCoder.number and effort.name != "max"
            chosen = [
                index
                for index in range(len(records))
                if index not in done
                and not (twins.get(index) in by_network and _is_by_network(coder, records[index]))
                and not (second and index in by_network)
                and not (of_remains and index < whole)
                and not (coder.number in coders.ALONE and index >= whole)
                and not (index in quick and coder.number not in coders.QUICK)
                and not (deflate and index < whole and _far_below_zstd(made[index]))
            ]
            budget_ms = effort.latency_budget_ms if effort.name == "fast" and large else effort.budget_ms
            bodies = coder.encode_batch([records[index] for index in chosen], budget_ms)
            if any(body is not None for body in bodies):
                self._coders.check_golden(coder)
            for index, body in zip(chosen, bodies, strict=True):
                if body is None:
                    continue
                made[index].append((coder.number, body))
                if coder.number in (coders.NeuralCoder.number, coders.NeuralAloneCoder.number):
                    by_network.add(index)
        return made

    def _frame(self, record: Canonical, coder: int, body: bytes, fidelity: Fidelity = "lossless") -> bytes:
        if coder == frame.DEFLATE:
            return frame.pack_deflate(*record, body)
        reference, seed = (
            (self._coders.reference, self._coders.seed) if coder in frame.CODERS_WITH_REFERENCE else (b"", b"")
        )
        return frame.pack(record[0], coder, fidelity, reference, seed, record[1], body)

    def _spans_frame(
        self, record: Canonical, cut: coders.spans.Cut, inner: _Body, fidelity: Fidelity = "lossless"
    ) -> bytes:
        learned = cut.learned or inner[0] in frame.CODERS_WITH_REFERENCE
        number = coders.spans.NUMBER_WITH_REFERENCE if learned else coders.spans.NUMBER
        return self._frame(record, number, cut.body(*inner), fidelity)

    def _vector(self, record: Canonical, lossless: bytes, aim: Aim) -> Coded:
        """The blob of what an array may be changed to, if it is smaller than the lossless one and anything changed."""
        coded = Coded(lossless)
        for coder in (_VECTORS, self._coders.vectors):
            near = coder.approximate(*record, aim) if coder else None
            if coder and near and near[0] != record[1]:
                canonical, body, cosine = near
                blob = self._frame(Canonical(record.kind, canonical), coder.number, body, "semantic")
                if len(blob) < len(coded.blob):
                    coded = _smaller(lossless, blob, [cosine])
        return coded

    def _smallest_frame(self, record: Canonical, bodies: list[_Body]) -> bytes:
        return min([frame.pack_stored(*record), *(self._frame(record, *body) for body in bodies)], key=len)


_VECTORS = coders.VectorsCoder()


def _smaller(lossless: bytes, semantic: bytes, cosines: Sequence[float]) -> Coded:
    if len(semantic) >= len(lossless):
        return Coded(lossless)
    return Coded(semantic, changed(cosines, len(lossless)))
