"""Which source a location is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow.fs as pafs

from cluster.errors import RecordsError
from cluster.sources.base import DEFAULT_MAX_RECORD_BYTES, Source, SourceOptions
from cluster.sources.choice import payload_of
from cluster.sources.dataset import DataSet, is_data_set
from cluster.sources.jsonl import JsonLines
from cluster.sources.legacy import RECORDS_FOLDER, LegacyStore, has_legacy_files, is_legacy_store
from cluster.sources.parquet import ParquetFiles
from cluster.sources.readers import checked, load_reader
from cluster.sources.sqlite import SqliteTable
from cluster.sources.sqlite_file import MAGIC
from cluster.sources.sqlite_store import SqliteStore, is_sqlite_store
from cluster.sources.storage import Storage, locate
from nbmf.encryption import StoreKey

_JSONL_SUFFIXES = (".jsonl", ".ndjson")
_PARQUET_SUFFIXES = (".parquet", ".pq")
_SQLITE_SUFFIXES = (".sqlite", ".sqlite3", ".db")
_PART_PREFIX = "part-"
_BESIDE_PARTS = ("dead-letters.jsonl",)
_READERS = ("legacy", "jsonl", "parquet", "sqlite", "dataset")
_NAMES = {"jsonl": "JSON Lines", "parquet": "Parquet", "sqlite": "SQLite", "dataset": "data set", "legacy": "legacy"}


def open_source(
    location: str | Path,
    *,
    reader: str | None = None,
    payload_field: str | None = None,
    payload: str | None = None,
    key_field: str | None = None,
    class_field: str | None = None,
    table: str | None = None,
    parse_json: bool = False,
    max_record_bytes: int = DEFAULT_MAX_RECORD_BYTES,
    key: StoreKey | None = None,
    registry: str | None = None,
    filesystem: pafs.FileSystem | None = None,
) -> Source:
    """The source at a path, or a URI that pyarrow.fs knows (or a path on the given filesystem).

    `reader` says what it is: `legacy`, `jsonl`, `parquet`, `sqlite`, `dataset` (of nbmf), or the class of a source
    of your own as `package.module:Class`. Without it, what is there decides: a .jsonl, .parquet or SQLite file, a
    folder of the first two, a data set or a legacy store. Raises RecordsError if there is nothing there, or nothing
    that is known.
    """
    options = SourceOptions(
        payload_field=payload_field,
        payload=payload,
        key_field=key_field,
        class_field=class_field,
        table=table,
        parse_json=parse_json,
        max_record_bytes=max_record_bytes,
        key=key,
        registry=registry,
        filesystem=filesystem,
    )
    if reader is not None and reader not in _READERS:
        return checked(load_reader(reader)(str(location), options), reader)
    storage, path = locate(location, filesystem)
    state = storage.state(path)
    if not state.is_file and not state.is_folder:
        raise RecordsError(f"{storage.show(path)} does not exist")
    files = _folder_files(storage, path) if state.is_folder else (path,)
    kind = reader or _recognised(storage, path, files, state.is_folder)
    if table is not None and kind != "sqlite":
        raise RecordsError(f"{storage.show(path)} is no SQLite file, so it has no table {table!r}")
    return _make(kind, storage, path, files, options)


def _recognised(storage: Storage, path: str, files: tuple[str, ...], is_folder: bool) -> str:
    if not is_folder:
        kind = _kind_of_file(storage, path)
        if kind is not None:
            return kind
    elif storage.is_local and (Path(path) / RECORDS_FOLDER).is_dir():
        return "legacy"
    found = set(_kinds_in_folder(storage, files)) if is_folder else set()
    if is_folder and storage.is_local and has_legacy_files(Path(path)):
        found.add("legacy")
    if not found and is_folder and storage.is_local and is_legacy_store(Path(path)):
        found = {"legacy"}
    if len(found) == 1:
        return found.pop()
    shown = storage.show(path)
    if found:
        names = " and ".join(_NAMES[kind] for kind in sorted(found))
        raise RecordsError(f"{shown} holds both {names} files; name them one by one, or say which with --reader")
    known = ", ".join((*_JSONL_SUFFIXES, *_PARQUET_SUFFIXES, *_SQLITE_SUFFIXES))
    raise RecordsError(
        f"{shown}: no records known here (files {known}, a data set, or a legacy store with records/, "
        "a_<n>.json or <sha256> files)"
    )


def _make(kind: str, storage: Storage, path: str, files: tuple[str, ...], options: SourceOptions) -> Source:
    is_sqlite = files == (path,) and _magic(storage, path)
    if (kind in ("legacy", "sqlite") or is_sqlite) and not storage.is_local:
        raise RecordsError(f"{storage.show(path)}: {_NAMES[kind]} sources are read on local filesystems; copy it first")
    fields = payload_of(options.payload_field, options.payload), options.key_field, options.class_field
    bound = options.max_record_bytes
    if kind == "legacy":
        return LegacyStore(Path(path), bound, options.key, options.registry)
    if kind == "dataset" and is_sqlite:
        return SqliteStore(Path(path), options.registry, options.key, bound)
    if kind == "sqlite":
        return SqliteTable(Path(path), options.table, *fields, options.parse_json, bound, options.registry)
    paths = _of_kind(kind, storage, path, files)
    if kind == "jsonl":
        return JsonLines(paths, *fields, bound, storage, options.registry)
    if kind == "parquet":
        return ParquetFiles(paths, *fields, options.parse_json, bound, storage, options.registry)
    return DataSet(paths, options.registry, options.key, bound, storage)


def _of_kind(kind: str, storage: Storage, path: str, files: tuple[str, ...]) -> tuple[str, ...]:
    """Of a folder's files those of the kind; a file that was named itself, whatever its name."""
    if files == (path,):
        return files
    wanted = "jsonl" if kind == "jsonl" else "parquet"
    found = tuple(file for file in files if _kind_by_name(file) == wanted and (kind != "dataset" or _is_part(file)))
    if not found:
        raise RecordsError(f"{storage.show(path)} holds no {_NAMES[kind]} files")
    return found


def _folder_files(storage: Storage, folder: str) -> tuple[str, ...]:
    return tuple(f"{folder}/{name}" for name in storage.names(folder, (*_JSONL_SUFFIXES, *_PARQUET_SUFFIXES)))


def _kind_by_name(path: str) -> str | None:
    for kind, suffixes in (("jsonl", _JSONL_SUFFIXES), ("parquet", _PARQUET_SUFFIXES), ("sqlite", _SQLITE_SUFFIXES)):
        if path.endswith(suffixes):
            return kind
    return None


def _kind_of_file(storage: Storage, path: str) -> str | None:
    kind = _kind_by_name(path)
    if kind == "parquet" and _is_part(path) and is_data_set(storage, path):
        return "dataset"
    if kind in ("sqlite", None) and _magic(storage, path):
        return "dataset" if storage.is_local and is_sqlite_store(Path(path)) else "sqlite"
    return kind


def _magic(storage: Storage, path: str) -> bool:
    """Whether a file begins like those of SQLite."""
    try:
        with storage.open(path) as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError as error:
        raise RecordsError(f"{storage.show(path)}: {error.strerror or error}") from error


def _kinds_in_folder(storage: Storage, files: tuple[str, ...]) -> Iterator[str]:
    first = next((file for file in files if _kind_by_name(file) == "parquet" and _is_part(file)), None)
    of_nbmf = first is not None and is_data_set(storage, first)
    if of_nbmf:
        yield "dataset"
    for file in files:
        name, kind = _file_name(file), _kind_by_name(file)
        ours = of_nbmf and (name in _BESIDE_PARTS or (kind == "parquet" and _is_part(file)))
        if kind in ("jsonl", "parquet") and not ours:
            yield kind


def _is_part(path: str) -> bool:
    return _file_name(path).startswith(_PART_PREFIX)


def _file_name(path: str) -> str:
    return path.rpartition("/")[2]
