"""Blobs that a source holds, decoded with the versions of a registry."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

from cluster.registry import Registry
from cluster.sources.storage import SourceUnavailable
from nbmf.catalog import Catalog
from nbmf.decoding import parse_bounded
from nbmf.errors import NbmfError
from nbmf.frame import Frame
from nbmf.payload import Payload, from_canonical

BATCH_RECORDS = 256
BATCH_BYTES = 1024 * 1024
"""Payload bytes of a batch, as its blobs declare them; a larger one is a batch of its own."""


class DecodingFailed(NbmfError):
    """Decoding failed for no known reason."""

    code = "internal_error"


def decode_blobs(blobs: Iterable[bytes], registry: str | None, max_output_bytes: int) -> Iterator[Payload | NbmfError]:
    """In order: the payload of each blob, or why there is none. Raises SourceUnavailable, RegistryError."""
    frames: list[Frame | NbmfError] = []
    held_bytes = 0
    for blob in blobs:
        parsed = _parsed(blob, max_output_bytes)
        size_bytes = parsed.payload_bytes if isinstance(parsed, Frame) else 0
        if frames and (len(frames) >= BATCH_RECORDS or held_bytes + size_bytes > BATCH_BYTES):
            yield from _decoded(frames, registry)
            frames, held_bytes = [], 0
        frames.append(parsed)
        held_bytes += size_bytes
    yield from _decoded(frames, registry)


def _parsed(blob: bytes, max_output_bytes: int) -> Frame | NbmfError:
    try:
        return parse_bounded(blob, max_output_bytes)
    except NbmfError as error:
        return error


def _decoded(frames: Sequence[Frame | NbmfError], registry: str | None) -> Iterator[Payload | NbmfError]:
    sound = [frame for frame in frames if isinstance(frame, Frame)]
    decoded = iter(_together(sound, _catalog(registry)))
    for frame in frames:
        yield next(decoded) if isinstance(frame, Frame) else frame


def _together(frames: list[Frame], catalog: Catalog) -> list[Payload | NbmfError]:
    """One call for all; if that fails, one for each, so that a fault is one record's only."""
    try:
        results = catalog.decode_canonical_batch(frames)
    except NbmfError:  # the registry's: no record is at fault
        raise
    except OSError as error:
        raise SourceUnavailable(f"{'; '.join(catalog.places()[-1:])} cannot be read: {error}") from error
    except Exception as error:
        if len(frames) > 1:
            return [_together([frame], catalog)[0] for frame in frames]
        return [DecodingFailed(f"{type(error).__name__}: {error}")]
    return [_payload(frame, result) for frame, result in zip(frames, results, strict=True)]


def _payload(frame: Frame, canonical: bytes | NbmfError) -> Payload | NbmfError:
    if isinstance(canonical, NbmfError):
        return canonical
    try:
        return from_canonical(frame.kind, canonical)
    except NbmfError as error:
        return error


@lru_cache(maxsize=4)
def _catalog(registry: str | None) -> Catalog:
    """Once a worker process: it keeps the versions that it has loaded."""
    return Registry(registry).catalog()
