"""JSON Lines: a record a line, any JSON value; or an object of which one field is the payload."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from cluster.errors import RecordsError
from cluster.sources.base import DEFAULT_MAX_RECORD_BYTES, BadRecord, Item, Shard
from cluster.sources.parsing import bad_json, parse_json, record_from_payload
from cluster.sources.stamps import stamp_of

_SHARD_LINES = 2000
_SHARD_BYTES = 4 * 1024 * 1024
_PIECE_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class JsonLines:
    """Files of JSON Lines. Without a `payload_field` each line is a payload and its key is `<file>:<line>`."""

    paths: tuple[Path, ...]
    payload_field: str | None = None
    key_field: str | None = None
    class_field: str | None = None
    max_record_bytes: int = DEFAULT_MAX_RECORD_BYTES

    def plan(self) -> list[Shard]:
        return list(self.iter_shards())

    def iter_shards(self) -> Iterator[Shard]:
        for path in self.paths:
            yield from _cut(path)

    def split(self, shard: Shard) -> Iterator[tuple[str, Shard]]:
        start, end, number = shard.span
        with Path(shard.path).open("rb") as file:
            file.seek(start)
            while start < end:
                _, size = _read_line(file, 0)
                if not size:
                    break
                yield f"{shard.path}:{number}", Shard(shard.path, (start, start + size, number), shard.files, size)
                start, number = start + size, number + 1

    def read(self, shard: Shard) -> Iterator[Item]:
        start, end, number = shard.span
        with Path(shard.path).open("rb") as file:
            file.seek(start)
            while file.tell() < end:
                line, size = _read_line(file, self.max_record_bytes)
                if not size:  # the file is shorter than it was when it was planned
                    break
                if line.strip() or size > self.max_record_bytes:
                    yield self._record(line, size, f"{shard.path}:{number}", f"{Path(shard.path).name}:{number}")
                number += 1

    def _record(self, line: bytes, size: int, place: str, line_key: str) -> Item:
        if size > self.max_record_bytes:
            detail = f"{size} bytes; max_record_bytes is {self.max_record_bytes}"
            return BadRecord(place, "too_large", detail, line_key, size)
        try:
            value = parse_json(line)
        except ValueError as error:
            return bad_json(place, error, line_key, size)
        if self.payload_field is None:
            return record_from_payload(line_key, "", {}, value, place, size)
        if type(value) is not dict or self.payload_field not in value:
            return BadRecord(place, "no_payload", f"no field {self.payload_field!r}", line_key, size)
        fields: dict[str, Any] = dict(value)
        payload = fields.pop(self.payload_field)
        key = fields.pop(self.key_field, None) if self.key_field else None
        record_class = fields.pop(self.class_field, None) if self.class_field else None
        return record_from_payload(
            line_key if key is None else str(key),
            "" if record_class is None else str(record_class),
            fields,
            payload,
            place,
            size,
        )


def _read_line(file: BinaryIO, limit_bytes: int) -> tuple[bytes, int]:
    """The next line, or its beginning if it is longer than the limit, and its whole length in bytes."""
    line = piece = file.readline(limit_bytes + 1)
    size = len(line)
    while piece and not piece.endswith(b"\n"):
        piece = file.readline(_PIECE_BYTES)
        size += len(piece)
    return line, size


def _cut(path: Path) -> Iterator[Shard]:
    """Spans (first byte, last byte + 1, number of the first line), cut at line ends."""
    try:
        with path.open("rb") as file:
            files = (stamp_of(os.fstat(file.fileno())),)
            start = offset = 0
            first = number = 1
            while True:
                _, size = _read_line(file, 0)
                if not size:
                    break
                offset += size
                number += 1
                if number - first >= _SHARD_LINES or offset - start >= _SHARD_BYTES:
                    yield Shard(str(path), (start, offset, first), files, offset - start)
                    start, first = offset, number
            if offset > start:
                yield Shard(str(path), (start, offset, first), files, offset - start)
    except OSError as error:
        raise RecordsError(f"{path}: {error.strerror or error}") from error
