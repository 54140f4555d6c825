"""Blobs to canonical bytes, which are checked against their checksum."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from nbmf import coders, frame, payload
from nbmf.errors import CorruptBlob, NbmfError, OutputTooLarge, UnknownCodec, UnsupportedFormat, attempt
from nbmf.hooks import ObjectHook
from nbmf.json_text import values_within
from nbmf.vectors.spaces import Spaces
from nbmf.version_coders import VersionCoders


class Decoder:
    """Of blobs that name a version, or none."""

    def __init__(self, version: VersionCoders) -> None:
        self._coders = version

    def decode(self, frames: Sequence[frame.Frame]) -> list[bytes | NbmfError]:
        """The canonical bytes in each parsed blob, or the error why not; by the engine of `nbmf.engine`."""
        results: list[bytes | NbmfError] = [CorruptBlob("not decoded")] * len(frames)
        of_coder: dict[int, list[int]] = {}
        cuts: dict[int, coders.spans.Parsed] = {}
        opened = list(frames)  # with what remains in place of a record whose spans are cut out
        for index, parsed in enumerate(frames):
            if parsed.reference and parsed.reference != self._coders.reference:
                results[index] = UnknownCodec(parsed.reference.hex(), [repr(self._coders)])
                continue
            if parsed.coder in coders.spans.NAMES:
                cut = attempt(open_spans, parsed, self._coders.spaces)
                if isinstance(cut, NbmfError):
                    results[index] = cut
                    continue
                cuts[index] = cut
                parsed = replace(parsed, coder=cut.inner, body=cut.inner_body, payload_bytes=cut.remaining_bytes)
                opened[index] = parsed
            if parsed.coder == frame.STORED:
                results[index] = parsed.body
            elif parsed.coder not in self._coders.by_number:
                name = coders.NAMES[parsed.coder]
                results[index] = CorruptBlob(f"the blob's coder is {name}, which {self._coders!r} does not have")
            else:
                of_coder.setdefault(parsed.coder, []).append(index)
        for number, chosen in of_coder.items():
            bodies = [(opened[index].kind, opened[index].body, opened[index].payload_bytes) for index in chosen]
            by_coder = attempt(self._coders.by_number[number].decode_batch, bodies)
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
            frame.verify(parsed, self._coders.seed if parsed.reference else b"", canonical)
        except CorruptBlob as error:
            return error
        return canonical


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


def open_spans(parsed: frame.Frame, spaces: Spaces | None = None) -> coders.spans.Parsed:
    """The parts of a blob with spans, by the vector spaces of its version. Raises CorruptBlob, UnsupportedFormat."""
    inner = inner_coder(parsed)
    if inner in coders.spans.NAMES or (inner in frame.CODERS_WITH_REFERENCE and not parsed.reference):
        raise CorruptBlob(f"what remains beside spans of {coders.NAMES[parsed.coder]} by {coders.NAMES[inner]}")
    if parsed.kind not in coders.spans.KINDS:
        raise CorruptBlob(f"spans in {parsed.kind.label}")
    opened = coders.spans.parse(parsed.body, parsed.payload_bytes, spaces)
    if parsed.reference and not (opened.learned or inner in frame.CODERS_WITH_REFERENCE):
        raise CorruptBlob(f"{coders.NAMES[parsed.coder]} of which nothing needs a version")
    return opened


def inner_coder(parsed: frame.Frame) -> int:
    """The coder of what remains beside spans. Raises CorruptBlob, UnsupportedFormat."""
    inner = coders.spans.inner_coder(parsed.body)
    if inner not in coders.NAMES:
        raise UnsupportedFormat(f"spans with coder {inner}, which is newer than this reader")
    return inner
