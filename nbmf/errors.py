"""Every error that nbmf raises on purpose, in one tree: one class, one cause.

    NbmfError
    ├── UnsupportedPayload     (also TypeError)   encode: the value cannot be represented; names the path
    ├── PayloadTooLarge        (also ValueError)  encode: over max_payload_bytes
    ├── BlobError                                 decode, inspect: the blob is at fault
    │   ├── NotABlob                              the first byte is not one of ours
    │   ├── UnsupportedFormat                     written by a newer nbmf than this one
    │   ├── CorruptBlob                           truncated or altered
    │   │   └── ChecksumMismatch                  decoded, but to something else than was written
    │   └── OutputTooLarge                        declares more than max_output_bytes
    ├── MissingLibrary                            decode: the payload is of a library that is not installed
    ├── MissingExtra           (also ImportError) what was called needs an extra that is not installed
    ├── CodecError                                the codec version is at fault
    │   ├── UnknownCodec                          the blob names a version that was not found
    │   ├── DamagedCodec                          a version's files are missing or altered
    │   └── InexactMachine                        a version's golden records decode otherwise here
    ├── BadPolicy                                 a file of fidelities by class is none
    ├── NotALocalPath         (also ValueError)   a URI where a path on this machine is wanted
    ├── DamagedStubBlob                           a blob of the zlib stub that this project replaces
    ├── EncryptionError                           encryption at rest
    │   ├── BadSecret                             no key can be made of the secret, or not one to write with
    │   ├── WrongKey                              encrypted with another key, or altered
    │   └── DamagedEnvelope                       not the form of what was encrypted
    ├── (store.errors)                             stores of blobs: no such record, no key, no index
    ├── (router.WrongRecord)                       a blob decodes to another record than it was made of
    ├── (engine.EngineMissing)                     the chosen engine is not installed
    ├── (client.ServiceError)                      the service, or the way to it
    └── (cluster.errors)                          registry, configuration, sessions, jobs

An UnknownCodec is never reported as corruption: the record is whole, its version is elsewhere.
"""

from __future__ import annotations

import re
from typing import Any

_PATH = re.compile(r'(\$(?:\.\w+|\[\d+\]|\["(?:[^"\\]|\\.)*"\])*…?): (.*)', re.DOTALL)
_UNKNOWN_CODEC = re.compile(r"codec version (.*?)… is not here; looked in: (.*)\. Load it with ", re.DOTALL)


class NbmfError(Exception):
    """Base of all errors raised on purpose. `code` is stable and machine-readable."""

    code = "nbmf_error"

    request_id: str | None = None
    """Of the request to a service that ended with this error, if it came from there."""

    @classmethod
    def from_message(cls, message: str) -> NbmfError:
        """The error of this class that has this message, as another process raised it."""
        return cls(message)


class UnsupportedPayload(NbmfError, TypeError):
    """The payload holds a value that decoding could not give back equal."""

    code = "unsupported_payload"

    def __init__(self, path: str, problem: str) -> None:
        self.path = path
        self.problem = problem
        super().__init__(f"{path}: {problem}")

    @classmethod
    def from_message(cls, message: str) -> NbmfError:
        """The error of this class that has this message, as another process raised it."""
        found = _PATH.match(message)
        return cls(*found.groups()) if found else cls("$", message)

    def __reduce__(self) -> tuple[type[UnsupportedPayload], tuple[str, str], dict[str, Any]]:
        return type(self), (self.path, self.problem), self.__dict__


class PayloadTooLarge(NbmfError, ValueError):
    """The payload is over `max_payload_bytes`."""

    code = "payload_too_large"


class BlobError(NbmfError):
    """The blob cannot be decoded."""

    code = "blob_error"


class NotABlob(BlobError):
    """The first byte is not one that nbmf writes."""

    code = "not_a_blob"


class UnsupportedFormat(BlobError):
    """The blob or version was written by a newer nbmf."""

    code = "unsupported_format"


class CorruptBlob(BlobError):
    """The blob is truncated or altered."""

    code = "corrupt_blob"


class ChecksumMismatch(CorruptBlob):
    """The blob decodes, but not to what was written."""

    code = "checksum_mismatch"


class OutputTooLarge(BlobError):
    """The blob declares a payload over `max_output_bytes`; nothing was decoded."""

    code = "output_too_large"


class MissingLibrary(NbmfError):
    """The payload is an array of a library that is not installed here. The blob is whole."""

    code = "missing_library"


class MissingExtra(NbmfError, ImportError):
    """A library of one of nbmf's extras is not installed here; the message says how it is."""

    code = "missing_extra"


class CodecError(NbmfError):
    """The codec version cannot be used."""

    code = "codec_error"


class UnknownCodec(CodecError):
    """The codec version that a blob names was not found. The blob may be whole."""

    code = "unknown_codec"

    def __init__(self, reference: str, searched: list[str]) -> None:
        self.reference = reference
        self.searched = searched
        places = "; ".join(searched) if searched else "nowhere (no version is loaded)"
        super().__init__(
            f"codec version {reference}… is not here; looked in: {places}. "
            "Load it with nbmf.load(path), or name its parent folder in NBMF_CODEC_PATH."
        )

    @classmethod
    def from_message(cls, message: str) -> NbmfError:
        """The error of this class that has this message, as another process raised it."""
        found = _UNKNOWN_CODEC.match(message)
        if found is None:
            return cls("?", [message])
        reference, places = found.groups()
        return cls(reference, [] if places.startswith("nowhere (") else places.split("; "))

    def __reduce__(self) -> tuple[type[UnknownCodec], tuple[str, list[str]], dict[str, Any]]:
        return type(self), (self.reference, self.searched), self.__dict__


class DamagedCodec(CodecError):
    """A codec version's folder lacks files, or they are not the ones its id names."""

    code = "damaged_codec"


class InexactMachine(CodecError):
    """This machine, or the engine on it, computes otherwise than the one on which the version was trained."""

    code = "inexact_machine"


class BadPolicy(NbmfError):
    """What says with which fidelity classes are kept is no policy; names the class."""

    code = "bad_policy"


class NotALocalPath(NbmfError, ValueError):
    """A URI was given where a path on this machine is wanted."""

    code = "not_a_local_path"


class DamagedStubBlob(NbmfError):
    """A dict blob of the zlib stub cannot be read."""

    code = "damaged_stub_blob"


class EncryptionError(NbmfError):
    """Something cannot be encrypted or decrypted."""

    code = "encryption_error"


class BadSecret(EncryptionError):
    """No key can be made of the secret, or none that protects what is written with it."""

    code = "bad_secret"


class WrongKey(EncryptionError):
    """Encrypted with another key, or altered since: the two cannot be told apart."""

    code = "wrong_key"


class DamagedEnvelope(EncryptionError):
    """Not the form of what was encrypted: fields are missing, not base64, or of a wrong length."""

    code = "damaged_envelope"


def attempt(function: Any, *args: Any) -> Any:
    """What the function gives, or the NbmfError that it raises."""
    try:
        return function(*args)
    except NbmfError as error:
        return error
