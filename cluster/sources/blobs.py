"""Blobs that a source holds, decoded with the versions of a registry."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

from cluster.registry import Registry
from cluster.sources.storage import SourceUnavailable
from nbmf.batches import attempt_all, bounded
from nbmf.catalog import Catalog
from nbmf.decoding import parse_bounded
from nbmf.errors import NbmfError, attempt
from nbmf.frame import Frame
from nbmf.payload import Payload, from_canonical


class DecodingFailed(NbmfError):
    """Decoding failed for no known reason."""

    code = "internal_error"


def decode_blobs(blobs: Iterable[bytes], registry: str | None, max_output_bytes: int) -> Iterator[Payload | NbmfError]:
    """In order: the payload of each blob, or why there is none. Raises SourceUnavailable, RegistryError."""
    parsed: Iterator[Frame | NbmfError] = (attempt(parse_bounded, blob, max_output_bytes) for blob in blobs)
    for frames in bounded(parsed, _declared_bytes):
        yield from _decoded(frames, registry)


def _declared_bytes(parsed: Frame | NbmfError) -> int:
    return parsed.payload_bytes if isinstance(parsed, Frame) else 0


def _decoded(frames: Sequence[Frame | NbmfError], registry: str | None) -> Iterator[Payload | NbmfError]:
    sound = [frame for frame in frames if isinstance(frame, Frame)]
    decoded = iter(_together(sound, _catalog(registry)))
    for frame in frames:
        yield next(decoded) if isinstance(frame, Frame) else frame


def _together(frames: list[Frame], catalog: Catalog) -> list[Payload | NbmfError]:
    of_registry = (NbmfError, OSError)  # no record is at fault
    try:
        results = attempt_all(catalog.decode_canonical_batch, frames, _failed, fatal=of_registry)
    except NbmfError:
        raise
    except OSError as error:
        raise SourceUnavailable(f"{'; '.join(catalog.places()[-1:])} cannot be read: {error}") from error
    return [_payload(frame, result) for frame, result in zip(frames, results, strict=True)]


def _failed(_frame: Frame, error: Exception) -> DecodingFailed:
    return DecodingFailed(f"{type(error).__name__}: {error}")


def _payload(frame: Frame, canonical: bytes | NbmfError) -> Payload | NbmfError:
    return canonical if isinstance(canonical, NbmfError) else attempt(from_canonical, frame.kind, canonical)


@lru_cache(maxsize=4)
def _catalog(registry: str | None) -> Catalog:
    """Once a worker process: it keeps the versions that it has loaded."""
    return Registry(registry).catalog()
