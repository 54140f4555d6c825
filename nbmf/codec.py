"""A codec: the ladder of coders, with or without the learned parts of a codec version."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args

from nbmf import coders, frame, golden, payload
from nbmf.errors import CorruptBlob, NbmfError, OutputTooLarge, PayloadTooLarge, UnknownCodec
from nbmf.payload import Fidelity, Kind

if TYPE_CHECKING:
    from nbmf.manifest import Manifest

T = TypeVar("T")

DEFAULT_MAX_PAYLOAD_BYTES = 64 * 1024 * 1024
"""Largest payload, in canonical bytes, that is encoded or decoded unless the caller says otherwise."""

DEFAULT_LATENCY_BUDGET_MS = 100.0
"""How long decoding a record may take with effort "auto", as far as can be told when it is encoded."""

Effort = Literal["auto", "fast", "max"]
"""max: the smallest blob, however long it takes to encode and decode. auto: that within the latency budget. fast: no
network; of records that are too large for the counts as a whole, as much by them as the latency budget allows."""

REFERENCE_BYTES = 2


@dataclass(frozen=True, slots=True)
class BlobInfo:
    """What a blob tells undecoded. `codec` is the start of the version's id in hex, or None if none is needed.

    `detail`: the segments; or the repeats cut out and the windows by coder; or why no learned coder wrote it.
    """

    kind: str
    coder: str
    fidelity: Fidelity
    codec: str | None
    payload_bytes: int
    blob_bytes: int
    detail: dict[str, Any] | None = None


class Codec:
    """Encodes with one codec version; decodes blobs of that version and those that need none.

    `Codec.load(path)` for a version; `Codec()` has no learned parts. Immutable, safe to share between threads.
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
                learned += [network, coders.SegmentsCoder(network)]
            if manifest.counts:
                learned.append(coders.CountsCoder(manifest.counts, files or {}))
            learned += _windows(learned)
        self._golden = (files or {}).get(manifest.golden) if manifest and manifest.golden else None
        self._exact: set[int] = set()
        self.learned: tuple[coders.Coder, ...] = tuple(learned)
        """The version's own coders."""
        self._coders: dict[int, coders.Coder] = {c.number: c for c in (*coders.CODEC_FREE, *learned)}

    @classmethod
    def load(cls, path: str | Path) -> Codec:
        """The version in folder `path`, verified; from then on `nbmf.decode` knows it in this process.

        Raises DamagedCodec if a file is missing or altered, UnsupportedFormat if it needs a newer nbmf.
        """
        from nbmf.catalog import default_catalog
        from nbmf.manifest import read_version

        codec = cls(*read_version(Path(path)))
        default_catalog().add(codec)
        return codec

    @cached_property
    def reference(self) -> bytes:
        """The two bytes by which blobs name this version; empty for a codec without one."""
        return self._seed[:REFERENCE_BYTES]

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
    ) -> bytes:
        """The smallest blob that the ladder gives for a payload, by coders that the effort permits.

        "auto" leaves out, record by record, those that would take longer than `latency_budget_ms` to decode it, or cuts
        the record into segments or windows, so that they code as much of it as that allows; "fast" always leaves out
        the network, "max" nothing, which takes 20 to 40 µs a byte of large records to encode.

        This version of the package keeps every payload lossless: "semantic" only permits more.
        Raises UnsupportedPayload (a TypeError) naming the path, PayloadTooLarge, ValueError for an unknown
        fidelity or effort.
        """
        kind, canonical = _canonical(value, fidelity, max_payload_bytes)
        return self.encode_canonical(kind, canonical, effort=effort, latency_budget_ms=latency_budget_ms)

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
        if effort not in get_args(Effort):
            raise ValueError(f"effort is one of {', '.join(get_args(Effort))}, not {effort!r}")
        best = [frame.pack_stored(*record) for record in records]
        by_network: set[int] = set()
        for coder in coders.ladder(self._coders.values(), effort):
            # beside the network's, a blob by the counts alone is seldom smaller, and then by a byte: not worth the time
            large = coder.number == coders.WindowsCoder.number
            second = (
                large
                or coder.number == coders.SegmentsCoder.number
                or (effort == "auto" and coder.number == coders.CountsCoder.number)
            )
            chosen = [index for index in range(len(records)) if not (second and index in by_network)]
            learned = coder.number in frame.CODERS_WITH_REFERENCE
            reference, seed = (self.reference, self._seed) if learned else (b"", b"")
            budget = latency_budget_ms if effort == "auto" or (effort == "fast" and large) else None
            bodies = coder.encode_batch([records[index] for index in chosen], budget)
            if any(body is not None for body in bodies):
                self._check_golden(coder)
            for index, body in zip(chosen, bodies, strict=True):
                if body is None:
                    continue
                kind, canonical = records[index]
                blob = frame.pack(kind, coder.number, "lossless", reference, seed, canonical, body)
                if len(blob) < len(best[index]):
                    best[index] = blob
                if coder.number == coders.NeuralCoder.number:
                    by_network.add(index)
        return best

    def decode(self, blob: bytes, *, max_output_bytes: int = DEFAULT_MAX_PAYLOAD_BYTES) -> payload.Payload:
        """The payload of a blob that names this version or none.

        Raises BlobError, UnknownCodec if it names another version.
        """
        return self.decode_frame(parse_bounded(blob, max_output_bytes))

    def decode_frame(self, parsed: frame.Frame) -> payload.Payload:
        """The payload of a parsed blob. Raises BlobError, UnknownCodec if it names another version."""
        return payload.from_canonical(parsed.kind, self.decode_canonical(parsed))

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
        for index, parsed in enumerate(frames):
            if parsed.reference and parsed.reference != self.reference:
                results[index] = UnknownCodec(parsed.reference.hex(), [repr(self)])
            elif parsed.coder == frame.STORED:
                results[index] = parsed.body
            elif parsed.coder not in self._coders:
                name = coders.NAMES[parsed.coder]
                results[index] = CorruptBlob(f"the blob's coder is {name}, which {self!r} does not have")
            else:
                of_coder.setdefault(parsed.coder, []).append(index)
        for number, chosen in of_coder.items():
            bodies = [(frames[index].kind, frames[index].body, frames[index].payload_bytes) for index in chosen]
            for index, decoded in zip(chosen, self._coders[number].decode_batch(bodies), strict=True):
                results[index] = decoded
        return [self._verified(*pair) for pair in zip(frames, results, strict=True)]

    def _verified(self, parsed: frame.Frame, canonical: bytes | NbmfError) -> bytes | NbmfError:
        if isinstance(canonical, NbmfError):
            return canonical
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
    ) -> list[bytes | NbmfError]:
        """A blob, or the error that `encode` raises, for each payload, in order; the same blobs as one by one."""
        read = [attempt(_canonical, value, fidelity, max_payload_bytes) for value in values]
        good = [record for record in read if not isinstance(record, NbmfError)]
        blobs = iter(self.encode_canonical_batch(good, effort=effort, latency_budget_ms=latency_budget_ms))
        return [record if isinstance(record, NbmfError) else next(blobs) for record in read]

    def decode_batch(
        self, blobs: Iterable[bytes], *, max_output_bytes: int = DEFAULT_MAX_PAYLOAD_BYTES
    ) -> list[payload.Payload | NbmfError]:
        """A payload, or the error that `decode` raises, for each blob, in order."""
        return decode_each(blobs, max_output_bytes, self.decode_canonical_batch)

    def warm_up(self) -> None:
        """Loads the learned parts, compiles what codes with them, and decodes the version's golden records.

        It takes half a minute once a machine, then a second. Raises InexactMachine.
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
            golden.check(self._golden, [c for c in self.learned if windows or c.number == coder.number], self.id or "")
            self._exact.add(coder.number)


def _windows(learned: list[coders.Coder]) -> list[coders.Coder]:
    """For large records, by those that a version has."""
    network = next((coder for coder in learned if isinstance(coder, coders.NeuralCoder)), None)
    counts = next((coder for coder in learned if isinstance(coder, coders.CountsCoder)), None)
    return [coders.WindowsCoder(network, counts)] if network or counts else []


WITHOUT_VERSION = Codec()
"""The codec that every installation has: its blobs name no version."""


def _canonical(value: payload.Payload, fidelity: Fidelity, max_payload_bytes: int) -> tuple[Kind, bytes]:
    if fidelity not in ("lossless", "semantic"):
        raise ValueError(f"fidelity is 'lossless' or 'semantic', not {fidelity!r}")
    kind, canonical = payload.to_canonical(value)
    if len(canonical) > max_payload_bytes:
        raise PayloadTooLarge(f"payload of {len(canonical)} bytes; max_payload_bytes is {max_payload_bytes}")
    return kind, canonical


def decode_each(
    blobs: Iterable[bytes],
    max_output_bytes: int,
    decode_frames: Callable[[list[frame.Frame]], Sequence[bytes | NbmfError]],
) -> list[payload.Payload | NbmfError]:
    """A payload, or the error that decoding it raised, for each blob; frames of good ones are decoded in one call."""
    parsed = [attempt(parse_bounded, blob, max_output_bytes) for blob in blobs]
    good = [one for one in parsed if not isinstance(one, NbmfError)]
    decoded = iter(decode_frames(good))
    return [one if isinstance(one, NbmfError) else attempt(_payload, one, next(decoded)) for one in parsed]


def _payload(parsed: frame.Frame, canonical: bytes | NbmfError) -> payload.Payload:
    if isinstance(canonical, NbmfError):
        raise canonical
    return payload.from_canonical(parsed.kind, canonical)


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
    if parsed.payload_bytes > max_output_bytes:
        raise OutputTooLarge(
            f"the blob declares a payload of {parsed.payload_bytes} bytes; max_output_bytes is {max_output_bytes}"
        )
    return parsed


def inspect(blob: bytes) -> BlobInfo:
    """Kind, coder, codec, sizes and parts of a blob, without decoding it. Raises BlobError."""
    parsed = parse_bounded(blob, 1 << 62)
    return BlobInfo(
        kind=parsed.kind.label,
        coder=coders.NAMES[parsed.coder],
        fidelity=parsed.fidelity,
        codec=parsed.reference.hex() or None,
        payload_bytes=parsed.payload_bytes,
        blob_bytes=len(blob),
        detail=coders.described(parsed.coder, parsed.kind, parsed.body, parsed.payload_bytes),
    )
