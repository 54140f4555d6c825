"""Payloads, records and results as messages of nbmf.proto."""

from __future__ import annotations

from typing import Any

from google.protobuf.message import Message
from google.protobuf.unknown_fields import UnknownFieldSet

from nbmf import arrays
from nbmf.effort import Effort
from nbmf.payload import Canonical, Fidelity, Kind, to_canonical
from nbmf.wire import BadWire, array_of, from_utf8
from serve_app.grpc import nbmf_pb2 as pb
from serve_app.held_blobs import Decoded
from serve_app.reading.items import Record, bounded
from serve_app.rollout.split import Keyed, keyed_record
from serve_app.service import Encoded
from serve_app.work.results import Failure

_EFFORTS: dict[int, Effort | None] = {
    pb.EFFORT_UNSPECIFIED: None,
    pb.EFFORT_AUTO: "auto",
    pb.EFFORT_FAST: "fast",
    pb.EFFORT_MAX: "max",
}
_FIDELITIES: dict[int, Fidelity] = {
    pb.FIDELITY_UNSPECIFIED: "lossless",
    pb.FIDELITY_LOSSLESS: "lossless",
    pb.FIDELITY_SEMANTIC: "semantic",
}


def check_known(message: Message, within: str = "") -> None:
    """Raises BadWire for a field that nbmf.proto does not have, as of a newer client: it would have no effect."""
    if numbers := sorted({field.field_number for field in UnknownFieldSet(message)}):
        named = f"{within or message.DESCRIPTOR.name} has fields of a newer nbmf.proto than this server's"
        raise BadWire(f"{named}: {', '.join(map(str, numbers))}")
    for field, value in message.ListFields():
        if field.message_type is not None:
            for inner in value if field.is_repeated else (value,):
                check_known(inner, f"{within or message.DESCRIPTOR.name}.{field.name}")


def json_of(record: pb.Record) -> bytes | None:
    """The JSON text, if the record's payload is one."""
    return record.payload.json if record.payload.WhichOneof("value") == "json" else None


def keyed_of(record: pb.Record, parsed: Record | Failure | None, max_payload_bytes: int) -> Keyed | Failure:
    """The record to encode; `parsed` is what its JSON text was read as.

    Raises BadWire, UnsupportedPayload, PayloadTooLarge.
    """
    if record.fidelity not in _FIDELITIES:
        raise BadWire("fidelity is FIDELITY_LOSSLESS or FIDELITY_SEMANTIC")
    fidelity = _FIDELITIES[record.fidelity]
    key = record.key if record.HasField("key") else None
    if isinstance(parsed, Failure):
        return parsed
    if parsed is not None:
        return keyed_record(parsed.record._replace(fidelity=fidelity), key)
    return keyed_record(bounded(*_canonical_of(record.payload), fidelity, max_payload_bytes), key)


def _canonical_of(message: pb.Payload) -> Canonical:
    match message.WhichOneof("value"):
        case "text":
            return to_canonical(from_utf8(message.text, "text", as_json=False))
        case "binary":
            return to_canonical(message.binary)
        case "array":
            array = message.array
            flags = {"big_endian": array.big_endian, "tensor": array.tensor}
            return Canonical(Kind.ARRAY, array_of(array.dtype, list(array.shape), array.data, **flags))
        case _:
            raise BadWire("a payload has one of text, json, binary, array")


def payload_message(kind: Kind, canonical: bytes) -> pb.Payload:
    """A decoded record. Text and JSON are passed on as they are."""
    match kind:
        case Kind.TEXT:
            return pb.Payload(text=canonical)
        case Kind.BYTES:
            return pb.Payload(binary=canonical)
        case Kind.ARRAY:
            form, at = arrays.split(canonical)
            flags = {"big_endian": form.big_endian, "tensor": form.tensor}
            return pb.Payload(array=pb.Array(dtype=form.type, shape=form.shape, data=canonical[at:], **flags))
        case _:
            return pb.Payload(json=canonical)


def options_of(options: pb.EncodeOptions) -> tuple[Effort | None, float | None]:
    """Effort and budget in ms, None where the request names none. Raises BadWire."""
    if options.effort not in _EFFORTS:
        raise BadWire("effort is one of " + ", ".join(name for name, number in pb.Effort.items() if number))
    if not options.HasField("latency_budget_ms"):
        return _EFFORTS[options.effort], None
    if not 0 < options.latency_budget_ms < float("inf"):
        raise BadWire("latency_budget_ms is a positive number")
    return _EFFORTS[options.effort], options.latency_budget_ms


def encoded_message(encoded: Encoded) -> pb.Encoded:
    """An encoded record."""
    message = pb.Encoded(blob=encoded.blob, payload_bytes=encoded.payload_bytes, **encoded.told._asdict())
    if changed := encoded.changed:
        similarity = pb.Similarity(
            vectors=changed.vectors, cosine_mean=changed.cosine_mean, cosine_min=changed.cosine_min
        )
        message.similarity.CopyFrom(similarity)
    return message


def decoded_message(result: Decoded) -> pb.Decoded:
    """A decoded record."""
    kind = Kind(result.kind)
    return pb.Decoded(payload=payload_message(kind, result.canonical), kind=kind.label, dict_blob=result.form)


def failure_message(failure: Failure) -> pb.Failure:
    """Why there is no result. Lone surrogates that it quotes are written as escapes."""
    return pb.Failure(code=failure.code, message=printable(failure.message))


def version_message(row: dict[str, Any]) -> pb.Version:
    """A row of `CodecService.versions`."""
    fields = dict(row)
    error, measured = fields.pop("error", None), fields.pop("measured", None)
    message = pb.Version(**fields, error=pb.Failure(**error) if error else None)
    if measured is not None:
        message.measured.update(measured)
    return message


def printable(text: str) -> str:
    """Text that UTF-8 can hold."""
    return text.encode("utf-8", "backslashreplace").decode()
