"""What a file is, as far as its name tells."""

from __future__ import annotations

JSON_LINES_SUFFIXES = (".jsonl", ".ndjson")
DOCUMENT_SUFFIXES = (".json",)
PARQUET_SUFFIXES = (".parquet", ".pq")
SQLITE_SUFFIXES = (".sqlite", ".sqlite3", ".db")
COMPRESSED_SUFFIXES = (".gz", ".zst", ".bz2", ".xz")

JSON_LINES, DOCUMENT, PARQUET, SQLITE = "jsonl", "json", "parquet", "sqlite"

_KINDS = {
    JSON_LINES: JSON_LINES_SUFFIXES,
    DOCUMENT: DOCUMENT_SUFFIXES,
    PARQUET: PARQUET_SUFFIXES,
    SQLITE: SQLITE_SUFFIXES,
}


def kind_of(name: str) -> str | None:
    """One of the kinds above, or None; JSON may be compressed."""
    name = name.lower()
    packed = next((suffix for suffix in COMPRESSED_SUFFIXES if name.endswith(suffix)), "")
    name = name.removesuffix(packed)
    kind = next((kind for kind, suffixes in _KINDS.items() if name.endswith(suffixes)), None)
    return None if packed and kind in (PARQUET, SQLITE) else kind


def is_packed(name: str) -> bool:
    """Whether a name says that the file is compressed."""
    return name.lower().endswith(COMPRESSED_SUFFIXES)


def is_plain_lines(name: str) -> bool:
    """Whether a file is JSON Lines that are not compressed."""
    return name.endswith(JSON_LINES_SUFFIXES)
