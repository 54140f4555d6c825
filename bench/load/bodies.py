"""Requests for records, made once, and the comparison of what comes back with what was sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from bench.load.arrivals import Operation
from nbmf import json_text, protocol
from nbmf.errors import NbmfError
from nbmf.payload import Payload, to_canonical
from nbmf.wire import from_wire, to_wire

PATHS: dict[Operation, str] = {"encode": protocol.ENCODE, "decode": protocol.DECODE}


@dataclass(slots=True)
class Exchange:
    """A record's requests, and the answers that are known to be right."""

    payload: Payload
    encode: bytes
    decode: bytes = b""
    known: dict[Operation, set[bytes]] = field(default_factory=lambda: {"encode": set(), "decode": set()})
    to_verify: set[str] = field(default_factory=set)
    """Blobs in base64 that were returned and not decoded yet."""

    def request(self, operation: Operation) -> bytes:
        """The body."""
        return self.encode if operation == "encode" else self.decode

    def learn(self, answer: bytes) -> None:
        """Takes the blob that is to be decoded from the first answer to `encode`. Raises ValueError, KeyError."""
        self.decode = decode_body(json_text.loads(answer.decode())["blob"])
        self.known["encode"].add(answer)

    def accept(self, operation: Operation, answer: bytes) -> bool:
        """Whether the answer is right, as far as can be told at once: a new blob is kept to be decoded later.

        A service answers the same request with the same bytes, so most answers are known without parsing.
        """
        if answer in self.known[operation]:
            return True
        if operation == "encode":
            try:
                self.to_verify.add(json_text.loads(answer.decode())["blob"])
            except (ValueError, KeyError, TypeError):
                return False
        elif not self.is_payload(answer):
            return False
        self.known[operation].add(answer)
        return True

    def is_payload(self, answer: bytes) -> bool:
        """Whether an answer to `decode` is the payload."""
        try:
            fields = json_text.loads(answer.decode())
            fields.pop("kind")
            return to_canonical(from_wire(fields)) == to_canonical(self.payload)
        except (ValueError, KeyError, TypeError, AttributeError, NbmfError):
            return False


def exchanges(payloads: Sequence[Payload]) -> list[Exchange]:
    """One for each payload; their blobs are not known yet."""
    return [
        Exchange(payload, json_text.dumps(to_wire(payload)).encode("utf-8", "backslashreplace")) for payload in payloads
    ]


def decode_body(blob_base64: str) -> bytes:
    """The body of a request to decode this blob."""
    return json_text.dumps({"blob": blob_base64}).encode()
