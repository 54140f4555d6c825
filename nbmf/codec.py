"""A codec: the ladder of coders, with or without the learned parts of a codec version."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args

from nbmf import coders, frame, golden, payload
from nbmf.effort import DEFAULT_LATENCY_BUDGET_MS, Effort
from nbmf.errors import CorruptBlob, NbmfError, OutputTooLarge, PayloadTooLarge, UnknownCodec, UnsupportedFormat
from nbmf.hooks import Default, ObjectHook
from nbmf.json_text import values_within
from nbmf.payload import Fidelity, Kind
from nbmf.places import local_path
from nbmf.vectors.aim import Aim
from nbmf.vectors.changed import Coded, changed
from nbmf.vectors.spaces import Spaces

if TYPE_CHECKING:
    from nbmf.manifest import Manifest

T = TypeVar("T")

DEFAULT_MAX_PAYLOAD_BYTES = 64 * 1024 * 1024
"""Largest payload, in canonical bytes, that is encoded or decoded unless the caller says otherwise."""

DEFAULT_AIM = Aim()
"""How closely semantic fidelity keeps vectors."""

_DEFLATE_SHARE = 0.7
"""Of zstd's size: where a learned coder needs less, deflate is not tried: zlib is never so much smaller."""

_LARGEST_WHOLE = 64 * 1024
"""Bytes up to which effort "max" tries all coders on the whole of a record, even if what remains is clearly less."""

_Body = tuple[int, bytes]
"""A coder's number and what it made."""


def _size(body: _Body) -> int:
    """Bytes of a blob that the body decides."""
    return len(body[1]) + (frame.REFERENCE_BYTES if body[0] in frame.CODERS_WITH_REFERENCE else 0)


def _far_below_zstd(bodies: list[_Body]) -> bool:
    (by_zstd,) = (len(body) for number, body in bodies if number == coders.ZstdCoder.number)
    return min(map(_size, bodies)) < _DEFLATE_SHARE * by_zstd


@dataclass(frozen=True, slots=True)
class BlobInfo:
    """What a blob tells undecoded. `codec` is the start of the version's id in hex, or None if none is needed.

    `payload_bytes` counts canonical bytes; None where only decoding tells: of small JSON that a learned coder wrote.
    `inner` is the coder of what remains where spans are cut out (coders spans and spans_learned), else None.
    `vectors`: how many fidelity "semantic" made near ones of; None in a lossless blob.
    `detail`: the segments; or the repeats cut out and the windows by coder (with spans, of what remains; not told of
    payloads above 64 MiB); or why no learned coder wrote it.
    """

    kind: str
    coder: str
    fidelity: Fidelity
    codec: str | None
    payload_bytes: int | None
    blob_bytes: int
    inner: str | None = None
    vectors: int | None = None
    detail: dict[str, Any] | None = None


class Codec:
    """Encodes with one codec version; decodes blobs of that version and those that need none.

    `nbmf.load(path)` for a version; `Codec()` has no learned parts. Immutable, safe to share between threads.
    """

    def __init__(
        self, version_id: str | None = None, manifest: Manifest | None = None, files: dict[str, bytes] | None = None
    ) -> None:
        self.id = version_id
        self.manifest = manifest
        self._seed = bytes.fromhex(version_id) if version_id else b""
        learned: list[coders.Coder] = []
        if manifest is not None:
            from nbmf.manifest import dictionaries

            learned.append(coders.ZstdDictionaryCoder(dictionaries(manifest, files or {})))
            if manifest.neural:
                network = coders.NeuralCoder(manifest.neural, files or {})
                learned += [network, coders.NeuralAloneCoder(network), coders.SegmentsCoder(network)]
            if manifest.counts:
                counts = coders.CountsCoder(manifest.counts, files or {})
                learned += [counts, coders.CountsAloneCoder(counts)]
            learned += _windows(learned)
            if manifest.vectors:
                learned.append(coders.LearnedVectorsCoder(_spaces(manifest, files or {})))
        self._golden = (files or {}).get(manifest.golden) if manifest and manifest.golden else None
        self._exact: set[int] = set()
        self.learned: tuple[coders.Coder, ...] = tuple(learned)
        """The version's own coders."""
        self._coders: dict[int, coders.Coder] = {c.number: c for c in (*coders.CODEC_FREE, *learned)}

    @classmethod
    def load(cls, path: str | Path) -> Codec:
        """The version in folder `path`, verified. `nbmf.load` gives the same, and makes it known to `nbmf.decode`.

        Raises DamagedCodec if a file is missing or altered, UnsupportedFormat if it needs a newer nbmf.
        """
        from nbmf.manifest import read_version

        return cls(*read_version(local_path(path)))

    @cached_property
    def _learned_vectors(self) -> coders.LearnedVectorsCoder | None:
        return next((coder for coder in self.learned if isinstance(coder, coders.LearnedVectorsCoder)), None)

    @cached_property
    def _spaces(self) -> Spaces | None:
        return self._learned_vectors.spaces if self._learned_vectors else None

    @cached_property
    def reference(self) -> bytes:
        """The two bytes by which blobs name this version; empty for a codec without one."""
        return self._seed[: frame.REFERENCE_BYTES]

    def __repr__(self) -> str:
        return f"Codec({self.id[:12] + '…' if self.id else 'no version'})"

    def encode(
        self,
        value: payload.Payload,
        fidelity: Fidelity = "lossless",
        *,
        max_payload_bytes: int = DEFAULT_MAX_PAYLOAD_BYTES,
        effort: Effort = "auto",
        latency_budget_ms: float = DEFAULT_LATENCY_BUDGET_MS,
        default: Default | None = None,
        aim: Aim = DEFAULT_AIM,
    ) -> bytes:
        """The smallest blob that the ladder gives for a payload, by coders that the effort permits.

        "auto" leaves out, record by record, those that would take longer than `latency_budget_ms` to decode it, or cuts
        the record into segments or windows, so that they code as much of it as that allows; "fast" always leaves out
        the network, "max" nothing, which takes 20 to 40 µs a byte of large records to encode.

        Fidelity "semantic" permits another vector in place of one of floats, whose cosine with it is .98 at least, or
        what `aim` says (docs/vectors.md); everything else it keeps lossless.
        `default`, as that of json.dumps, makes JSON values (or text, bytes, an array) of what is no payload.
        Raises UnsupportedPayload (a TypeError) naming the path, PayloadTooLarge, ValueError for an unknown
        fidelity or effort.
        """
        record = _canonical(value, fidelity, max_payload_bytes, default)
        (coded,) = self._encode([record], [fidelity], effort, latency_budget_ms, aim)
        return coded.blob

    def encode_canonical(
        self,
        kind: Kind,
        canonical: bytes,
        *,
        effort: Effort = "auto",
        latency_budget_ms: float = DEFAULT_LATENCY_BUDGET_MS,
    ) -> bytes:
        """As `encode`, from what `payload.to_canonical` gave."""
        (blob,) = self.encode_canonical_batch([(kind, canonical)], effort=effort, latency_budget_ms=latency_budget_ms)
        return blob

    def encode_canonical_batch(
        self,
        records: Sequence[tuple[Kind, bytes]],
        *,
        effort: Effort = "auto",
        latency_budget_ms: float = DEFAULT_LATENCY_BUDGET_MS,
    ) -> list[bytes]:
        """The blob of each record, the same as one by one; by the engine of `nbmf.engine`.

        Raises InexactMachine if this machine decodes the version's golden records otherwise: it is asked once.
        """
        lossless: list[Fidelity] = ["lossless"] * len(records)
        return [coded.blob for coded in self._encode(records, lossless, effort, latency_budget_ms, DEFAULT_AIM)]

    def encode_canonical_measured(
        self,
        records: Sequence[tuple[Kind, bytes]],
        fidelities: Sequence[Fidelity],
        *,
        effort: Effort = "auto",
        latency_budget_ms: float = DEFAULT_LATENCY_BUDGET_MS,
        aim: Aim = DEFAULT_AIM,
    ) -> list[Coded]:
        """As `encode_canonical_batch`, with a fidelity for each record, and what was changed of those that are
        semantic."""
        return self._encode(records, fidelities, effort, latency_budget_ms, aim)

    def _encode(
        self,
        records: Sequence[tuple[Kind, bytes]],
        fidelities: Sequence[Fidelity],
        effort: Effort,
        latency_budget_ms: float,
        aim: Aim,
    ) -> list[Coded]:
        """Of semantic ones, vectors are changed to near ones where that makes the blob smaller."""
        if effort not in get_args(Effort):
            raise ValueError(f"effort is one of {', '.join(get_args(Effort))}, not {effort!r}")
        cuts = [coders.spans.cut(*record) for record in records]
        found = [(index, cut) for index, cut in enumerate(cuts) if cut]
        remains = [(records[index][0], cut.remaining) for index, cut in found]
        largest_whole = _LARGEST_WHOLE if effort == "max" else 0
        quick = frozenset(index for index, cut in found if cut.clear and len(records[index][1]) > largest_whole)
        coded = self._ladder([*records, *remains], effort, latency_budget_ms, len(records), quick)
        blobs = [Coded(self._smallest_frame(*pair)) for pair in zip(records, coded, strict=False)]
        for (index, cut), bodies in zip(found, coded[len(records) :], strict=True):
            inner = min([(frame.STORED, cut.remaining), *bodies], key=_size)
            lossless = min(blobs[index].blob, self._spans_frame(records[index], cut, inner), key=len)
            blobs[index] = Coded(lossless)
            semantic = fidelities[index] == "semantic"
            near = coders.spans.approximated(*records[index], cut, aim, self._spaces) if semantic else None
            if near:  # what remains beside the vectors is the same
                record, near_cut, cosines = near
                blob = self._spans_frame((records[index][0], record), near_cut, inner, "semantic")
                blobs[index] = _smaller(lossless, blob, cosines)
        if self._learned_vectors and "semantic" in fidelities:
            self._check_golden(self._learned_vectors)
        return [
            self._vector(record, coded.blob, aim) if fidelity == "semantic" and record[0] is Kind.ARRAY else coded
            for record, fidelity, coded in zip(records, fidelities, blobs, strict=True)
        ]

    def _ladder(
        self,
        records: Sequence[tuple[Kind, bytes]],
        effort: Effort,
        latency_budget_ms: float,
        whole: int,
        quick: frozenset[int],
    ) -> list[list[_Body]]:
        """What the coders that apply make of each record; of those in `quick` only coders that take little time.

        The first `whole` are records, the others what remains of some.
        """
        made: list[list[_Body]] = [[] for _ in records]
        by_network: set[int] = set()
        for coder in coders.ladder((*self.learned, *coders.CODEC_FREE), effort):
            # beside the network's, a blob by the counts alone is seldom smaller, and then by a byte: not worth the time
            large = coder.number == coders.WindowsCoder.number
            second = (
                large
                or coder.number == coders.SegmentsCoder.number
                or (effort == "auto" and coder.number in coders.COUNTS)
            )
            of_remains = coder.number in coders.ALONE.values()
            deflate = coder.number == coders.DeflateCoder.number and effort != "max"
            chosen = [
                index
                for index in range(len(records))
                if not (second and index in by_network)
                and not (of_remains and index < whole)
                and not (coder.number in coders.ALONE and index >= whole)
                and not (index in quick and coder.number not in coders.QUICK)
                and not (deflate and index < whole and _far_below_zstd(made[index]))
            ]
            budget = latency_budget_ms if effort == "auto" or (effort == "fast" and large) else None
            bodies = coder.encode_batch([records[index] for index in chosen], budget)
            if any(body is not None for body in bodies):
                self._check_golden(coder)
            for index, body in zip(chosen, bodies, strict=True):
                if body is None:
                    continue
                made[index].append((coder.number, body))
                if coder.number in (coders.NeuralCoder.number, coders.NeuralAloneCoder.number):
                    by_network.add(index)
        return made

    def _frame(self, record: tuple[Kind, bytes], coder: int, body: bytes, fidelity: Fidelity = "lossless") -> bytes:
        if coder == frame.DEFLATE:
            return frame.pack_deflate(*record, body)
        reference, seed = (self.reference, self._seed) if coder in frame.CODERS_WITH_REFERENCE else (b"", b"")
        return frame.pack(record[0], coder, fidelity, reference, seed, record[1], body)

    def _spans_frame(
        self, record: tuple[Kind, bytes], cut: coders.spans.Cut, inner: _Body, fidelity: Fidelity = "lossless"
    ) -> bytes:
        learned = cut.learned or inner[0] in frame.CODERS_WITH_REFERENCE
        number = coders.spans.NUMBER_WITH_REFERENCE if learned else coders.spans.NUMBER
        return self._frame(record, number, cut.body(*inner), fidelity)

    def _vector(self, record: tuple[Kind, bytes], lossless: bytes, aim: Aim) -> Coded:
        """The blob of what an array may be changed to, if it is smaller than the lossless one and anything changed."""
        coded = Coded(lossless)
        for coder in (_VECTORS, self._learned_vectors):
            near = coder.approximate(*record, aim) if coder else None
            if coder and near and near[0] != record[1]:
                canonical, body, cosine = near
                blob = self._frame((record[0], canonical), coder.number, body, "semantic")
                if len(blob) < len(coded.blob):
                    coded = _smaller(lossless, blob, [cosine])
        return coded

    def _smallest_frame(self, record: tuple[Kind, bytes], bodies: list[_Body]) -> bytes:
        return min([frame.pack_stored(*record), *(self._frame(record, *body) for body in bodies)], key=len)

    def decode(
        self,
        blob: bytes,
        *,
        max_output_bytes: int = DEFAULT_MAX_PAYLOAD_BYTES,
        object_hook: ObjectHook | None = None,
    ) -> payload.Payload:
        """The payload of a blob that names this version or none; `object_hook` as that of json.loads.

        Raises BlobError, UnknownCodec if it names another version.
        """
        parsed = parse_bounded(blob, max_output_bytes)
        return payload.from_canonical(
            parsed.kind, self.decode_canonical(parsed), object_hook, values_within(max_output_bytes)
        )

    def decode_canonical(self, parsed: frame.Frame) -> bytes:
        """The canonical bytes in a parsed blob, checked against its checksum. Raises BlobError, UnknownCodec."""
        (result,) = self.decode_canonical_batch([parsed])
        if isinstance(result, NbmfError):
            raise result
        return result

    def decode_canonical_batch(self, frames: Sequence[frame.Frame]) -> list[bytes | NbmfError]:
        """What `decode_canonical` gives for each, or the error that it raises; by the engine of `nbmf.engine`."""
        results: list[bytes | NbmfError] = [CorruptBlob("not decoded")] * len(frames)
        of_coder: dict[int, list[int]] = {}
        cuts: dict[int, coders.spans.Parsed] = {}
        opened = list(frames)  # with what remains in place of a record whose spans are cut out
        for index, parsed in enumerate(frames):
            if parsed.reference and parsed.reference != self.reference:
                results[index] = UnknownCodec(parsed.reference.hex(), [repr(self)])
                continue
            if parsed.coder in coders.spans.NAMES:
                cut = attempt(_open_spans, parsed, self._spaces)
                if isinstance(cut, NbmfError):
                    results[index] = cut
                    continue
                cuts[index] = cut
                parsed = replace(parsed, coder=cut.inner, body=cut.inner_body, payload_bytes=cut.remaining_bytes)
                opened[index] = parsed
            if parsed.coder == frame.STORED:
                results[index] = parsed.body
            elif parsed.coder not in self._coders:
                name = coders.NAMES[parsed.coder]
                results[index] = CorruptBlob(f"the blob's coder is {name}, which {self!r} does not have")
            else:
                of_coder.setdefault(parsed.coder, []).append(index)
        for number, chosen in of_coder.items():
            bodies = [(opened[index].kind, opened[index].body, opened[index].payload_bytes) for index in chosen]
            by_coder = attempt(self._coders[number].decode_batch, bodies)
            decoded_all = [by_coder] * len(chosen) if isinstance(by_coder, NbmfError) else by_coder
            for index, decoded in zip(chosen, decoded_all, strict=True):
                results[index] = decoded
        for index, cut in cuts.items():
            remaining = results[index]
            if not isinstance(remaining, NbmfError):
                results[index] = attempt(cut.join, remaining)
        return [self._verified(*pair) for pair in zip(frames, results, strict=True)]

    def _verified(self, parsed: frame.Frame, canonical: bytes | NbmfError) -> bytes | NbmfError:
        if isinstance(canonical, NbmfError):
            return canonical
        if len(canonical) < parsed.least_bytes:
            return CorruptBlob(f"{len(canonical)} bytes, where the blob says {parsed.least_bytes} at least")
        limit = parsed.max_output_bytes
        if limit is not None and len(canonical) > limit:
            return OutputTooLarge(f"the payload has {len(canonical)} bytes; max_output_bytes is {limit}")
        try:
            frame.verify(parsed, self._seed if parsed.reference else b"", canonical)
        except CorruptBlob as error:
            return error
        return canonical

    def encode_batch(
        self,
        values: Iterable[payload.Payload],
        fidelity: Fidelity = "lossless",
        *,
        max_payload_bytes: int = DEFAULT_MAX_PAYLOAD_BYTES,
        effort: Effort = "auto",
        latency_budget_ms: float = DEFAULT_LATENCY_BUDGET_MS,
        default: Default | None = None,
        aim: Aim = DEFAULT_AIM,
    ) -> list[bytes | NbmfError]:
        """A blob, or the error that `encode` raises, for each payload, in order; the same blobs as one by one."""
        options: dict[str, Any] = {"effort": effort, "latency_budget_ms": latency_budget_ms, "default": default}
        coded = self.encode_measured(values, fidelity, max_payload_bytes=max_payload_bytes, aim=aim, **options)
        return [one if isinstance(one, NbmfError) else one.blob for one in coded]

    def encode_measured(
        self,
        values: Iterable[payload.Payload],
        fidelity: Fidelity = "lossless",
        *,
        max_payload_bytes: int = DEFAULT_MAX_PAYLOAD_BYTES,
        effort: Effort = "auto",
        latency_budget_ms: float = DEFAULT_LATENCY_BUDGET_MS,
        default: Default | None = None,
        aim: Aim = DEFAULT_AIM,
    ) -> list[Coded | NbmfError]:
        """As `encode_batch`, with what semantic fidelity changed of each payload, and how much."""
        read = [attempt(_canonical, value, fidelity, max_payload_bytes, default) for value in values]
        good = [record for record in read if not isinstance(record, NbmfError)]
        coded = iter(self._encode(good, [fidelity] * len(good), effort, latency_budget_ms, aim))
        return [record if isinstance(record, NbmfError) else next(coded) for record in read]

    def decode_batch(
        self,
        blobs: Iterable[bytes],
        *,
        max_output_bytes: int = DEFAULT_MAX_PAYLOAD_BYTES,
        object_hook: ObjectHook | None = None,
    ) -> list[payload.Payload | NbmfError]:
        """A payload, or the error that `decode` raises, for each blob, in order."""
        return decode_each(blobs, max_output_bytes, self.decode_canonical_batch, object_hook)

    def warm_up(self) -> None:
        """Loads the learned parts and decodes the version's golden records, so that no record waits.

        Raises InexactMachine.
        """
        for kind, data in ((Kind.JSON, b"{}"), (Kind.TEXT, b"warm")):
            for coder in self._coders.values():
                (body,) = coder.encode_batch([(kind, data)])
                if body is not None:
                    coder.decode(kind, body, len(data))
        for coder in self.learned:
            self._check_golden(coder)

    def _check_golden(self, coder: coders.Coder) -> None:
        """Before a coder's first body is given out. Raises InexactMachine."""
        if self._golden is not None and coder.number not in self._exact:
            windows = coder.number == coders.WindowsCoder.number  # coded by the others
            numbers = {coder.number, coders.ALONE.get(coder.number)}
            golden.check(self._golden, [c for c in self.learned if windows or c.number in numbers], self.id or "")
            self._exact.add(coder.number)


def _windows(learned: list[coders.Coder]) -> list[coders.Coder]:
    """For large records, by those that a version has."""
    network = next((coder for coder in learned if isinstance(coder, coders.NeuralCoder)), None)
    counts = next((coder for coder in learned if isinstance(coder, coders.CountsCoder)), None)
    return [coders.WindowsCoder(network, counts)] if network or counts else []


_VECTORS = coders.VectorsCoder()

WITHOUT_VERSION = Codec()
"""The codec that every installation has: its blobs name no version."""


def _spaces(manifest: Manifest, files: dict[str, bytes]) -> Spaces:
    return Spaces([space.dims for space in manifest.vectors], [files[space.file] for space in manifest.vectors])


def _smaller(lossless: bytes, semantic: bytes, cosines: Sequence[float]) -> Coded:
    if len(semantic) >= len(lossless):
        return Coded(lossless)
    return Coded(semantic, changed(cosines, len(lossless)))


def _open_spans(parsed: frame.Frame, spaces: Spaces | None = None) -> coders.spans.Parsed:
    """The parts of a blob with spans, by the vector spaces of its version. Raises CorruptBlob, UnsupportedFormat."""
    inner = _inner_coder(parsed)
    if inner in coders.spans.NAMES or (inner in frame.CODERS_WITH_REFERENCE and not parsed.reference):
        raise CorruptBlob(f"what remains beside spans of {coders.NAMES[parsed.coder]} by {coders.NAMES[inner]}")
    if parsed.kind not in coders.spans.KINDS:
        raise CorruptBlob(f"spans in {parsed.kind.label}")
    opened = coders.spans.parse(parsed.body, parsed.payload_bytes, spaces)
    if parsed.reference and not (opened.learned or inner in frame.CODERS_WITH_REFERENCE):
        raise CorruptBlob(f"{coders.NAMES[parsed.coder]} of which nothing needs a version")
    return opened


def _inner_coder(parsed: frame.Frame) -> int:
    """The coder of what remains beside spans. Raises CorruptBlob, UnsupportedFormat."""
    inner = coders.spans.inner_coder(parsed.body)
    if inner not in coders.NAMES:
        raise UnsupportedFormat(f"spans with coder {inner}, which is newer than this reader")
    return inner


def _canonical(
    value: payload.Payload, fidelity: Fidelity, max_payload_bytes: int, default: Default | None
) -> tuple[Kind, bytes]:
    if fidelity not in ("lossless", "semantic"):
        raise ValueError(f"fidelity is 'lossless' or 'semantic', not {fidelity!r}")
    kind, canonical = payload.to_canonical(value, default, values_within(max_payload_bytes))
    if len(canonical) > max_payload_bytes:
        raise PayloadTooLarge(f"payload of {len(canonical)} bytes; max_payload_bytes is {max_payload_bytes}")
    return kind, canonical


def decode_each(
    blobs: Iterable[bytes],
    max_output_bytes: int,
    decode_frames: Callable[[list[frame.Frame]], Sequence[bytes | NbmfError]],
    object_hook: ObjectHook | None = None,
) -> list[payload.Payload | NbmfError]:
    """A payload, or the error that decoding it raised, for each blob; frames of good ones are decoded in one call."""
    parsed = [attempt(parse_bounded, blob, max_output_bytes) for blob in blobs]
    good = [one for one in parsed if not isinstance(one, NbmfError)]
    decoded = iter(decode_frames(good))
    max_values = values_within(max_output_bytes)
    return [
        one if isinstance(one, NbmfError) else attempt(_payload, one, next(decoded), object_hook, max_values)
        for one in parsed
    ]


def _payload(
    parsed: frame.Frame, canonical: bytes | NbmfError, object_hook: ObjectHook | None, max_values: int
) -> payload.Payload:
    if isinstance(canonical, NbmfError):
        raise canonical
    return payload.from_canonical(parsed.kind, canonical, object_hook, max_values)


def attempt(function: Any, *args: Any) -> Any:
    """What the function gives, or the NbmfError that it raises."""
    try:
        return function(*args)
    except NbmfError as error:
        return error


def parse_bounded(blob: bytes, max_output_bytes: int) -> frame.Frame:
    """The blob's parts. Raises BlobError; OutputTooLarge before anything is spent on a payload over the bound."""
    if not isinstance(blob, bytes | bytearray | memoryview):
        raise TypeError(f"a blob is bytes, not {type(blob).__name__}")
    parsed = frame.parse(bytes(blob))
    if parsed.least_bytes > max_output_bytes:
        raise OutputTooLarge(
            f"the blob declares a payload of {parsed.least_bytes} bytes; max_output_bytes is {max_output_bytes}"
        )
    return replace(parsed, max_output_bytes=max_output_bytes) if parsed.payload_bytes > max_output_bytes else parsed


def inspect(blob: bytes) -> BlobInfo:
    """Kind, coder, codec, sizes and parts of a blob, without decoding it. Raises BlobError."""
    parsed = parse_bounded(blob, 1 << 62)
    inner = _inner_coder(parsed) if parsed.coder in coders.spans.NAMES else None
    return BlobInfo(
        kind=parsed.kind.label,
        coder=coders.NAMES[parsed.coder],
        fidelity=parsed.fidelity,
        codec=parsed.reference.hex() or None,
        payload_bytes=parsed.payload_bytes if parsed.payload_bytes == parsed.least_bytes else None,
        blob_bytes=len(blob),
        inner=None if inner is None else coders.NAMES[inner],
        vectors=_near_vectors(parsed) if parsed.fidelity == "semantic" else None,
        detail=_detail(parsed, inner),
    )


def _near_vectors(parsed: frame.Frame) -> int | None:
    """None for a damaged blob."""
    if parsed.coder not in coders.spans.NAMES:
        return int(parsed.coder == _VECTORS.number)
    try:
        return coders.spans.near_vectors(parsed.body, parsed.payload_bytes)
    except CorruptBlob:
        return None


def _detail(parsed: frame.Frame, inner: int | None) -> dict[str, Any] | None:
    if inner not in (coders.WindowsCoder.number, coders.SegmentsCoder.number):
        return coders.described(parsed.coder, parsed.kind, parsed.body, parsed.payload_bytes)
    if parsed.payload_bytes > DEFAULT_MAX_PAYLOAD_BYTES:  # spans are written out to see what remains beside them
        return None
    try:
        opened = _open_spans(parsed)
    except CorruptBlob:
        return None
    return coders.described(inner, parsed.kind, opened.inner_body, opened.remaining_bytes)
