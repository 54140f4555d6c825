"""JSON Lines: a record a line, any JSON value; or an object of which one field, or the rest, is the payload.

JSON documents too: a record an item of an array, or one that is the whole of it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cluster.errors import RecordsError
from cluster.sources.base import DEFAULT_MAX_RECORD_BYTES, BadRecord, Item
from cluster.sources.choice import PayloadField, Whole
from cluster.sources.dict_blobs import decoded_dict_blobs
from cluster.sources.json_files import Bounds, plan_shards, raw_records
from cluster.sources.parsing import Refused, parse_json, record_from_payload, too_large
from cluster.sources.shards import Shard
from cluster.sources.storage import LOCAL, Storage
from cluster.sources.walk import NotRead, not_read

_SHARD_LINES = 2000
_SHARD_BYTES = 4 * 1024 * 1024
_SHOWN_FIELDS = 20


@dataclass(frozen=True, slots=True)
class JsonLines:
    """Files of JSON Lines, and JSON documents (`.json`), which may be compressed, and in UTF-16 or UTF-32 with a mark.

    Without a `payload_field` each line is a payload, whatever fields it has; of a document, each item of its array, or
    all of it. Keys are `<file>:<line>` (of a document `<file>:<number>`) without a `key_field`, and for records that
    lack it; `<file>` is the path below `root`, the folder that they were found in. A field that no record has is
    refused.
    """

    paths: tuple[str | Path, ...]
    payload_field: PayloadField = None
    key_field: str | None = None
    class_field: str | None = None
    max_record_bytes: int = DEFAULT_MAX_RECORD_BYTES
    storage: Storage = LOCAL
    registry: str | None = field(default=None, repr=False)
    root: str | None = field(default=None, repr=False, compare=False)

    def plan(self) -> list[Shard]:
        return list(self.iter_shards())

    def iter_shards(self) -> Iterator[Shard]:
        named = (self.payload_field, self.key_field, self.class_field)
        missing, seen = {name for name in named if isinstance(name, str)}, dict[str, None]()
        for shard in plan_shards(map(str, self.paths), self.root, self.storage, Bounds(_SHARD_LINES, _SHARD_BYTES)):
            if missing:
                self._look_for(missing, seen, shard)
            yield shard
        if missing and seen:
            names, has = ", ".join(map(repr, sorted(missing))), ", ".join(seen)
            shown = self.storage.show(self.root or str(self.paths[0]))
            raise RecordsError(f"{shown}: no record has a field {names}; there are {has}")

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
        held = value if type(value) is dict else {}
        key, record_class = (held.get(name) if name else None for name in (self.key_field, self.class_field))
        rest = {name: one for name, one in held.items() if name not in (self.key_field, self.class_field)}
        fields: dict[str, Any] = {}
        if isinstance(self.payload_field, str):
            if self.payload_field not in held:
                return BadRecord(place, "no_payload", f"no field {self.payload_field!r}", line_key, size)
            payload = held[self.payload_field]
            fields = {name: one for name, one in rest.items() if name != self.payload_field}
        else:
            payload = rest if self.payload_field is Whole.ROW and type(value) is dict else value
        try:
            texts = line_key if key is None else str(key), "" if record_class is None else str(record_class)
        except (ValueError, RecursionError) as error:  # an integer of thousands of digits, a deep list
            return BadRecord(place, "bad_key", f"key or class cannot be written as text: {error}", line_key, size)
        return record_from_payload(*texts, fields, payload, place, size)

    def _look_for(self, missing: set[str], seen: dict[str, None], shard: Shard) -> None:
        """Takes what records have out of `missing`, until nothing is: as a rule, one is read."""
        for raw in raw_records(shard, self.max_record_bytes):
            with contextlib.suppress(Refused):
                if raw.lost is None and type(value := parse_json(raw.data)) is dict:
                    missing.difference_update(value)
                    seen |= dict.fromkeys(list(value)[: _SHOWN_FIELDS - len(seen)])
            if not missing:
                return
