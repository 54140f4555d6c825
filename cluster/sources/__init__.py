"""Sources of records: JSON Lines, Parquet, legacy stores."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cluster.errors import RecordsError
from cluster.sources.base import DEFAULT_MAX_RECORD_BYTES, BadRecord, Item, Record, Shard, Source
from cluster.sources.jsonl import JsonLines
from cluster.sources.legacy import LegacyStore, is_legacy_store
from cluster.sources.parquet import ParquetFiles
from cluster.sources.stamps import SourceChanged, check_unchanged

_JSONL_SUFFIXES = (".jsonl", ".ndjson")
_PARQUET_SUFFIXES = (".parquet", ".pq")


def open_source(
    path: str | Path,
    *,
    payload_field: str | None = None,
    key_field: str | None = None,
    class_field: str | None = None,
    parse_json: bool = False,
    max_record_bytes: int = DEFAULT_MAX_RECORD_BYTES,
) -> Source:
    """The source at `path`: a .jsonl or .parquet file, a folder of them, or a legacy store.

    Raises RecordsError if there is nothing there, or nothing that is known.
    """
    path = Path(path).expanduser().absolute()
    if not path.exists():
        raise RecordsError(f"{path} does not exist")
    if path.is_dir() and is_legacy_store(path):
        return LegacyStore(path, max_record_bytes)
    jsonl, parquet = _files(path, _JSONL_SUFFIXES), _files(path, _PARQUET_SUFFIXES)
    if jsonl and parquet:
        raise RecordsError(f"{path} holds both JSON Lines and Parquet files; name them one by one")
    if jsonl:
        return JsonLines(jsonl, payload_field, key_field, class_field, max_record_bytes)
    if parquet:
        return ParquetFiles(parquet, payload_field, key_field, class_field, parse_json, max_record_bytes)
    known: Sequence[str] = [*_JSONL_SUFFIXES, *_PARQUET_SUFFIXES]
    raise RecordsError(f"{path}: no records known here (files {', '.join(known)}, or a legacy store with records/)")


def _files(path: Path, suffixes: tuple[str, ...]) -> tuple[Path, ...]:
    found = [path] if path.is_file() else sorted(p for p in path.iterdir() if p.is_file())
    return tuple(p for p in found if p.suffix in suffixes)


__all__ = [
    "BadRecord",
    "Item",
    "JsonLines",
    "LegacyStore",
    "ParquetFiles",
    "Record",
    "Shard",
    "Source",
    "SourceChanged",
    "check_unchanged",
    "open_source",
]
