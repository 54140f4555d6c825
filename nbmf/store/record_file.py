"""A record file of a legacy store: `<key>__<class>.json` with `{"payload", "meta", "cls"}`, plain or encrypted.

Migrated in place, its payload is a dict blob as `nbmf.compat` writes it; all else in it is as it was.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from nbmf import compat, json_text, stub
from nbmf.encryption import ENVELOPE, KEY_REMEDY, StoreKey, told
from nbmf.errors import EncryptionError
from nbmf.payload import Payload
from nbmf.store.errors import KeyRequired, StoreError
from nbmf.store.record import StoredRecord
from nbmf.text_encoding import decode_text
from nbmf.wire import dump

RECORDS_FOLDER = "records"
OWN_FOLDER = ".nbmf"
"""What a migration in place keeps, beside the records."""

SEPARATOR = "__"
SUFFIX = ".json"


class DamagedRecordFile(StoreError):
    """A record file is not of the layout, or cannot be read. `reason` is that of a dead letter."""

    code = "damaged_record_file"

    def __init__(self, reason: str, detail: str) -> None:
        self.reason = reason
        self.detail = detail
        super().__init__(f"{reason}: {detail}")

    def __reduce__(self) -> tuple[type[DamagedRecordFile], tuple[str, str]]:
        return type(self), (self.reason, self.detail)


def file_name(key: str, record_class: str) -> str:
    """The name of a record's file; `/` in keys and classes is written `_`."""
    return f"{_safe(key)}{SEPARATOR}{_safe(record_class)}{SUFFIX}"


def name_key(name: str, record_class: str | None = None) -> str:
    """The key in a file's name; empty if the name is not of the layout.

    The class may hold "__" itself: the one inside the file says where the key ends.
    """
    stem = name.removesuffix(SUFFIX)
    if record_class is not None:
        suffix = SEPARATOR + _safe(record_class)
        if stem.endswith(suffix) and len(stem) > len(suffix):
            return stem.removesuffix(suffix)
    return stem.rpartition(SEPARATOR)[0]


@dataclass(frozen=True, slots=True)
class RecordFile:
    """What a file holds. `payload` is as it is there: a value, or a dict blob of the stub or of nbmf."""

    key: str
    record_class: str
    fields: dict[str, Any]
    encrypted: bool

    @property
    def payload(self) -> Payload:
        return self.fields["payload"]

    @property
    def is_migrated(self) -> bool:
        """Whether it holds a blob of nbmf."""
        return compat.is_dict_blob(self.payload)

    @property
    def is_preview(self) -> bool:
        """Whether it holds a stub's semantic blob, of which there is nothing to migrate."""
        return stub.is_stub_blob(self.payload) and stub.is_preview(self.payload)

    def to_record(self) -> StoredRecord:
        """For readers. Raises CorruptBlob."""
        blob = compat.unwrap(self.payload) if self.is_migrated else b""
        unmigrated = None if self.is_migrated else self.payload
        meta = self.fields.get("meta")
        return StoredRecord(self.key, self.record_class, meta, blob, self.is_preview, self.encrypted, unmigrated)

    def to_migrated(self, blob: bytes, key: StoreKey | None) -> bytes:
        """The file's new content: a blob in the payload's place. Raises BlobError, KeyRequired."""
        return self.with_payload(compat.wrap(blob)).content(key)

    def with_payload(self, payload: Payload) -> RecordFile:
        """The same file with another payload."""
        return replace(self, fields=self.fields | {"payload": payload})

    def content(self, key: StoreKey | None) -> bytes:
        """The file's bytes; encrypted, the same bytes for the same content. Raises KeyRequired."""
        content = dump(self.fields)
        if not self.encrypted:
            return content
        if key is None:
            raise KeyRequired(f"record {self.key!r} is encrypted; its key is needed to write it")
        return dump(key.encrypt(content, context=file_name(self.key, self.record_class).encode()))


def parse(name: str, content: bytes, key: StoreKey | None) -> RecordFile:
    """What a file of that name holds. Raises DamagedRecordFile."""
    stem = name.removesuffix(SUFFIX)
    of_name, _, class_of_name = stem.rpartition(SEPARATOR)
    if not of_name:
        raise DamagedRecordFile("bad_name", f"{name} is not <key>{SEPARATOR}<class>{SUFFIX}")
    value = read_json(content)
    # with other fields beside the envelope's it is a damaged one, not a record in the clear
    encrypted = type(value) is dict and ENVELOPE in value
    if encrypted:
        value = read_json(decrypt(value, key), encrypted=True)
    if type(value) is not dict or "payload" not in value:
        raise DamagedRecordFile("no_payload", "not an object with a `payload`")
    record_class = value.get("cls", class_of_name)
    if type(record_class) is not str:
        raise DamagedRecordFile("bad_class", f"`cls` is {type(record_class).__name__}, not text")
    return RecordFile(name_key(name, record_class), record_class, value, encrypted)


def decrypt(envelope: object, key: StoreKey | None) -> bytes:
    """What an envelope holds. Raises DamagedRecordFile."""
    if key is None:
        raise DamagedRecordFile("encrypted", KEY_REMEDY)
    try:
        return key.decrypt(envelope)
    except EncryptionError as error:
        raise DamagedRecordFile(error.code, str(error)) from error


def read_json(content: bytes, *, encrypted: bool = False) -> Any:
    """The JSON value in UTF-8 text, or in the encoding that a byte order mark tells.

    Raises DamagedRecordFile, which quotes nothing of the text if it stands `encrypted` in its store.
    """
    try:
        return json_text.loads(decode_text(content))
    except UnicodeDecodeError as error:
        raise DamagedRecordFile("not_utf8", told(error, encrypted)) from None
    except json_text.DuplicateKey as error:
        raise DamagedRecordFile("duplicate_key", told(error, encrypted)) from None
    except ValueError as error:
        raise DamagedRecordFile("not_json", told(error, encrypted)) from None


def _safe(name: str) -> str:
    return name.replace("/", "_")
