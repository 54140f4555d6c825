"""JSON Lines: a record a line, any JSON value; or an object of which one field is the payload.

JSON documents too: a record an item of an array, or one that is the whole of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cluster.sources.base import DEFAULT_MAX_RECORD_BYTES, BadRecord, Item, Shard
from cluster.sources.dict_blobs import decoded_dict_blobs
from cluster.sources.json_files import Bounds, plan_shards, raw_records
from cluster.sources.parsing import Refused, parse_json, record_from_payload, too_large
from cluster.sources.storage import LOCAL, Storage
from cluster.sources.walk import NotRead, not_read

_SHARD_LINES = 2000
_SHARD_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class JsonLines:
    """Files of JSON Lines, and JSON documents (`.json`), which may be compressed, and in UTF-16 or UTF-32 with a mark.

    Without a `payload_field` each line is a payload, and its key is `<file>:<line>`; of a document, each item of its
    array, or all of it, and `<file>:<number>`. `<file>` is the path below `root`, the folder that they were found in.
    """

    paths: tuple[str | Path, ...]
    payload_field: str | None = None
    key_field: str | None = None
    class_field: str | None = None
    max_record_bytes: int = DEFAULT_MAX_RECORD_BYTES
    storage: Storage = LOCAL
    registry: str | None = field(default=None, repr=False)
    root: str | None = field(default=None, repr=False, compare=False)

    def plan(self) -> list[Shard]:
        return list(self.iter_shards())

    def iter_shards(self) -> Iterator[Shard]:
        bounds = Bounds(_SHARD_LINES, _SHARD_BYTES)
        return plan_shards(map(str, self.paths), self.root, self.storage, bounds)

    def not_read(self) -> Iterator[NotRead]:
        """Files and folders at the source that are not read, or have nothing in them."""
        return not_read(self.storage, self.root, map(str, self.paths))

    def split(self, shard: Shard) -> Iterator[tuple[str, Shard]]:
        for raw in raw_records(shard, 0):
            yield raw.place, raw.shard

    def read(self, shard: Shard) -> Iterator[Item]:
        return decoded_dict_blobs(self._records(shard), self.registry, self.max_record_bytes)

    def _records(self, shard: Shard) -> Iterator[Item]:
        for raw in raw_records(shard, self.max_record_bytes):
            if raw.lost is not None:
                yield BadRecord(raw.place, "damaged_file", f"nothing is read from here on: {raw.lost}", raw.key)
            else:
                yield self._record(raw.data, raw.size, raw.place, raw.key)

    def _record(self, line: bytes, size: int, place: str, line_key: str) -> Item:
        if size > self.max_record_bytes:
            return too_large(size, self.max_record_bytes).bad(place, line_key, size)
        try:
            value = parse_json(line)
        except Refused as refused:
            return refused.bad(place, line_key, size)
        if self.payload_field is None:
            return record_from_payload(line_key, "", {}, value, place, size)
        if type(value) is not dict or self.payload_field not in value:
            return BadRecord(place, "no_payload", f"no field {self.payload_field!r}", line_key, size)
        payload = value[self.payload_field]
        key = value.get(self.key_field) if self.key_field else None
        record_class = value.get(self.class_field) if self.class_field else None
        named = (self.payload_field, self.key_field, self.class_field)
        fields: dict[str, Any] = {name: held for name, held in value.items() if name not in named}
        try:
            texts = line_key if key is None else str(key), "" if record_class is None else str(record_class)
        except (ValueError, RecursionError) as error:  # an integer of thousands of digits, a deep list
            return BadRecord(place, "bad_key", f"key or class cannot be written as text: {error}", line_key, size)
        return record_from_payload(*texts, fields, payload, place, size)
