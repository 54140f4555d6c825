"""Which source a location is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow.fs as pafs

from cluster.errors import RecordsError
from cluster.sources.base import DEFAULT_MAX_RECORD_BYTES, Source, SourceOptions
from cluster.sources.choice import payload_of
from cluster.sources.dataset import DataSet, has_columns, is_data_set, is_own, is_part, parts_in
from cluster.sources.jsonl import JsonLines
from cluster.sources.kinds import (
    COMPRESSED_SUFFIXES,
    DOCUMENT,
    DOCUMENT_SUFFIXES,
    JSON_LINES,
    JSON_LINES_SUFFIXES,
    PARQUET,
    PARQUET_SUFFIXES,
    SQLITE,
    SQLITE_SUFFIXES,
    kind_of,
)
from cluster.sources.legacy import RECORDS_FOLDER, LegacyStore, has_legacy_files, has_legacy_name, is_legacy_store
from cluster.sources.legacy_remote import RemoteLegacyStore
from cluster.sources.parquet import ParquetFiles
from cluster.sources.readers import checked, load_reader
from cluster.sources.sqlite import SqliteTable
from cluster.sources.sqlite_file import MAGIC
from cluster.sources.sqlite_store import SqliteStore, is_sqlite_store
from cluster.sources.storage import Storage, locate
from cluster.sources.walk import EMPTY, walk
from nbmf.encryption import StoreKey

_READERS = ("legacy", "jsonl", "parquet", "sqlite", "dataset")
_NAMES = {"jsonl": "JSON Lines", "parquet": "Parquet", "sqlite": "SQLite", "dataset": "data set", "legacy": "legacy"}
_STORES = {"legacy": "legacy store", "dataset": "data set"}


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
    follow_links: bool = False,
) -> Source:
    """The source at a path, or a URI that pyarrow.fs knows (or a path on the given filesystem).

    `reader` says what it is: `legacy`, `jsonl`, `parquet`, `sqlite`, `dataset` (of nbmf), or the class of a source
    of your own as `package.module:Class`. Without it, what is there decides: a file of JSON, Parquet or SQLite, a
    folder with files of one of the first two, at any depth, a data set or a legacy store. Of a folder, links to what is
    not below it are followed with `follow_links` only. Raises RecordsError if there is nothing there, or nothing that
    is known.
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
        follow_links=follow_links,
    )
    if reader is not None and reader not in _READERS:
        return checked(load_reader(reader)(str(location), options), reader)
    storage, path = locate(location, filesystem)
    storage = replace(storage, follow_links=follow_links)
    state = storage.state(path)
    if not state.is_file and not state.is_folder:
        raise RecordsError(f"{storage.show(path)} does not exist")
    if not state.is_folder:
        kind, names = reader or _recognised_file(storage, path), None
    else:
        kind, names = _recognised_folder(storage, path, reader)
    if table is not None and kind != "sqlite":
        raise RecordsError(f"{storage.show(path)} is no SQLite file, so it has no table {table!r}")
    return _make(kind, storage, path, names, options)


def _recognised_file(storage: Storage, path: str) -> str:
    kind = kind_of(path)
    if kind == PARQUET and is_part(path) and has_columns(storage, path):
        return "dataset"
    if kind in (SQLITE, None) and _magic(storage, path):
        return "dataset" if storage.is_local and is_sqlite_store(Path(path)) else "sqlite"
    if kind is None:
        raise _unknown(storage, path)
    return "jsonl" if kind == DOCUMENT else kind


def _recognised_folder(storage: Storage, path: str, reader: str | None) -> tuple[str, tuple[str, ...]]:
    """What is read of a folder: the kind, and of files that are found by their names their paths."""
    local = Path(path) if storage.is_local else None
    has_records = (local / RECORDS_FOLDER).is_dir() if local else storage.state(f"{path}/{RECORDS_FOLDER}").is_folder
    if reader in ("legacy", "sqlite") or (reader is None and has_records):
        return reader or "legacy", ()
    is_set = is_data_set(storage, path)
    is_legacy = local is not None and is_legacy_store(local)

    def passed_over(name: str) -> bool:
        return (is_set and is_own(name)) or (is_legacy and has_legacy_name(name))

    found = [
        (one.kind, f"{path}/{one.name}")
        for one in walk(storage, path, passed_over, known_only=True)
        if (one.reason is None and one.kind == PARQUET)
        or (one.reason in (None, EMPTY) and one.kind in (JSON_LINES, DOCUMENT))
    ]
    kinds = {kind for kind, _ in found if kind in (JSON_LINES, PARQUET)}
    if is_set:
        kinds.add("dataset")
    if is_legacy and local is not None and (has_legacy_files(local) or not kinds):
        kinds.add("legacy")
    if not kinds and found:
        kinds.add(JSON_LINES)
    if reader is None and len(kinds) > 1:
        names = " and ".join(_NAMES[kind] for kind in sorted(kinds))
        raise RecordsError(
            f"{storage.show(path)} holds both {names} files; name them one by one, or say with --reader which are read "
            "(the others are then named as not read)"
        )
    if reader is None and not kinds:
        raise _unknown(storage, path)
    kind = reader or kinds.pop()
    if kind == "legacy":
        return kind, ()
    if kind == "dataset":
        paths = parts_in(storage, path)
    else:
        wanted = (JSON_LINES, DOCUMENT) if kind == JSON_LINES else (PARQUET,)
        paths = tuple(path for kind, path in found if kind in wanted)
    if not paths:
        raise RecordsError(f"{storage.show(path)} holds no {_NAMES[kind]} files")
    return kind, paths


def _unknown(storage: Storage, path: str) -> RecordsError:
    names = ", ".join((*JSON_LINES_SUFFIXES, *DOCUMENT_SUFFIXES, *PARQUET_SUFFIXES, *SQLITE_SUFFIXES))
    return RecordsError(
        f"{storage.show(path)}: no records known here (files {names}, those of JSON also with "
        f"{', '.join(COMPRESSED_SUFFIXES)} behind, a data set, or a legacy store with records/, a_<n>.json or <sha256> "
        "files)"
    )


def _make(kind: str, storage: Storage, path: str, names: tuple[str, ...] | None, options: SourceOptions) -> Source:
    """`names` are files found in the folder `path`; None for a file that was named itself, whatever its name."""
    is_sqlite = names is None and _magic(storage, path)
    if (kind == "sqlite" or is_sqlite) and not storage.is_local:
        raise RecordsError(f"{storage.show(path)}: {_NAMES[kind]} sources are read on local filesystems; copy it first")
    fields = payload_of(options.payload_field, options.payload), options.key_field, options.class_field
    if kind in _STORES:
        _check_no_fields(
            f"{storage.show(path)}: records of a {'legacy store' if kind == 'legacy' else 'data set'}", options
        )
    bound = options.max_record_bytes
    if kind == "legacy" and not storage.is_local:
        return RemoteLegacyStore(storage, path, bound, options.key, options.registry)
    if kind == "legacy":
        return LegacyStore(Path(path), bound, options.key, options.registry, options.follow_links)
    if kind == "dataset" and is_sqlite:
        return SqliteStore(Path(path), options.registry, options.key, bound)
    if kind == "sqlite":
        return SqliteTable(Path(path), options.table, *fields, options.parse_json, bound, options.registry)
    paths, root = ((path,), None) if names is None else (names, path)
    if kind == "jsonl":
        return JsonLines(paths, *fields, bound, storage, options.registry, root)
    if kind == "parquet":
        return ParquetFiles(paths, *fields, options.parse_json, bound, storage, options.registry, root)
    return DataSet(paths, options.registry, options.key, bound, storage, root)


def _check_no_fields(records: str, options: SourceOptions) -> None:
    """Raises RecordsError for an option that would have no effect."""
    for name in ("payload", "payload_field", "key_field", "class_field"):
        if (given := getattr(options, name)) is not None:
            option = f"--{name.replace('_', '-')} {given}"
            raise RecordsError(f"{records} say themselves what key, class and payload are: leave {option} out")


def _magic(storage: Storage, path: str) -> bool:
    """Whether a file begins like those of SQLite."""
    try:
        with storage.open(path) as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError as error:
        raise RecordsError(f"{storage.show(path)}: {error.strerror or error}") from error
