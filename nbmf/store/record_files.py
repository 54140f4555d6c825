"""A legacy store of record files as a store, whether some, all or none of them were migrated in place."""

from __future__ import annotations

import errno
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from nbmf.encryption import StoreKey
from nbmf.errors import BlobError, DamagedStubBlob
from nbmf.inspection import inspect
from nbmf.payload import to_canonical
from nbmf.store.base import Store
from nbmf.store.errors import KeyRequired, StoreError, StoreWarning
from nbmf.store.record import RecordKey, StoredRecord
from nbmf.store.record_file import RECORDS_FOLDER, SUFFIX, DamagedRecordFile, RecordFile, file_name, name_key, parse
from nbmf.store.sorted_names import sorted_names
from nbmf.store.statistics import Statistics

_T = TypeVar("_T")


def is_record_store(path: Path) -> bool:
    """Whether there is a legacy store."""
    return (path / RECORDS_FOLDER).is_dir()


class RecordFiles(Store):
    """`<root>/records/<key>__<class>.json`; see `Store`. Its order is that of the file names.

    A key's records are found by name: with a class one file is read, without one the folder is listed. Each file is
    replaced as a whole, so this may read while a migration, its commit or its rollback is at work. A damaged file
    raises DamagedRecordFile when its record is asked for; what goes over all files leaves it out, with a warning.
    """

    def __init__(self, root: Path, key: StoreKey | None = None) -> None:
        self._root = root
        self._key = key

    def __str__(self) -> str:
        return str(self._root)

    def get_all(self, key: str, record_class: str | None = None) -> list[StoredRecord]:
        safe_key, found = key.replace("/", "_"), []
        for name in self._names_of(key) if record_class is None else [file_name(key, record_class)]:
            try:
                file = self._read(name)
            except (DamagedRecordFile, KeyRequired):
                if name_key(name) == safe_key:
                    raise
                continue  # of a longer key, as far as its name tells
            if file is not None and file.key == safe_key and record_class in (None, file.record_class):
                found.append(file.to_record())
        return found

    def classes_of(self, key: str) -> list[str]:
        return sorted({record.record_class for record in self.get_all(key)})

    def iterate(self) -> Iterator[StoredRecord]:
        return self._of_all(RecordFile.to_record)

    def keys(self) -> Iterator[RecordKey]:
        """Each file is read: where its name's key ends, its content says."""
        return self._of_all(lambda file: RecordKey(file.key, file.record_class))

    def statistics(self) -> Statistics:
        """Each file is read. `blob_bytes` of a record that was not migrated are its payload's."""
        found = Statistics()
        for one in self._of_all(_statistics):
            found.merge(one)
        return found

    def __len__(self) -> int:
        """How many record files there are, damaged ones too."""
        return sum(1 for _ in self._names())

    def _names(self, prefix: str = "") -> Iterator[str]:
        folder = self._root / RECORDS_FOLDER
        try:
            yield from sorted_names(folder, SUFFIX, prefix)
        except OSError as error:
            raise StoreError(f"{folder}: {error.strerror or error}") from error

    def _names_of(self, key: str) -> Iterator[str]:
        """Every file that may be of the key, whatever its class."""
        return self._names(file_name(key, "").removesuffix(SUFFIX))

    def _of_all(self, make: Callable[[RecordFile], _T]) -> Iterator[_T]:
        """What is made of each file; without those that are damaged."""
        for name in self._names():
            try:
                file = self._read(name)
                made = None if file is None else make(file)
            except DamagedRecordFile as damaged:
                warnings.warn(f"left out: {damaged}", StoreWarning, stacklevel=2)
            except (BlobError, DamagedStubBlob) as damaged:
                path = self._root / RECORDS_FOLDER / name
                warnings.warn(f"left out: {path}: {damaged}", StoreWarning, stacklevel=2)
            else:
                if made is not None:
                    yield made

    def _read(self, name: str) -> RecordFile | None:
        """None if there is no such file, or no longer, or never can be."""
        path = self._root / RECORDS_FOLDER / name
        try:
            content = path.read_bytes()
        except ValueError:  # a name with NUL, or that is not Unicode text
            return None
        except IsADirectoryError:
            raise DamagedRecordFile("unreadable", f"{path}: a folder") from None
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENAMETOOLONG):
                return None
            raise StoreError(f"{path}: {error.strerror or error}") from error
        try:
            return parse(name, content, self._key)
        except DamagedRecordFile as error:
            if error.reason == "encrypted":
                raise KeyRequired(f"{path} is encrypted; open the store with its key, or set NBMF_STORE_KEY") from None
            raise DamagedRecordFile(error.reason, f"{path}: {error.detail}") from error


def _statistics(file: RecordFile) -> Statistics:
    record, found = file.to_record(), Statistics()
    payload_bytes = inspect(record.blob).payload_bytes if record.blob else None
    if payload_bytes is None:
        payload_bytes = len(to_canonical(record.payload())[1])
    blob_bytes = len(record.blob) or payload_bytes
    found.count(record.record_class, payload_bytes=payload_bytes, blob_bytes=blob_bytes)
    found.previews, found.encrypted, found.unmigrated = map(int, (record.preview, record.encrypted, not record.blob))
    return found
