"""A codec: payloads to blobs and back, with or without the learned parts of a codec version."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nbmf import payload
from nbmf.decoding import Decoder, decode_each, parse_bounded
from nbmf.effort import DEFAULT_LATENCY_BUDGET_MS, Effort, EffortSetting
from nbmf.encoding import Encoder
from nbmf.errors import NbmfError, PayloadTooLarge, attempt
from nbmf.frame import Frame
from nbmf.hooks import Default, ObjectHook
from nbmf.json_text import values_within
from nbmf.limits import DEFAULT_MAX_PAYLOAD_BYTES
from nbmf.payload import Canonical, Fidelity, Kind
from nbmf.places import local_path
from nbmf.vectors.aim import DEFAULT_AIM, Aim
from nbmf.vectors.changed import Coded
from nbmf.version_coders import VersionCoders

if TYPE_CHECKING:
    from nbmf.coders import Coder
    from nbmf.manifest import Manifest


class Codec:
    """Encodes with one codec version; decodes blobs of that version and those that need none.

    `nbmf.load(path)` for a version; `Codec()` has no learned parts. Immutable, safe to share between threads.
    """

    def __init__(
        self, version_id: str | None = None, manifest: Manifest | None = None, files: dict[str, bytes] | None = None
    ) -> None:
        self.id = version_id
        self.manifest = manifest
        self.coders = VersionCoders(version_id, manifest, files)
        self._encoder, self._decoder = Encoder(self.coders), Decoder(self.coders)

    @classmethod
    def load(cls, path: str | Path) -> Codec:
        """The version in folder `path`, verified. `nbmf.load` gives the same, and makes it known to `nbmf.decode`.

        Raises DamagedCodec if a file is missing or altered, UnsupportedFormat if it needs a newer nbmf.
        """
        from nbmf.manifest import read_version

        return cls(*read_version(local_path(path)))

    @property
    def reference(self) -> bytes:
        """The two bytes by which blobs name this version; empty for a codec without one."""
        return self.coders.reference

    @property
    def learned(self) -> tuple[Coder, ...]:
        """The version's own coders."""
        return self.coders.learned

    def __repr__(self) -> str:
        return repr(self.coders)

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

        "auto" leaves out, record by record, those that would take longer than `latency_budget_ms` to decode it on such
        a processor, or cuts the record into windows, so that they code as much of it as that allows; "fast" always
        leaves out the network, "max" nothing, which takes 20 to 40 µs a byte of large records to encode.

        Fidelity "semantic" permits another vector in place of one of floats, whose cosine with it is .98 at least, or
        what `aim` says (docs/vectors.md); everything else it keeps lossless.
        `default`, as that of json.dumps, makes JSON values (or text, bytes, an array) of what is no payload.
        Raises UnsupportedPayload (a TypeError) naming the path, PayloadTooLarge, ValueError for an unknown
        fidelity, effort or budget.
        """
        record = _canonical(value, fidelity, max_payload_bytes, default)
        (coded,) = self._encoder.encode([record], [fidelity], EffortSetting(effort, latency_budget_ms), aim)
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
        (blob,) = self.encode_canonical_batch(
            [Canonical(kind, canonical)], effort=effort, latency_budget_ms=latency_budget_ms
        )
        return blob

    def encode_canonical_batch(
        self,
        records: Sequence[Canonical],
        *,
        effort: Effort = "auto",
        latency_budget_ms: float = DEFAULT_LATENCY_BUDGET_MS,
    ) -> list[bytes]:
        """The blob of each record, the same as one by one; by the engine of `nbmf.engine`.

        Raises InexactMachine if this machine decodes the version's golden records otherwise: it is asked once.
        """
        lossless: list[Fidelity] = ["lossless"] * len(records)
        setting = EffortSetting(effort, latency_budget_ms)
        return [coded.blob for coded in self._encoder.encode(records, lossless, setting, DEFAULT_AIM)]

    def encode_canonical_measured(
        self,
        records: Sequence[Canonical],
        fidelities: Sequence[Fidelity],
        *,
        effort: Effort = "auto",
        latency_budget_ms: float = DEFAULT_LATENCY_BUDGET_MS,
        aim: Aim = DEFAULT_AIM,
    ) -> list[Coded]:
        """As `encode_canonical_batch`, with a fidelity for each record, and what was changed of those that are
        semantic."""
        return self._encoder.encode(records, fidelities, EffortSetting(effort, latency_budget_ms), aim)

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

    def decode_canonical(self, parsed: Frame) -> bytes:
        """The canonical bytes in a parsed blob, checked against its checksum. Raises BlobError, UnknownCodec."""
        (result,) = self.decode_canonical_batch([parsed])
        if isinstance(result, NbmfError):
            raise result
        return result

    def decode_canonical_batch(self, frames: Sequence[Frame]) -> list[bytes | NbmfError]:
        """What `decode_canonical` gives for each, or the error that it raises; by the engine of `nbmf.engine`."""
        return self._decoder.decode(frames)

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
        coded = self.encode_measured(
            values,
            fidelity,
            max_payload_bytes=max_payload_bytes,
            effort=effort,
            latency_budget_ms=latency_budget_ms,
            default=default,
            aim=aim,
        )
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
        setting = EffortSetting(effort, latency_budget_ms)
        coded = iter(self._encoder.encode(good, [fidelity] * len(good), setting, aim))
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
            for coder in self.coders.by_number.values():
                (body,) = coder.encode_batch([Canonical(kind, data)])
                if body is not None:
                    coder.decode(kind, body, len(data))
        for coder in self.learned:
            self.coders.check_golden(coder)


WITHOUT_VERSION = Codec()
"""The codec that every installation has: its blobs name no version."""


def _canonical(
    value: payload.Payload, fidelity: Fidelity, max_payload_bytes: int, default: Default | None
) -> Canonical:
    if fidelity not in ("lossless", "semantic"):
        raise ValueError(f"fidelity is 'lossless' or 'semantic', not {fidelity!r}")
    kind, canonical = payload.to_canonical(value, default, values_within(max_payload_bytes))
    if len(canonical) > max_payload_bytes:
        raise PayloadTooLarge(f"payload of {len(canonical)} bytes; max_payload_bytes is {max_payload_bytes}")
    return Canonical(kind, canonical)
