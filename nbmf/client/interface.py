"""What all clients have in common, so that a program can take any of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self, TypeAlias, get_args

from nbmf.effort import Effort
from nbmf.errors import NbmfError
from nbmf.hooks import Default, ObjectHook
from nbmf.payload import Fidelity, Payload
from nbmf.vectors.changed import Coded


@dataclass(frozen=True, slots=True)
class Version:
    """A codec version of a service's registry. One that cannot be used has `problem` in place of what it is."""

    id: str
    channels: tuple[str, ...]
    name: str | None = None
    created_at: str | None = None
    architecture: str | None = None
    measured: dict[str, Any] | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Health:
    """Whether encoder and decoder answer; `problem` says why not."""

    ok: bool
    problem: str | None = None


AnyBlob: TypeAlias = bytes | dict[str, Any]
"""A blob as it is, or a dict blob of `nbmf.compat`, or of the stub."""


class CodecClient(Protocol):
    """Encodes and decodes, somewhere. `Client` and `LocalClient` are such; `AsyncClient` has the same with `await`."""

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
        """The blob of a payload. Raises what `nbmf.encode` raises, ServiceError."""

    def decode(
        self, blob: AnyBlob, *, object_hook: ObjectHook | None = None, timeout_s: float | None = None
    ) -> Payload:
        """The payload of a blob. Raises what `nbmf.decode` raises, ServiceError."""

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
        """As `encode_batch`, with what fidelity semantic changed of each payload: vectors, and their cosines."""

    def decode_batch(
        self, blobs: Iterable[AnyBlob], *, object_hook: ObjectHook | None = None, timeout_s: float | None = None
    ) -> list[Payload | NbmfError]:
        """A payload, or the error that `decode` raises, for each blob, in order."""

    def versions(self, *, timeout_s: float | None = None) -> list[Version]:
        """The codec versions that are there."""

    def health(self, *, timeout_s: float | None = None) -> Health:
        """Whether encoding and decoding work."""

    def close(self) -> None:
        """Gives connections back."""

    def __enter__(self) -> Self:
        """Itself."""

    def __exit__(self, *_: object) -> None:
        """Closes it."""


def check_options(fidelity: str, effort: str | None, latency_budget_ms: float | None) -> None:
    """Raises ValueError for options that no codec takes."""
    if fidelity not in get_args(Fidelity):
        raise ValueError(f"fidelity is one of {', '.join(get_args(Fidelity))}, not {fidelity!r}")
    if effort is not None and effort not in get_args(Effort):
        raise ValueError(f"effort is one of {', '.join(get_args(Effort))}, not {effort!r}")
    if latency_budget_ms is not None:
        if not 0 < latency_budget_ms < float("inf"):
            raise ValueError(f"latency_budget_ms is a positive number, not {latency_budget_ms!r}")
        if effort in ("fast", "max"):
            raise ValueError(f"latency_budget_ms is for effort auto; leave out it or effort {effort}")


def check_keys(keys: Sequence[str | None] | None, records: int) -> list[str | None]:
    """A key, or None, for each record. Raises ValueError if there are not as many."""
    if keys is None:
        return [None] * records
    if isinstance(keys, str) or len(keys) != records:
        raise ValueError(f"keys is a list of {records} keys, one for each payload")
    return list(keys)
