"""A record as a store gives it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from nbmf import api, stub
from nbmf.codec import Codec
from nbmf.payload import Payload


class RecordKey(NamedTuple):
    """What names a record: `store.get(*key)`."""

    key: str
    record_class: str


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """A record. `preview` marks a stub's semantic blob, carried over as it was: `payload()` is then that dict.

    `encrypted` says that the store holds it encrypted; what is here is not. `blob` is empty for a record of
    a legacy store that was not migrated: `unmigrated` is then the payload as its file has it.
    """

    key: str
    record_class: str
    meta: Any
    blob: bytes
    preview: bool
    encrypted: bool = False
    unmigrated: Payload = None

    def payload(self, codec: Codec | None = None) -> Payload:
        """The decoded payload. Raises as `nbmf.decode`, and DamagedStubBlob for a legacy record."""
        if self.blob:
            return api.decode(self.blob, codec=codec)
        if stub.is_stub_blob(self.unmigrated) and not self.preview:
            return stub.decode(self.unmigrated)
        return self.unmigrated
