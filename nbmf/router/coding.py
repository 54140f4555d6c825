"""How a router gets blobs and payloads: in this process, or from a service."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Protocol

from nbmf import api, compat, frame
from nbmf.codec import Codec
from nbmf.errors import NbmfError
from nbmf.payload import Fidelity, Payload, to_canonical
from nbmf.vectors.aim import DEFAULT_AIM
from nbmf.vectors.compare import is_near

if TYPE_CHECKING:
    from nbmf.client.interface import CodecClient

_RETRY_S = 60


class WrongRecord(NbmfError):
    """A blob decodes to another record than it was made of. It is not written."""

    code = "wrong_record"


class Coding(Protocol):
    """Encodes and decodes."""

    def encode(self, payload: Payload, fidelity: Fidelity, key: str) -> bytes:
        """The blob of the record of this key."""

    def decode(self, blob: bytes) -> Payload:
        """The payload of a blob."""


class InProcess:
    """By a codec version; given by its folder, it is loaded when it is first needed, and again a minute after that
    failed."""

    def __init__(self, codec: Codec | str | Path | None, clock: Callable[[], float]) -> None:
        self._codec = codec
        self._clock = clock
        self._lock = Lock()
        self._failed: tuple[float, NbmfError] | None = None

    def encode(self, payload: Payload, fidelity: Fidelity, key: str) -> bytes:
        return api.encode(payload, fidelity, codec=self._loaded())

    def decode(self, blob: bytes) -> Payload:
        codec = None
        with suppress(NbmfError):  # other versions may do for this blob
            codec = self._loaded()
        return api.decode(blob, codec=codec)

    def _loaded(self) -> Codec | None:
        with self._lock:
            if self._codec is None or isinstance(self._codec, Codec):
                return self._codec
            if self._failed is not None and self._clock() - self._failed[0] < _RETRY_S:
                raise self._failed[1]
            try:
                self._codec = api.load(self._codec)
            except NbmfError as error:
                self._failed = self._clock(), error
                raise
            return self._codec


class ByService:
    """By a service, whose rollouts decide on the version by the key; or whatever a CodecClient is."""

    def __init__(self, client: CodecClient) -> None:
        self._client = client

    def encode(self, payload: Payload, fidelity: Fidelity, key: str) -> bytes:
        return self._client.encode(payload, fidelity, key=key)

    def decode(self, blob: bytes) -> Payload:
        return self._client.decode(blob)


def check_same(payload: Payload, blob: bytes, decoded: Payload) -> None:
    """Raises WrongRecord unless the blob's payload is the one that was encoded, but for vectors in a semantic blob."""
    kind, canonical = to_canonical(payload)
    found_kind, found = to_canonical(decoded)
    if (found_kind, found) == (kind, canonical):
        return
    semantic = not compat.of_json(blob) and frame.parse(blob).fidelity == "semantic"
    if semantic and found_kind is kind and is_near(kind, canonical, found, DEFAULT_AIM.least_cosine):
        return
    raise WrongRecord(f"a blob of {len(blob)} bytes decodes to another {kind.label} than it was made of")
