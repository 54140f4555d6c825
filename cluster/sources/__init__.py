"""Sources of records: JSON Lines, Parquet, SQLite, data sets of nbmf, legacy stores, and those of your own."""

from cluster.sources.base import (
    DEFAULT_MAX_RECORD_BYTES,
    BadRecord,
    Item,
    Record,
    Source,
    SourceOptions,
)
from cluster.sources.dataset import DataSet
from cluster.sources.jsonl import JsonLines
from cluster.sources.legacy import LegacyStore
from cluster.sources.opening import open_source
from cluster.sources.parquet import ParquetFiles
from cluster.sources.shards import Shard, SourceChanged, check_unchanged
from cluster.sources.sqlite import SqliteTable
from cluster.sources.sqlite_store import SqliteStore
from cluster.sources.stamps import FileStamp, stamp
from cluster.sources.storage import SourceUnavailable
from cluster.sources.walk import NotRead

__all__ = [
    "DEFAULT_MAX_RECORD_BYTES",
    "BadRecord",
    "DataSet",
    "FileStamp",
    "Item",
    "JsonLines",
    "LegacyStore",
    "NotRead",
    "ParquetFiles",
    "Record",
    "Shard",
    "Source",
    "SourceChanged",
    "SourceOptions",
    "SourceUnavailable",
    "SqliteStore",
    "SqliteTable",
    "check_unchanged",
    "open_source",
    "stamp",
]
