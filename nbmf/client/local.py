"""The codec of this process, as a client."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Self

from nbmf import api, compat, stub
from nbmf.builtin import default_codec
from nbmf.catalog import default_catalog
from nbmf.client.interface import AnyBlob, Health, Version, check_keys, check_options
from nbmf.codec import Codec
from nbmf.decoding import decode_each
from nbmf.effort import DEFAULT_LATENCY_BUDGET_MS, Effort
from nbmf.errors import NbmfError, attempt
from nbmf.hooks import Default, ObjectHook, with_object_hook
from nbmf.limits import DEFAULT_MAX_PAYLOAD_BYTES
from nbmf.payload import Fidelity, Payload
from nbmf.vectors.changed import Coded


@dataclass(frozen=True, slots=True)
class _OfStub:
    payload: Payload

    def hooked(self, object_hook: ObjectHook | None) -> Payload:
        return with_object_hook(self.payload, object_hook) if object_hook else self.payload


class LocalClient:
    """Encodes with `codec`, or the built-in version, in this process; decodes as `nbmf.decode`.

    For programs and tests that take a CodecClient. There is one version to encode with, so `key` changes nothing;
    and work in this thread cannot be stopped, so `timeout_s` does not either.
    """

    def __init__(self, codec: Codec | None = None, *, max_payload_bytes: int = DEFAULT_MAX_PAYLOAD_BYTES) -> None:
        self._codec = codec
        self._max_payload_bytes = max_payload_bytes

    def encode(
        self,
        payload: Payload,
        fidelity: Fidelity = "lossless",
        *,
        key: str | None = None,
        effort: Effort | None = None,
        latency_budget_ms: float | None = None,
        default: Default | None = None,
        timeout_s: float | None = None,
    ) -> bytes:
        """The blob of a payload. Raises UnsupportedPayload, PayloadTooLarge, ValueError."""
        check_options(fidelity, effort, latency_budget_ms)
        return self._encoder.encode(
            payload,
            fidelity,
            max_payload_bytes=self._max_payload_bytes,
            effort=effort or "auto",
            latency_budget_ms=latency_budget_ms or DEFAULT_LATENCY_BUDGET_MS,
            default=default,
        )

    def decode(
        self, blob: AnyBlob, *, object_hook: ObjectHook | None = None, timeout_s: float | None = None
    ) -> Payload:
        """The payload of a blob. Raises BlobError, DamagedStubBlob, UnknownCodec, DamagedCodec."""
        opened = self._opened(blob)
        if isinstance(opened, _OfStub):
            return opened.hooked(object_hook)
        return api.decode(opened, codec=self._codec, max_output_bytes=self._max_payload_bytes, object_hook=object_hook)

    def encode_batch(
        self,
        payloads: Iterable[Payload],
        fidelity: Fidelity = "lossless",
        *,
        keys: Sequence[str | None] | None = None,
        effort: Effort | None = None,
        latency_budget_ms: float | None = None,
        default: Default | None = None,
        timeout_s: float | None = None,
    ) -> list[bytes | NbmfError]:
        """A blob, or the error that `encode` raises, for each payload, in order."""
        coded = self.encode_measured(
            payloads,
            fidelity,
            keys=keys,
            effort=effort,
            latency_budget_ms=latency_budget_ms,
            default=default,
        )
        return [one if isinstance(one, NbmfError) else one.blob for one in coded]

    def encode_measured(
        self,
        payloads: Iterable[Payload],
        fidelity: Fidelity = "lossless",
        *,
        keys: Sequence[str | None] | None = None,
        effort: Effort | None = None,
        latency_budget_ms: float | None = None,
        default: Default | None = None,
        timeout_s: float | None = None,
    ) -> list[Coded | NbmfError]:
        """As `encode_batch`, with what was changed of each payload: `Codec.encode_measured`."""
        check_options(fidelity, effort, latency_budget_ms)
        payloads = list(payloads)
        check_keys(keys, len(payloads))
        return self._encoder.encode_measured(
            payloads,
            fidelity,
            max_payload_bytes=self._max_payload_bytes,
            effort=effort or "auto",
            latency_budget_ms=latency_budget_ms or DEFAULT_LATENCY_BUDGET_MS,
            default=default,
        )

    def decode_batch(
        self, blobs: Iterable[AnyBlob], *, object_hook: ObjectHook | None = None, timeout_s: float | None = None
    ) -> list[Payload | NbmfError]:
        """A payload, or the error that `decode` raises, for each blob, in order."""
        opened = [attempt(self._opened, blob) for blob in blobs]
        together = partial(default_catalog().decode_canonical_batch, first=self._codec)
        bare = [one for one in opened if not isinstance(one, _OfStub | NbmfError)]
        decoded = iter(decode_each(bare, self._max_payload_bytes, together, object_hook))
        return [
            one
            if isinstance(one, NbmfError)
            else one.hooked(object_hook)
            if isinstance(one, _OfStub)
            else next(decoded)
            for one in opened
        ]

    def versions(self, *, timeout_s: float | None = None) -> list[Version]:
        """The version that this client encodes with; none if it has no learned parts."""
        manifest, version_id = self._encoder.manifest, self._encoder.id
        if manifest is None or version_id is None:
            return []
        measured = manifest.measured.get("all", {})
        return [Version(version_id, (), manifest.name, manifest.created_at, manifest.architecture, measured)]

    def health(self, *, timeout_s: float | None = None) -> Health:
        """Well, as long as the process is."""
        return Health(True)

    def close(self) -> None:
        """Nothing is open."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _opened(self, blob: AnyBlob) -> bytes | _OfStub:
        """The blob as it is, or what is in one of the stub, which needs no codec."""
        if isinstance(blob, bytes):
            blob = compat.of_json(blob) or blob  # as services give it that still write the stub's
        if not isinstance(blob, dict):
            return blob
        if compat.is_dict_blob(blob):
            return compat.unwrap(blob)
        return _OfStub(stub.decode(blob, max_output_bytes=self._max_payload_bytes))

    @property
    def _encoder(self) -> Codec:
        return self._codec or default_codec()
