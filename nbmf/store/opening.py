"""Which kind of store is at a place."""

from __future__ import annotations

from pathlib import Path

from nbmf.encryption import StoreKey, load_key
from nbmf.places import local_path
from nbmf.store.base import Store
from nbmf.store.errors import StoreError
from nbmf.store.folder import LocalFolder, RemoteFolder
from nbmf.store.layout import PART_PREFIX, PART_SUFFIX
from nbmf.store.parquet import ParquetStore
from nbmf.store.record_files import RecordFiles, is_record_store
from nbmf.store.sqlite import SqliteStore, is_sqlite


def open_store(place: str | Path, *, key: StoreKey | None = None) -> Store:
    """The store at a path, or for Parquet at a URI that pyarrow.fs knows (`s3://`, `gs://`).

    A folder of Parquet parts, a SQLite file, or a legacy store with `records/`, migrated in place or not. Without
    a `key` that in NBMF_STORE_KEY, if there is one, opens encrypted records. Raises StoreError, BadSecret.
    """
    key = key or load_key()
    if "://" in str(place) and not str(place).startswith("file:///"):
        folder = RemoteFolder(str(place))
        try:
            return ParquetStore(*folder.filesystem(), key)
        except FileNotFoundError as error:
            raise StoreError(f"{folder} is no store: it has no {PART_PREFIX}*{PART_SUFFIX}") from error
        except OSError as error:
            raise StoreError(f"{folder}: {error}") from error
    path = local_path(place).expanduser().absolute()
    if is_sqlite(path):
        return SqliteStore(path, key)
    if is_record_store(path):
        return RecordFiles(path, key)
    if not path.is_dir():
        raise StoreError(f"{path} is no store: neither a folder nor a SQLite file of nbmf")
    return ParquetStore(*LocalFolder(path).filesystem(), key)
