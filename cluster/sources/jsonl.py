"""JSON Lines: a record a line, any JSON value; or an object of which one field is the payload."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from cluster.errors import RecordsError
from cluster.sources.base import DEFAULT_MAX_RECORD_BYTES, BadRecord, Item, Shard
from cluster.sources.dict_blobs import decoded_dict_blobs
from cluster.sources.parsing import Refused, parse_json, record_from_payload, too_large
from cluster.sources.stamps import open_planned, stamp
from cluster.sources.storage import LOCAL, Storage

_SHARD_LINES = 2000
_SHARD_BYTES = 4 * 1024 * 1024
_PIECE_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class JsonLines:
    """Files of JSON Lines. Without a `payload_field` each line is a payload and its key is `<file>:<line>`."""

    paths: tuple[str | Path, ...]
    payload_field: str | None = None
    key_field: str | None = None
    class_field: str | None = None
    max_record_bytes: int = DEFAULT_MAX_RECORD_BYTES
    storage: Storage = LOCAL
    registry: str | None = field(default=None, repr=False)

    def plan(self) -> list[Shard]:
        return list(self.iter_shards())

    def iter_shards(self) -> Iterator[Shard]:
        for path in self.paths:
            yield from _cut(str(path), self.storage)

    def split(self, shard: Shard) -> Iterator[tuple[str, Shard]]:
        start, end, number = shard.span
        shown = self.storage.show(shard.path)
        with open_planned(shard) as file:
            file.seek(start)
            while start < end:
                _, size = _read_line(file, 0)
                if not size:
                    break
                yield f"{shown}:{number}", replace(shard, span=(start, start + size, number), size_bytes=size)
                start, number = start + size, number + 1

    def read(self, shard: Shard) -> Iterator[Item]:
        return decoded_dict_blobs(self._records(shard), self.registry, self.max_record_bytes)

    def _records(self, shard: Shard) -> Iterator[Item]:
        start, end, number = shard.span
        name, shown = PurePosixPath(shard.path).name, self.storage.show(shard.path)
        with open_planned(shard) as file:
            file.seek(start)
            while file.tell() < end:
                line, size = _read_line(file, self.max_record_bytes)
                if not size:  # the file is shorter than it was when it was planned
                    break
                if line.strip() or size > self.max_record_bytes:
                    yield self._record(line, size, f"{shown}:{number}", f"{name}:{number}")
                number += 1

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


def _read_line(file: BinaryIO, limit_bytes: int) -> tuple[bytes, int]:
    """The next line, or its beginning if it is longer than the limit, and its whole length in bytes."""
    line = piece = file.readline(limit_bytes + 1)
    size = len(line)
    while piece and not piece.endswith(b"\n"):
        piece = file.readline(_PIECE_BYTES)
        size += len(piece)
    return line, size


def _cut(path: str, storage: Storage) -> Iterator[Shard]:
    """Spans (first byte, last byte + 1, number of the first line), cut at line ends."""
    files = (stamp(path, storage=storage),)  # before it is opened: what is written to it after that is then noticed
    try:
        file = storage.open(path)
    except OSError as error:
        raise RecordsError(f"{storage.show(path)}: {error.strerror or error}") from error
    with file:
        start = offset = 0
        first = number = 1
        while True:
            _, size = _read_line(file, 0)
            if not size:
                break
            offset += size
            number += 1
            if number - first >= _SHARD_LINES or offset - start >= _SHARD_BYTES:
                yield Shard(path, (start, offset, first), files, offset - start, storage)
                start, first = offset, number
        if offset > start:
            yield Shard(path, (start, offset, first), files, offset - start, storage)
